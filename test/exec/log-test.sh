#!/usr/bin/env bash
# What `udppump exec` has to say, to whom nobody listens: the parent never waits for a log that is not read, nor for a
# service manager that does not take what it is told.
# shellcheck source=test/exec/stage.sh
source "$(dirname -- "$0")/stage.sh" || exit 1

# fill FIFO SIZE: the FIFO holds one page, with so much in it; it stays open, unread, in this shell as descriptor 9
fill() {
  mkfifo "$1"
  exec 9<>"$1"
  "$python" - "$2" <<'END'
import fcntl, os, sys
F_SETPIPE_SZ = 1031
fcntl.fcntl(9, F_SETPIPE_SZ, 4096)
os.write(9, b"x" * int(sys.argv[1]))
END
}

# worker_of PID: waits for it, too
worker_of() {
  await child_is_there "$1" >/dev/null || return 1
  children "$1" | sed -n 1p
}
child_is_there() { [ -n "$(children "$1")" ]; }
# Of `pid`: `worker` is killed, and is the next one then.
kill_and_await_another() {
  kill -KILL "$worker"
  await another_than "$pid" "$worker" || fail "worker $worker was not replaced"
  worker=$(children "$pid")
}
another_than() { local now; now=$(children "$1") && [ -n "$now" ] && [ "$now" != "$2" ]; }

for form in text json; do
  echo "# a pipe that is full and that nobody reads: workers are replaced, and SIGTERM ends it ($form)"
  fill "$dir/$form.fifo" 4060
  "$tool" exec --log "$form" --bind 127.0.0.1:0 --workers 1 --healthy-after 1ms -- sleep 100 2>&9 &
  pid=$!
  started+=("$pid")
  worker=$(worker_of "$pid") || fail "no worker is there"
  for _ in 1 2 3; do kill_and_await_another; done
  echo "# who reads at last is told how much was lost"
  dd bs=4096 count=1 <&9 >/dev/null 2>&1
  kill_and_await_another
  dd bs=4096 count=1 <&9 >"$dir/$form.log" 2>/dev/null
  said "$form" '[0-9]+ lines of this log were lost, as nobody read them' || fail "nothing of what was lost"
  said "$form" 'another is started' || fail "the line after it is missing"
  kill "$pid"
  ended "$pid" 0
  exec 9>&-
done

# manage NAME: sets manager
manage() {
  mkdir "$dir/$1"
  "$python" "$here/full_manager.py" "$dir/$1" >"$dir/$1.log" &
  manager=$!
  started+=("$manager")
  await test -e "$dir/$1/is_full" || fail "the queue is not full"
}

echo "# a service manager that takes nothing is told as soon as it does"
manage late
NOTIFY_SOCKET=$dir/late/notify start told --bind 127.0.0.1:0 --workers 1 -- sleep 100
worker=$(children "$pid")
kill_and_await_another
touch "$dir/late/listen"
await_line late '^READY=1$'
await_line late '^STATUS=1 of 1 workers serve, 1 restart$'
[ "$(grep -c '^READY=1$' "$dir/late.log")" = 1 ] || fail "it said READY=1 more than once"
finish "$pid"
await_line late '^STOPPING=1$'
ended "$manager" 0

echo "# one that never does so does not keep it from ending"
manage never
NOTIFY_SOCKET=$dir/never/notify start unheard --bind 127.0.0.1:0 --workers 1 -- sleep 100
finish "$pid"

echo "# a terminal whose output a worker stops"
cat >"$dir/stops.py" <<'END'
import sys, termios, time
termios.tcflow(2, termios.TCOOFF)
open(sys.argv[1], "w").close()
time.sleep(600)
END
"$python" "$here/at_terminal.py" "$tool" exec --bind 127.0.0.1:0 --workers 1 --stderr inherit --pid-file "$dir/pid" -- \
  "$python" "$dir/stops.py" "$dir/stopped" >"$dir/terminal.log" 2>&1 &
at=$!
started+=("$at")
await test -e "$dir/stopped" || fail "the worker did not stop the terminal"
await test -s "$dir/pid" || fail "it does not serve"
pid=$(cat "$dir/pid")
worker=$(children "$pid")
for _ in 1 2 3; do kill_and_await_another; done
kill "$pid"
await gone "$pid" || fail "it still runs"
ended "$at" 0
echo "all is well"
