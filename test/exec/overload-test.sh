#!/usr/bin/env bash
# More comes than the workers of `udppump exec` can serve: what --max-wait does with the receive buffer, and what the
# log says without.
# shellcheck source=test/exec/stage.sh
source "$(dirname -- "$0")/stage.sh" || exit 1

# Answers after 10 ms with the size of the socket's receive buffer, as the kernel counts it.
cat >"$dir/slow.py" <<'END'
import signal, socket, struct, time
inbox = socket.socket(fileno=0)
outbox = inbox.dup()
inbox.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 1, 0))
signal.signal(signal.SIGTERM, lambda *_: inbox.close())
while inbox.fileno() >= 0:
    try:
        data, peer = inbox.recvfrom(65535)
        time.sleep(0.01)
        outbox.sendto(str(inbox.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)).encode(), peer)
    except OSError:
        pass
END
# flood PORT MOST : a datagram each millisecond, until an answer tells of a buffer of MOST bytes or less
cat >"$dir/flood.py" <<'END'
import socket, sys, time
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.connect(("127.0.0.1", int(sys.argv[1])))
client.settimeout(0.001)
seen = None
deadline = time.monotonic() + 60
while time.monotonic() < deadline:
    try:
        client.send(b"x")
        seen = int(client.recv(100))
        if seen <= int(sys.argv[2]):
            sys.exit(0)
    except OSError:
        pass
sys.exit("the receive buffer has %s bytes" % seen)
END

echo "# --max-wait makes the buffer as small as what is served in that time"
start short --bind 127.0.0.1:0 --workers 2 --receive-buffer 200K --max-wait 100ms -- "$python" "$dir/slow.py"
python3 "$dir/flood.py" "${ports[0]}" 80000 || fail "it does not shrink"
mapfile -t workers < <(children "$pid")
kill -KILL "${workers[0]}" # the parent then looks for what workers spoilt
await_line short 'another is started'
python3 "$dir/flood.py" "${ports[0]}" 80000 || fail "it grew"
said short 'receive buffer' && fail "what it does itself is taken for a worker's doing: $(cat "$dir/short.log")"
finish "$pid"

echo "# without, the buffer stays, and the log says what helps"
start long --bind 127.0.0.1:0 --workers 2 --receive-buffer 20K -- "$python" "$dir/slow.py"
python3 "$dir/flood.py" "${ports[0]}" 100 >"$dir/flood.log" 2>&1 & # for ever: it never is so small
flood=$!
started+=("$flood")
await_line long 'the receive buffer is full, and [0-9]+ datagrams? did not fit.*--max-wait'
kill "$flood"
finish "$pid"

echo "# limits of clients are not to be had, and why is said"
for option in --client-limit=100 --client-share; do
  launch refused "$option" --bind 127.0.0.1:0 -- /bin/true
  ended "$pid" 2
  said refused 'use a worker_pool' || fail "no cure: $(cat "$dir/refused.log")"
done

echo "# --max-age is not to be had, and --max-wait is named"
launch refused --max-age 1s --bind 127.0.0.1:0 -- /bin/true
ended "$pid" 2
said refused '--max-wait' || fail "no cure: $(cat "$dir/refused.log")"
