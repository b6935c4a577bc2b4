#!/usr/bin/env bash
# An interface that a socket is bound to, or has joined a group on, is deleted and made again under programs: the parent
# tells both, blames no worker, and they receive again.
# shellcheck source=test/exec/stage.sh
source "$(dirname -- "$0")/stage.sh" || exit 1

if [ -z "${IN_OWN_NETWORK:-}" ]; then
  needs ip unshare nsenter
  unshare -n true 2>"$dir/unused" || {
    leave_out "a network namespace requires root"
    exit 0
  }
  rm -rf "$dir"
  IN_OWN_NETWORK=1 exec unshare -n "$0" "$@"
fi

ip link set lo up
unshare -n sleep 600 &
there=$!
started+=("$there")
# So that a veth and its peer have different numbers: see test/support/network.hpp.
ip link add one type veth peer name other && ip link del one
is_apart() { [ "$(readlink "/proc/$there/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }
await is_apart || fail "no second network"
lay() {
  ip link add v0 type veth peer name v1 netns "$there"
  ip addr add 10.9.0.1/24 dev v0
  ip link set v0 up
  nsenter -n -t "$there" ip addr add 10.9.0.2/24 dev v1
  nsenter -n -t "$there" ip link set v1 up
}
# The parent looks soon after a death, or else within five seconds.
look() { children "$pid" | xargs -r kill -9 || true; }
# arrives LOG TO TEXT : what is sent from the other end of the wire
arrives() {
  nsenter -n -t "$there" python3 - "$2" "$3" <<'END' && said "$1" ": got $3$"
import socket, sys
client = socket.socket(type=socket.SOCK_DGRAM)
client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"v1")
client.sendto(sys.argv[2].encode(), (sys.argv[1], 7000))
END
}
cat >"$dir/reads.py" <<'END'
import os, signal, socket
inbox = socket.socket(fileno=0)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
while True:
    os.write(2, b"got %s\n" % inbox.recv(65535))
END
chmod 644 "$dir/reads.py"
lay
restarts=(--workers 1 --restart-delay 1ms:10ms --crash-limit 1000 -- "$python" "$dir/reads.py")

# goes_and_comes NAME TO LINE-OF-GOING LINE-OF-COMING OPTION...
goes_and_comes() {
  local name=$1 to=$2 gone_line=$3 back_line=$4
  shift 4
  echo "# $name"
  start "$name" --bind 0.0.0.0:7000 "$@" "${restarts[@]}"
  await arrives "$name" "$to" before || fail "nothing arrives"
  ip link del v0
  look
  await_line "$name" "$gone_line"
  lay
  look
  await_line "$name" "$back_line"
  await arrives "$name" "$to" after || fail "nothing arrives on the new interface"
  ! said "$name" 'by a worker' || fail "a worker is blamed"
  finish "$pid"
}
goes_and_comes device 10.9.0.1 'socket 0\.0\.0\.0:7000: interface "v0" was deleted' \
  'interface "v0" was deleted and made again: the socket is bound to the new one' --device v0
goes_and_comes group 239.1.2.3 'group 239\.1\.2\.3 on interface "v0": the interface was deleted' \
  'group 239\.1\.2\.3 on interface "v0": .* joined again' --join 239.1.2.3%v0
goes_and_comes unprivileged 10.9.0.1 'interface "v0" was deleted' \
  'bound to interface "v0", which was deleted and made again.*CAP_NET_RAW.*one was bound' --device v0 --user nobody
echo "all is well"
