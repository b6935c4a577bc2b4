#!/usr/bin/env bash
# Programs under `udppump exec --ready notify` say themselves when they serve.
# shellcheck source=test/exec/stage.sh
source "$(dirname -- "$0")/stage.sh" || exit 1

# Says what is in the file "words" when the file "may" is there, by a child if it is to.
cat >"$dir/worker.py" <<END
import os, socket, sys, time
while not os.path.exists("$dir/may") and not os.path.exists("$dir/dies"):
    time.sleep(0.01)
if os.path.exists("$dir/dies"):
    sys.exit(3)
told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
place = "\0" + os.environ["NOTIFY_SOCKET"][1:]
with open("$dir/words") as file:
    words = file.read().encode()
if not os.path.exists("$dir/by-child"):
    told.sendto(words, place)
elif os.fork() == 0:
    told.sendto(words, place)
    time.sleep(600)
inbox = socket.socket(fileno=0)
while True:
    data, peer = inbox.recvfrom(100)
    inbox.sendto(data, peer)
END
run() {
  local name=$1
  shift
  launch "$name" --bind 127.0.0.1:0 --workers 1 --ready notify --prove-for 0 "$@" -- "$python" "$dir/worker.py"
}
descriptors() { find "/proc/$pid/fd" -type l | wc -l; }
# Of the worker, once it has executed its program.
has_place() {
  place=$(tr '\0' '\n' <"/proc/$(children "$pid" | sed -n 1p)/environ" | sed -n 's/^NOTIFY_SOCKET=//p')
  [ -n "$place" ]
}

printf 'STATUS=begins\nREADY=1\n' >"$dir/words"
run says
await has_children "$pid" 1 || fail "no worker"
await has_place || fail "no NOTIFY_SOCKET"
before=$(descriptors)
echo "# what strangers say is nothing, however much"
python3 - "$place" <<'END'
import socket, sys
told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
told.connect("\0" + sys.argv[1][1:])
for message in [b"READY=1"] * 300 + [b"", b"\0" * 4000, b"READY=1\n" * 2000]:
    told.send(message)
rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, told.fileno().to_bytes(4, sys.byteorder) * 100)]
for number in range(300):  # when these are in the queue, the others have been taken
    told.sendmsg([b"READY=1"], rights)
END
! said says ' worker serves ' || fail "a stranger makes it serve"

echo "# it serves when the worker has said so"
touch "$dir/may"
await_line says ' 1 worker serves '
[ "$(descriptors)" -le "$before" ] || fail "it keeps descriptors that strangers pass"

echo "# a reload waits for that as well"
rm "$dir/may"
old=$(children "$pid")
kill -HUP "$pid"
await has_children "$pid" 2 || fail "no new worker"
! gone "$old" || fail "the old worker has ended before the new one serves"
touch "$dir/may"
await_line says 'udppump: reloaded 1 worker'
gone "$old" || fail "the old worker is there"

echo "# and is given up if the new one dies before"
touch "$dir/dies"
old=$(children "$pid")
kill -HUP "$pid"
await_line says 'given up at worker 0: the new worker died before it served'
[ "$(children "$pid")" = "$old" ] || fail "the old one does not serve on"
rm "$dir/dies"
finish "$pid"

echo "# a process of the worker's session may say it"
touch "$dir/by-child"
run child
await_line child ' 1 worker serves '
kill "$pid"
ended "$pid" 0
rm "$dir/by-child"

echo "# who says something else is killed when the time is over"
echo 'READY=10' >"$dir/words"
run mute --start-timeout 200ms --crash-limit 2 --restart-delay 1ms
await_line mute 'did not begin to serve within 200 ms and is killed; a program is to say READY=1'
ended "$pid" 4
echo "# who says WATCHDOG=1, and then does not for --hang-timeout, is aborted; who never says so is left alone"
printf 'READY=1\nWATCHDOG=1\n' >"$dir/words"
run hangs --hang-timeout 300ms --limit core=0
await_line hangs 'worker 0 \(pid [0-9]+\) has not said WATCHDOG=1 for .*, and is aborted'
await_line hangs 'was killed by signal 6 .*another is started'
kill "$pid"
ended "$pid" 0
echo 'READY=1' >"$dir/words"
run quiet --hang-timeout 3s
await_line quiet ' 1 worker serves '
expect "$(sed -nE 's/.* serves 127.0.0.1:([0-9]+).*/\1/p' "$dir/quiet.log")" hello hello
! said quiet 'WATCHDOG' || fail "it is taken for hung"
tr '\0' '\n' <"/proc/$(children "$pid")/environ" | grep -x 'WATCHDOG_USEC=3000000' >"$dir/unused" || fail "no WATCHDOG_USEC"
kill "$pid"
ended "$pid" 0
echo "all is well"
