#!/usr/bin/env bash
# What programs under `udppump exec` write to stderr: in the log, with the worker's number, and as the last words of one
# that dies.
# shellcheck source=test/exec/stage.sh
source "$(dirname -- "$0")/stage.sh" || exit 1

cat >"$dir/speaks.py" <<'END'
import os, socket, sys
udp = socket.socket(fileno=os.dup(0))
udp.setblocking(True)
print("begins", file=sys.stderr, flush=True)
while True:
    asked, peer = udp.recvfrom(65535)
    if asked == b"die": raise ValueError("asked to die \x1b[2J")
    if asked == b"flood":
        for line in range(5000): print("line", line, file=sys.stderr)
        sys.stderr.flush()
    if asked == b"closed": os.close(2)
    udp.sendto(asked, peer)
END
options=(--bind 127.0.0.1:0 --workers 1 --healthy-after 1ms)

echo "# lines with time, level and the worker's number; the last words of one that dies, before its end is told"
start text "${options[@]}" -- "$python" "$dir/speaks.py"
worker=$(children "$pid")
time='^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}[+-][0-9]{2}:[0-9]{2}'
await_line text "$time info udppump: worker 0 \(pid $worker\): begins$"
await_line text "$time notice udppump: 1 worker serves "
port=${ports[0]}
python3 -c 'import socket, sys
socket.socket(type=socket.SOCK_DGRAM).sendto(b"die", ("127.0.0.1", int(sys.argv[1])))' "$port"
await_line text "$time warning udppump: worker 0 \(pid $worker\) exited with status 1 .*; its last words: \".*ValueError: asked to die "
said text 'last words: ".*asked to die \\x1b\[2J"' || fail "the last words command a terminal"
awk '/its last words/ { died = 1 } /: ValueError/ && died && !/its last words/ { exit 1 }' "$dir/text.log" ||
  fail "a line came after its end was told"

echo "# nothing of a flood is lost, in a file"
expect "$port" flood flood
await_line text ': line 4999$'
[ "$(grep -cE 'udppump: worker 0 \(pid [0-9]+\): line [0-9]+$' "$dir/text.log")" = 5000 ] || fail "lines are missing"
expect "$port" closed closed
expect "$port" "goes on" "goes on"
finish "$pid"

echo "# as JSON, one object a line; --quiet does not silence programs"
start json "${options[@]}" --log json -- "$python" "$dir/speaks.py"
await_line json '"event":"worker-says"'
finish "$pid"
python3 - "$dir/json.log" <<'END' || fail "it is not as it should be"
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
said = [line for line in lines if line["event"] == "worker-says"]
assert said[0]["fields"]["line"] == "begins" and said[0]["fields"]["worker"] == "0", said
assert said[0]["level"] == "info", said
END
launch quiet "${options[@]}" --quiet -- "$python" "$dir/speaks.py"
await_line quiet 'worker 0 .*: begins$'
[ "$(wc -l <"$dir/quiet.log")" = 1 ] || fail "more than that: $(cat "$dir/quiet.log")"
finish "$pid"

echo "# a line that the limit keeps back has the time when it was, not when it is written"
start kept "${options[@]}" --max-workers 1 --log json -- sleep 100
has_taken_all() { grep -q '^ShdPnd:[[:space:]]*0*$' "/proc/$1/status"; }
for _ in {1..20}; do
  kill -TTIN "$pid"
  await has_taken_all "$pid"
done
sleep 0.2
before=$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)
finish "$pid"
python3 - "$dir/kept.log" "$before" <<'END' || fail "it is not as it should be"
import json, sys
refused = [line for line in map(json.loads, open(sys.argv[1])) if line["event"] == "scale-refused"]
assert refused[-1]["fields"]["like_it"] == str(20 - len(refused)), refused[-1]
assert int(refused[-1]["fields"]["like_it_ms"]) < 60_000, refused[-1]
assert refused[-1]["time"] < sys.argv[2], (refused[-1], sys.argv[2])
END

echo "# inherited, it is as the program wrote it"
launch inherits "${options[@]}" --stderr inherit -- "$python" "$dir/speaks.py"
await_line inherits '^begins$'
finish "$pid"

echo "# a log that nobody reads stops no program"
mkfifo "$dir/fifo"
exec 9<>"$dir/fifo"
"$tool" exec "${options[@]}" --pid-file "$dir/pid" -- "$python" "$dir/speaks.py" 2>&9 &
pid=$!
started+=("$pid")
await test -s "$dir/pid" || fail "it does not serve"
port=$(sed -nE 's/.*1 worker serves .*:([0-9]+)$/\1/p;T;q' <&9)
expect "$port" flood flood
expect "$port" flood flood
finish "$pid"
exec 9>&-

echo "# a line without an end is told soon, and what goes on is a piece of it"
cat >"$dir/asks.sh" <<'END'
printf '<4>are you sure? ' >&2
until [ -e "$1" ]; do sleep 0.05; done
echo yes >&2
exec sleep 100
END
start asks "${options[@]}" -- sh "$dir/asks.sh" "$dir/sure"
await_line asks 'warning udppump: worker 0 .*: are you sure\? ?\.\.\.$'
touch "$dir/sure"
await_line asks 'warning udppump: worker 0 .*: yes$'
finish "$pid"

echo "# of one that enlarged its pipe, wrote much into it and died, the last words are the last"
cat >"$dir/much.py" <<'END'
import fcntl, os, socket
F_SETPIPE_SZ = 1031
fcntl.fcntl(2, F_SETPIPE_SZ, 1 << 20)
udp = socket.socket(fileno=os.dup(0))
udp.setblocking(True)
udp.recvfrom(65535)
os.write(2, b"".join(b"line %d\n" % line for line in range(80_000)) + b"the reason\n")
os._exit(1)
END
start much "${options[@]}" -- "$python" "$dir/much.py"
worker=$(children "$pid")
kill -STOP "$pid"
python3 -c 'import socket, sys
socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", int(sys.argv[1])))' "${ports[0]}"
is_zombie() { grep -q '^State:[[:space:]]*Z' "/proc/$1/status"; }
await is_zombie "$worker" || fail "it does not end"
kill -CONT "$pid"
await_line much "worker 0 \\(pid $worker\\) exited with status 1 .*last words: \"line 79998 \\| line 79999 \\| the reason\""
said much "worker 0 \\(pid $worker\\): of what it wrote before its end, [0-9]+ bytes are left out here" ||
  fail "nothing of what is left out"
finish "$pid"

echo "# what a worker has started writes on, and is told, while it lives"
cat >"$dir/leaves.sh" <<'END'
(sleep 0.3; echo "of a child" >&2; sleep 100) &
exec sleep 100
END
start leaves "${options[@]}" --kill-mode process -- sh "$dir/leaves.sh"
await_line leaves 'worker 0 .*: of a child$'
finish "$pid" 5
echo "all is well"
