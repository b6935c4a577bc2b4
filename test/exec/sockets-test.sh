#!/usr/bin/env bash
# A program that spoils the socket which it shares with its copies: the parent notices, tells and mends, and the port
# answers again.
# shellcheck source=test/exec/stage.sh
source "$(dirname -- "$0")/stage.sh" || exit 1

cat >"$dir/spoils.py" <<'END'
import os, socket
inbox = socket.socket(fileno=0)
inbox.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 3)  # which is this program's to choose
while True:
    try:
        data, peer = inbox.recvfrom(65535)
        inbox.sendto(data, peer)
    except OSError:
        os._exit(1)
    if data == b"connect":
        inbox.connect(("127.0.0.1", 9))
        os._exit(1)
    if data == b"shut down":
        try:
            inbox.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # ENOTCONN, and it is shut down all the same
        os._exit(1)
END
chmod 644 "$dir/spoils.py"
as=()
[ "$EUID" != 0 ] || as=(--user nobody)
start spoilt --bind 127.0.0.1:0 ${as[@]+"${as[@]}"} --workers 2 --restart-delay 1ms:10ms --crash-limit 1000 --log json \
  -- "$python" "$dir/spoils.py"
port=${ports[0]}

echo "# connected: dissolved"
expect "$port" connect connect
await_line spoilt '"event":"socket-changed".*was connected to 127.0.0.1:9 by a worker; undone'
expect "$port" hello hello

echo "# shut down: a new socket"
expect "$port" "shut down" "shut down"
await_line spoilt '"event":"socket-replaced".*was shut down by a worker'
expect "$port" hello hello
if [ "$EUID" = 0 ] && [ "$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start)" -gt 600 ]; then
  echo "# shut down, on a port that only root may bind to: told, with the cure"
  low=$(python3 -c 'import socket
for port in range(600, 1024):
    try:
        socket.socket(type=socket.SOCK_DGRAM).bind(("127.0.0.1", port))
        print(port)
        break
    except OSError:
        pass')
  spoilt=$pid
  start low --bind "127.0.0.1:$low" --user nobody --workers 1 --crash-limit 1000 -- "$python" "$dir/spoils.py"
  expect "$low" "shut down" "shut down"
  await_line low 'binding one was refused: .*CAP_NET_BIND_SERVICE.*; restart the pool'
  finish "$pid"
  pid=$spoilt
else
  leave_out "not root, or every port is everybody's"
fi

! said spoilt IP_TTL || fail "an option of the program's own was undone"
finish "$pid"
echo "all is well"
