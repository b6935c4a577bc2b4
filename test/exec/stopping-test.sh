#!/usr/bin/env bash
# When a worker of `udppump exec` has ended, whom it is told to, and what is served before.
# shellcheck source=test/exec/stage.sh
source "$(dirname -- "$0")/stage.sh" || exit 1

# Forks for each datagram, as a TFTP server does; "slow" is answered when the file "go" is there.
cat >"$dir/forking.py" <<END
import os, signal, socket, sys, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
inbox = socket.socket(fileno=0)
while True:
    data, peer = inbox.recvfrom(100)
    if os.fork() == 0:
        if data == b"slow":
            open("$dir/begun", "w").close()
            while not os.path.exists("$dir/go"):
                time.sleep(0.01)
        inbox.sendto(data, peer)
        sys.exit()
END
# asks_slowly : the answer will be in "answer"; goes on when a worker has begun with it
asks_slowly() {
  rm -f "$dir/begun" "$dir/go" "$dir/answer"
  python3 - "${ports[0]}" >"$dir/answer" <<'END' &
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(30)
client.sendto(b"slow", ("127.0.0.1", int(sys.argv[1])))
print(client.recv(100).decode())
END
  client=$!
  started+=("$client")
  await test -e "$dir/begun" || fail "the request was not taken"
}
is_answered() {
  wait "$client" || fail "no answer"
  [ "$(cat "$dir/answer")" = slow ] || fail "got \"$(cat "$dir/answer")\""
}

echo "# --kill-mode process: what a worker has forked for a request finishes it, and a reload waits for that"
start forks --bind 127.0.0.1:0 --workers 1 --prove-for 0 --stop-timeout 50 --kill-mode process -- \
  "$python" "$dir/forking.py"
asks_slowly
old=$(children "$pid" | sed -n 1p)
kill -HUP "$pid"
await gone "$old" || fail "the old worker was not told to stop"
expect "${ports[0]}" new new
! said forks 'reloaded 1 worker' || fail "the reload is over although a request is under way"
touch "$dir/go"
is_answered
await_line forks 'udppump: reloaded 1 worker'

echo "# and so does a stop"
asks_slowly
kill "$pid"
await_line forks 'SIGTERM: stopping'
touch "$dir/go"
is_answered
ended "$pid" 0

echo "# a reload waits until what a worker's wrapper left has ended, or was killed"
cat >"$dir/deaf.py" <<END
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with open("$dir/stub.new", "w") as file:
    print(os.getpid(), file=file)
os.rename("$dir/stub.new", "$dir/stub")
while True:
    signal.pause()
END
start wrapped --bind 127.0.0.1:0 --workers 1 --prove-for 0 --stop-timeout 1 -- sh -c "$python $dir/deaf.py; true"
await test -e "$dir/stub" || fail "no stub"
stub=$(cat "$dir/stub")
started+=("$stub")
kill -HUP "$pid"
await_line wrapped 'udppump: reloaded 1 worker'
gone "$stub" || fail "the old worker's stub outlives the reload"
seconds=$(sed -nE 's/.*reloaded 1 worker in ([0-9.]+) s$/\1/p' "$dir/wrapped.log")
python3 -c "import sys; sys.exit(not 1 <= float('$seconds') < 5)" || fail "the reload took $seconds s, not the timeout"
started+=("$(cat "$dir/stub")")
kill "$pid"
ended "$pid" 5

# Serves slowly: ten datagrams take a second.
cat >"$dir/slow.py" <<END
import socket, time
inbox = socket.socket(fileno=0)
while True:
    data, peer = inbox.recvfrom(100)
    time.sleep(0.1)
    inbox.sendto(data, peer)
END
# send_burst : ten datagrams at once; how many were answered is in "count" when the client ends
send_burst() {
  rm -f "$dir/sent"
  python3 - "${ports[0]}" "$dir/sent" >"$dir/count" <<'END' &
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(10):
    client.sendto(b"%d" % number, ("127.0.0.1", int(sys.argv[1])))
open(sys.argv[2], "w").close()
client.settimeout(3)
answers = 0
try:
    while answers < 9:
        client.recv(100)
        answers += 1
except TimeoutError:
    pass
print(answers)
END
  client=$!
  started+=("$client")
  await test -e "$dir/sent" || fail "nothing was sent"
}

echo "# --drain: what waits is served before the stop"
start drained --bind 127.0.0.1:0 --workers 1 --drain 30 -- "$python" "$dir/slow.py"
send_burst
kill "$pid"
ended "$pid" 0
wait "$client"
# The last one is in work when the queue is empty, and this program does not finish it.
[ "$(cat "$dir/count")" = 9 ] || fail "$(cat "$dir/count") of 9 were answered"
said drained 'SIGTERM: serving what waits in the queues, for 30.0 s at most' || fail "it is not said"
! said drained 'had not been served' || fail "something was left"

echo "# not for longer than told, and a second signal ends it; what was left is said"
start hurried --bind 127.0.0.1:0 --workers 1 --drain 30 -- "$python" "$dir/slow.py"
send_burst
kill "$pid"
await_line hurried 'serving what waits'
kill "$pid"
ended "$pid" 0
said hurried '[1-9] datagrams in the queue of 127.0.0.1:[0-9]+ had not been served, and are lost' || fail "nothing left?"
start short --bind 127.0.0.1:0 --workers 1 --drain 100ms -- "$python" "$dir/slow.py"
send_burst
kill "$pid"
ended "$pid" 0
said short '[1-9] datagrams in the queue of .* had not been served' || fail "nothing left?"

echo "# without it, the stop is at once"
start undrained --bind 127.0.0.1:0 --workers 1 -- "$python" "$dir/slow.py"
send_burst
kill "$pid"
ended "$pid" 0
said undrained '[1-9] datagrams in the queue of .* had not been served' || fail "nothing left?"
! said undrained 'serving what waits' || fail "it waits"
echo "all is well"
