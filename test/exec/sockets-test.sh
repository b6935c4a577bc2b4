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

! said spoilt 'IP_TTL.*undone' || fail "an option of the program's own was undone"
[ "$(grep -c '"event":"socket-as-left".*IP_TTL = 3 instead of' "$dir/spoilt.log")" = 1 ] ||
  fail "what a program set for all is not told once"
finish "$pid"

cat >"$dir/sets.py" <<'END'
import fcntl, os, signal, socket, time
inbox = socket.socket(fileno=0)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
while True:
    try:
        data, peer = inbox.recvfrom(65535, 0 if os.get_blocking(0) else socket.MSG_DONTWAIT)
    except BlockingIOError:
        time.sleep(0.01)
        continue
    if data == b"set":
        os.set_blocking(0, False)
        inbox.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 3)
    blocked = [line.split()[1] for line in open("/proc/self/status") if line.startswith("SigBlk")][0]
    state = "%s %d %s" % (os.get_blocking(0), inbox.getsockopt(socket.IPPROTO_IP, socket.IP_TTL), int(blocked, 16))
    inbox.sendto(state.encode(), peer)
    if data == b"end":
        os._exit(1)
    if data == b"signal":  # from now on, whoever this worker is, each datagram kills the parent
        fcntl.fcntl(0, fcntl.F_SETOWN, os.getppid())
        fcntl.fcntl(0, fcntl.F_SETSIG, signal.SIGRTMIN + 7)
        fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC if hasattr(os, "O_ASYNC") else 0o20000)
        socket.socket(type=socket.SOCK_DGRAM).sendto(b"", inbox.getsockname())
        os._exit(1)
END
chmod 644 "$dir/sets.py"
for workers in 1 2; do
  start "sets$workers" --bind 127.0.0.1:0 ${as[@]+"${as[@]}"} --workers "$workers" --restart-delay 1ms:10ms \
    --crash-limit 1000 -- "$python" "$dir/sets.py"
  port=${ports[0]}
  first=$(ask "$port" hello)
  [[ $first == "True "*" 0" ]] || fail "a worker begins with \"$first\": a socket that does not wait, or signals blocked"
  expect "$port" set "False 3 0"
  expect "$port" end "False 3 0"
  await lines_are "sets$workers" 'exited with status 1' 1
  if [ "$workers" = 1 ]; then
    echo "# what a program set, the next one finds undone if no other lives"
    expect "$port" hello "$first"
  else
    echo "# ... and as it is, if others live by it"
    expect "$port" hello "False 3 0"
  fi
  echo "# a datagram that is to signal the parent does not end it"
  ask "$port" signal >"$dir/unused"
  await_line "sets$workers" 'was made to send signal [0-9]+ to process [0-9]+ whenever something arrives .O_ASYNC. by a worker; undone'
  [ -n "$(ask "$port" hello)" ] || fail "nobody answers any more"
  finish "$pid"
done

echo "# a socket that was passed is handed on as it was passed, and not as a worker left it"
cat >"$dir/passes.py" <<'END'
import os, socket, sys
unit = socket.socket(type=socket.SOCK_DGRAM)
unit.bind(("127.0.0.1", 0))
if unit.fileno() != 3:
    os.dup2(unit.fileno(), 3)
os.set_inheritable(3, True)
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = "1"
os.execv(sys.argv[1], sys.argv[1:])
END
cat >"$dir/routes.py" <<'END'
import os, signal, socket
inbox = socket.socket(fileno=0)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
while True:
    data, peer = inbox.recvfrom(65535)
    inbox.sendto(b"%d" % inbox.getsockopt(socket.SOL_SOCKET, socket.SO_DONTROUTE), peer)
    if data == b"spoil":
        inbox.setsockopt(socket.SOL_SOCKET, socket.SO_DONTROUTE, 1)
    if data == b"leave":
        inbox.setsockopt(socket.IPPROTO_UDP, 103, 1)  # UDP_SEGMENT
END
mkdir "$dir/for-take-over"
chmod 755 "$dir/for-take-over"
kept=(--workers 1 --ready-after 1ms --take-over "$dir/for-take-over/socket" -- "$python" "$dir/routes.py")
python3 "$dir/passes.py" "$tool" exec "${kept[@]}" 2>"$dir/first.log" &
first=$!
started+=("$first")
await_line first ' workers? serves? '
port=$(sed -nE 's/.* workers? serves? 127\.0\.0\.1:([0-9]+).*/\1/p' "$dir/first.log")
expect "$port" spoil 0
ask "$port" hello >"$dir/unused"  # so that it is spoilt by now
launch second "${kept[@]}"
await_line second ' workers? serves? '
ended "$first" 0
expect "$port" hello 0
! said second 'was passed with' || fail "what is as in a new socket is told to be odd"
echo "# ... and what a program left is told by the next one"
expect "$port" leave 0
ask "$port" hello >"$dir/unused"
second=$pid
launch third "${kept[@]}"
await_line third 'socket 127.0.0.1:[0-9]+ .* was passed with UDP_SEGMENT = 1 instead of 0, and is kept so'
await_line third ' workers? serves? '
ended "$second" 0
finish "$pid"

cat >"$dir/nonblocking.py" <<'END'
import os, sys
os.set_blocking(0, False)
os.execvp(sys.argv[1], sys.argv[1:])
END
chmod 644 "$dir/nonblocking.py"
# Who spins never sleeps, whatever else the machine does.
sleeps() {
  for _ in {1..10}; do grep -q '^State:[[:space:]]*S' "/proc/$1/status" || return 1; done
}
for example in "$python $examples/worker.py" "perl $examples/worker.pl"; do
  # shellcheck disable=SC2086
  if ! command -v ${example%% *} >"$dir/unused"; then
    leave_out "no ${example%% *} here"
    continue
  fi
  echo "# ${example##*/}: answers on a socket that another program made non-blocking, and does not spin"
  # shellcheck disable=SC2086
  start "${example##*.}-waits" --bind 127.0.0.1:0 --workers 2 -- "$python" "$dir/nonblocking.py" $example
  expect "${ports[0]}" hello hello
  for worker in $(children "$pid"); do
    await sleeps "$worker" || fail "${example##*/} spins"
  done
  finish "$pid"
done
echo "# a port alone is served by IPv4 where there is no IPv6, also by a pool that takes over"
code=0
"$python" "$here/no_ipv6.py" true || code=$?
if [ "$code" = 77 ]; then
  leave_out "the number of socket(2) is not known here"
else
  "$python" "$here/no_ipv6.py" "$tool" exec --bind dns=:0 --workers 1 --take-over "$dir/four" -- \
    "$python" "$examples/worker.py" 2>"$dir/four.log" &
  pid=$!
  started+=("$pid")
  await_line four ' worker serves 0\.0\.0\.0:[0-9]+$'
  said four 'there is no IPv6 here .*: 0\.0\.0\.0:0 is served in place of \[::\]:0$' || fail "it does not say so"
  port=$(sed -nE 's/.* serves 0\.0\.0\.0:([0-9]+)$/\1/p' "$dir/four.log")
  expect "$port" hello hello
  "$python" "$here/no_ipv6.py" "$tool" exec --bind "dns=:$port" --workers 1 --take-over "$dir/four" -- \
    "$python" "$examples/worker.py" 2>"$dir/next.log" &
  next=$!
  started+=("$next")
  ended "$pid" 0
  expect "$port" hello hello
  said next "serves 0\.0\.0\.0:$port\$" || fail "another address is served"
  finish "$next"
  code=0
  "$python" "$here/no_ipv6.py" "$tool" exec --bind :0 --v6only --workers 1 -- cat 2>"$dir/six.log" || code=$?
  [ "$code" = 3 ] || fail "--v6only without IPv6 ended with $code"
  said six 'there is no IPv6 here' || fail "it does not say why"
fi
echo "all is well"
