#!/usr/bin/env bash
# The example relay: workers with an event loop of their own, which ask a backend, lose no answer at reloads and stops.
#
#   relay-test.sh RELAY SOURCE
# shellcheck source=test/support/script.sh
source "$(dirname -- "$0")/../support/script.sh" || exit 1
needs python3
relay=$1 source=$2

# Answers each after 10 to 100 ms, "silent" never. Writes its port into "backend".
cat >"$dir/backend.py" <<END
import heapq, os, random, select, socket, time
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
server.bind(("127.0.0.1", 0))
with open("$dir/backend.new", "w") as file:
    print(server.getsockname()[1], file=file)
os.rename("$dir/backend.new", "$dir/backend")
due = []
while True:
    wait = max(0, due[0][0] - time.monotonic()) if due else 1
    if select.select([server], [], [], wait)[0]:
        data, peer = server.recvfrom(65535)
        if not data.endswith(b"silent"):
            heapq.heappush(due, (time.monotonic() + random.uniform(0.01, 0.1), data, peer))
    while due and due[0][0] <= time.monotonic():
        _, data, peer = heapq.heappop(due)
        try:
            server.sendto(data, peer)
        except OSError:
            pass  # a worker before has ended
END
python3 "$dir/backend.py" &
started+=("$!")
await test -e "$dir/backend" || fail "no backend"

: >"$dir/relay.log"
"$relay" 127.0.0.1:0 "127.0.0.1:$(cat "$dir/backend")" 2>"$dir/relay.log" &
pid=$!
started+=("$pid")
says() { [ "$(grep -cE -- "$1" "$dir/relay.log")" -ge "${2:-1}" ]; }
await says ' 2 workers serve ' || fail "it does not serve"
port=$(sed -nE 's/.* 2 workers serve 127.0.0.1:([0-9]+).*/\1/p' "$dir/relay.log")

echo "# ten reloads under load: each request is answered once"
python3 "$source/test/exec/count.py" "$port" "$dir/enough" "$dir/answered" >"$dir/count.log" &
client=$!
started+=("$client")
has_answered() { [ -e "$dir/answered" ] && [ "$(cat "$dir/answered")" -ge "$1" ]; }
await has_answered 50 || fail "nothing is answered"
for round in {1..10}; do
  kill -HUP "$pid"
  await says 'udppump: reloaded 2 workers' "$round" || fail "reload $round did not end"
  await has_answered $(($(cat "$dir/answered") + 30)) || fail "no more answers"
done
touch "$dir/enough"
wait "$client" || fail "answers were lost"
cat "$dir/count.log"
! says ' died|killed' || fail "a worker did not end by itself"

echo "# a stop waits for what is under way, and not for longer than the worker does"
python3 - "$port" "$dir/asked" >"$dir/last" <<'END' &
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(10)
for text in [b"silent"] + [b"%d" % number for number in range(20)]:
    client.sendto(text, ("127.0.0.1", int(sys.argv[1])))
client.recv(100)
open(sys.argv[2], "w").close()
answers = 1
try:
    while answers < 20:
        client.recv(100)
        answers += 1
except TimeoutError:
    pass
print(answers)
END
client=$!
started+=("$client")
await test -e "$dir/asked" || fail "nothing was answered"
kill "$pid"
wait "$pid" || fail "exit code $?"
wait "$client"
[ "$(cat "$dir/last")" = 20 ] || fail "$(cat "$dir/last") of 20 were answered"
! says 'killed' || fail "a worker was killed"

code=0
"$relay" 127.0.0.1:0 2>"$dir/refused.err" || code=$?
[ "$code" = 1 ] || fail "one address alone: exit code $code, not 1"
grep -qx 'relay: give two addresses: where to serve, and the backend.s' "$dir/refused.err" || fail "it does not say why"
echo "all is well"
