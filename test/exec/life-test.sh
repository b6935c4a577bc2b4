#!/usr/bin/env bash
# Workers of `udppump exec` are kept alive, replaced, and ended.
# shellcheck source=test/exec/stage.sh
source "$(dirname -- "$0")/stage.sh" || exit 1
echo_worker=("$python" "$examples/worker.py")

pids_differ() { [ -z "$(comm -12 <(sort <<<"$1") <(children "$2" | sort))" ] && has_children "$2" "$3"; }

echo "# a worker that dies is replaced"
start died --bind 127.0.0.1:0 --workers 2 -- "${echo_worker[@]}"
victim=$(children "$pid" | sed -n 1p)
kill -KILL "$victim"
await_line died "worker [01] \(pid $victim\) was killed by signal 9 .*another is started"
await has_children "$pid" 2 || fail "not 2 workers again"
expect "${ports[0]}" hello hello

echo "# HUP replaces all of them"
before=$(children "$pid")
kill -HUP "$pid"
await_line died 'udppump: reloaded 2 workers'
pids_differ "$before" "$pid" 2 || fail "not 2 new workers"
expect "${ports[0]}" hello hello
finish "$pid"
said died 'udppump: stopped$' || fail "it does not say that it has stopped"

echo "# a changed file replaces them: written, and put in its place"
cp "$examples/worker.py" "$dir/worker.py"
echo one >"$dir/settings"
start changed --bind 127.0.0.1:0 --workers 2 --reload-on-change "$dir/worker.py" --reload-on-change "$dir/settings" \
  -- "$python" "$dir/worker.py"
echo two >"$dir/settings"
await_line changed 'udppump: reloaded 2 workers'
said changed "settings\" has changed" || fail "the file that changed is not named"
before=$(children "$pid")
sed 's/outbox.sendto(data/outbox.sendto(b"new: " + data/' "$examples/worker.py" >"$dir/worker.new"
mv "$dir/worker.new" "$dir/worker.py"
await lines_are changed 'udppump: reloaded 2 workers' 2 || fail "no second reload"
pids_differ "$before" "$pid" 2 || fail "not 2 new workers"
expect "${ports[0]}" hello "new: hello"
finish "$pid"

echo "# a reload onto a program that dies when it has counted as serving changes nothing"
printf '%s\n' '#!/bin/sh' 'exec "$@"' >"$dir/wrapper"
chmod +x "$dir/wrapper"
start late --bind 127.0.0.1:0 --workers 2 -- "$dir/wrapper" "${echo_worker[@]}"
before=$(children "$pid")
printf '%s\n' '#!/bin/sh' 'sleep 0.295' 'exit 3' >"$dir/wrapper.new"
chmod +x "$dir/wrapper.new"
cp -p "$dir/wrapper" "$dir/wrapper.good"
mv "$dir/wrapper.new" "$dir/wrapper"
kill -HUP "$pid"
await_line late 'the reload was given up at worker 0: the new worker died before it had proven itself; the workers that'
[ "$(children "$pid")" = "$before" ] || fail "those that served before do not serve on"
expect "${ports[0]}" hello hello
mv "$dir/wrapper.good" "$dir/wrapper"
kill -HUP "$pid"
await_line late 'udppump: reloaded 2 workers'
pids_differ "$before" "$pid" 2 || fail "not 2 new workers"
finish "$pid"

echo "# INT ends it as well, and the file with its id is there while it serves"
start pid_file --bind 127.0.0.1:0 --workers 2 --pid-file "$dir/pid" -- "${echo_worker[@]}"
has_pid() { [ "$(cat "$1" 2>/dev/null)" = "$2" ]; }
await has_pid "$dir/pid" "$pid" || fail "the pid file does not have $pid"
kill -INT "$pid"
ended "$pid" 0
[ ! -e "$dir/pid" ] || fail "the pid file is left"

echo "# whoever starts it with descriptors 0 to 2 closed finds nothing of them in what it opens"
"$tool" exec --bind 127.0.0.1:0 --workers 1 --pid-file "$dir/pid" -- "${echo_worker[@]}" <&- >&- 2>&- &
pid=$!
started+=("$pid")
await has_pid "$dir/pid" "$pid" || fail "the pid file does not have $pid"
await has_children "$pid" 1 || fail "no worker"
for fd in 0 1 2; do
  [ "$(readlink "/proc/$pid/fd/$fd")" = /dev/null ] || fail "descriptor $fd is $(readlink "/proc/$pid/fd/$fd")"
done
kill -HUP "$pid" # it says something
await has_pid "$dir/pid" "$pid" || fail "the pid file has something else"
finish "$pid"

echo "# HUP and USR2 end nothing, though it does not serve yet"
# A pool that has the sockets, and says nothing: this one waits for them.
cat >"$dir/silent.py" <<'END'
import os, socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(sys.argv[1])
listener.listen()
print("listens", flush=True)
connection, _ = listener.accept()
print("has it", flush=True)
sys.stdin.read()
END
mkfifo "$dir/end"
"$python" "$dir/silent.py" "$dir/silent" <"$dir/end" >"$dir/silent.log" &
started+=("$!")
exec {silent}>"$dir/end"
await_line silent '^listens$'
launch early --bind 127.0.0.1:0 --workers 1 --pid-file "$dir/pid" --take-over "$dir/silent" -- "${echo_worker[@]}" {silent}>&-
await_line silent '^has it$'
kill -HUP "$pid"
kill -USR2 "$pid"
taken() { ! grep -qE '^SigPnd:.*[1-9a-f]|^ShdPnd:.*[1-9a-f]' "/proc/$1/status"; }
await taken "$pid" || fail "the signals are not taken"
! gone "$pid" || fail "a signal ended it before it served"
exec {silent}>&-
ended "$pid" 3

echo "# a program that ignores SIGTERM is killed after the deadline, exit code 5; at once when told twice"
cat >"$dir/stubborn.py" <<'END'
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.write(1, b"deaf\n")  # at once: two programs write to this file
while True:
    time.sleep(60)
END
start stubborn --bind 127.0.0.1:0 --workers 2 --stop-timeout 300ms -- "$python" "$dir/stubborn.py" >"$dir/deaf.log"
await lines_are deaf '^deaf$' 2 || fail "the stubborn programs did not start"
finish "$pid" 5
said stubborn 'did not stop within [0-9.]* m*s and is killed' || fail "the killing is not told"
! said stubborn 'killed at once' || fail "those that had time are said to have had none"
start impatient --bind 127.0.0.1:0 --workers 2 --stop-timeout 0 -- "$python" "$dir/stubborn.py" >"$dir/deaf.log"
await lines_are deaf '^deaf$' 2 || fail "the stubborn programs did not start"
finish "$pid" 5
said impatient 'SIGTERM: stopping; workers are killed at once, as the stop timeout is 0$' || fail "it promises them time"
said impatient 'is killed at once, as the stop timeout is 0; what it held is lost$' || fail "why is not told"
start twice --bind 127.0.0.1:0 --workers 2 --stop-timeout 600 -- "$python" "$dir/stubborn.py" >"$dir/deaf.log"
await lines_are deaf '^deaf$' 2 || fail "the stubborn programs did not start"
kill "$pid"
await_line twice 'SIGTERM: stopping'
finish "$pid" 5
said twice 'is killed at once, as a second order to stop came; what it held is lost$' || fail "why is not told"

echo "# Ctrl-C at a terminal is for the parent: workers are asked to finish, and not interrupted"
cat >"$dir/signals.py" <<'END'
import os, signal
awaited = {signal.SIGINT, signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
os.write(1, b"ready\n")  # at once: two programs write to this file
os.write(1, signal.Signals(signal.sigwait(awaited)).name.encode() + b"\n")
END
setsid "$tool" exec --bind 127.0.0.1:0 --workers 2 --pid-file "$dir/pid" -- "$python" "$dir/signals.py" \
  >"$dir/signals.log" 2>"$dir/group.log" &
pid=$!
started+=("$pid")
await has_pid "$dir/pid" "$pid" || fail "it does not serve, or setsid has forked"
await lines_are signals '^ready$' 2 || fail "the workers are not ready"
kill -INT "-$pid"
ended "$pid" 0
[ "$(grep -c '^SIGTERM$' "$dir/signals.log")" = 2 ] || fail "not two workers were asked to stop"
said signals SIGINT && fail "a worker was interrupted"

echo "# what a wrapper started ends with it"
# shellcheck disable=SC2016  # for the inner shell
start wrapped --bind 127.0.0.1:0 --workers 2 -- sh -c '"$0" "$1"; true' "$python" "$examples/worker.py"
expect "${ports[0]}" hello hello
inner=
for each in $(children "$pid"); do inner+=" $(children "$each")"; done
[ "$(wc -w <<<"$inner")" = 2 ] || fail "the wrappers have not one child each"
kill -KILL "$(children "$pid" | sed -n 1p)"
await gone "$(awk '{ print $1 }' <<<"$inner")" || fail "the program is left that a killed wrapper had started"
finish "$pid"
# shellcheck disable=SC2086
await all_gone $inner || fail "programs are left that wrappers had started"

echo "# programs that end at once are a crash loop, exit code 4"
for program in false true; do
  launch $program --bind 127.0.0.1:0 --workers 2 --crash-limit 3 --restart-delay 1:1 -- $program
  ended "$pid" 4
  said $program 'workers cannot be kept alive: worker [01] .* 3 times in a row .*descriptor 0, .* SIGTERM' ||
    fail "the message on $program does not help"
done
echo "# one worker of four that always ends at once does not end the other three"
# shellcheck disable=SC2016  # for the worker's shell
start lost --bind 127.0.0.1:0 --workers 4 --crash-limit 3 --restart-delay 1:1 -- \
  sh -c '[ "$UDPPUMP_WORKER" != 2 ] || exit 1; exec "$0" "$1"' "$python" "$examples/worker.py"
said lost '3 of 4 workers serve ' || fail "it does not say that one is missing"
said lost 'worker 2 cannot be kept alive; 3 times in a row within 1.0 s; .*; the others serve on' ||
  fail "it does not say which"
expect "${ports[0]}" hello hello
finish "$pid"

echo "# and so is one whose interpreter is missing: it can be executed as little the next time"
printf '#!/no/such/interpreter\n' >"$dir/script"
chmod +x "$dir/script"
launch script --bind 127.0.0.1:0 --workers 1 -- "$dir/script"
ended "$pid" 127
said script 'interpreter' || fail "the missing interpreter is not told"
printf 'no first line\n' >"$dir/script"
launch script --bind 127.0.0.1:0 --workers 1 -- "$dir/script"
ended "$pid" 126

echo "# when the parent is killed, no worker is left, not even a stubborn one"
start orphans --bind 127.0.0.1:0 --workers 3 -- "$python" "$dir/stubborn.py" >/dev/null
left=$(children "$pid")
kill -KILL "$pid"
# shellcheck disable=SC2086
{ await all_gone $left; } 2>/dev/null || fail "workers are left"  # bash says "Killed"
wait "$pid" 2>/dev/null || true

echo "# what the workers are"
nice=$(nice)
nice=$((nice < 17 ? nice + 3 : 19))  # what is asked for is absolute, and only root goes below what it has
start workers --bind 127.0.0.1:0 --workers 2 --nice "$nice" --pin --limit nofile=64:128 --no-new-privs \
  -- "$python" "$here/report.py" "$dir"
for number in 0 1; do await test -e "$dir/$number.json" || fail "worker $number did not report"; done
python3 - "$dir" "$nice" <<'END' || fail "the workers are something else"
import json, os, sys
cores = sorted(os.sched_getaffinity(0))
for number in (0, 1):
    told = json.load(open(f"{sys.argv[1]}/{number}.json"))
    assert told["nice"] == int(sys.argv[2]), told["nice"]
    assert told["nofile"] == [64, 128], told["nofile"]
    assert told["cores"] == [cores[number % len(cores)]], told["cores"]
    assert told["no_new_privs"]
END
finish "$pid"
if [ "$EUID" = 0 ]; then
  chmod 777 "$dir"
  rm "$dir"/*.json
  start nobody --bind 127.0.0.1:0 --workers 1 --user nobody --groups "" -- "$python" "$here/report.py" "$dir"
  await test -e "$dir/0.json" || fail "the worker did not report"
  python3 - "$dir" "$(id -u nobody)" "$(id -g nobody)" <<'END' || fail "the worker is somebody else"
import json, sys
told = json.load(open(sys.argv[1] + "/0.json"))
user, group = int(sys.argv[2]), int(sys.argv[3])
assert told["user"] == [user, user, group, []], told["user"]
END
  finish "$pid"
  chmod 755 "$dir"
else
  leave_out "not root: becoming somebody else"
fi

echo "# JSON lines, and no more than warnings"
start json --log json --bind 127.0.0.1:0 --workers 1 -- "${echo_worker[@]}"
kill -HUP "$pid"
await_line json '"event":"reloaded"'
kill -KILL "$(children "$pid" | sed -n 1p)"
await_line json '"event":"worker-died"'
finish "$pid"
python3 - "$dir/json.log" <<'END' || fail "the JSON lines are not as documented"
import json, sys
from datetime import datetime
events = [json.loads(line) for line in open(sys.argv[1])]
for one in events:
    assert list(one) == ["time", "level", "event", "text", "fields"], one
    assert one["level"] in ("error", "warning", "notice", "info"), one
    datetime.strptime(one["time"], "%Y-%m-%dT%H:%M:%S.%fZ")
died = next(one for one in events if one["event"] == "worker-died")
assert died["fields"]["signal"] == "9" and died["level"] == "warning", died
END
launch quiet --quiet --bind 127.0.0.1:0 --workers 1 --pid-file "$dir/pid" -- "${echo_worker[@]}"
await has_pid "$dir/pid" "$pid" || fail "it does not serve"
finish "$pid"
[ ! -s "$dir/quiet.log" ] || fail "--quiet says something"

echo "# a log that nobody reads ends nothing"
exec {unread}> >(exec true)  # made here, as it would otherwise be a child of the parent
"$tool" exec --bind 127.0.0.1:0 --workers 1 --pid-file "$dir/pid" -- "${echo_worker[@]}" 2>&"$unread" {unread}>&- &
pid=$!
exec {unread}>&-
started+=("$pid")
await has_pid "$dir/pid" "$pid" || fail "it does not serve"
await has_children "$pid" 1 || fail "it has no worker"
for round in 1 2; do
  before=$(children "$pid")
  kill -HUP "$pid"
  await pids_differ "$before" "$pid" 1 || fail "reload $round does not happen"
done
finish "$pid"
echo "all is well"
