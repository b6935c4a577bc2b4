#!/usr/bin/env bash
# `udppump exec --hang-timeout` with programs that never say WATCHDOG=1: they hang if datagrams wait and none is taken.
# shellcheck source=test/exec/stage.sh
source "$(dirname -- "$0")/stage.sh" || exit 1

works=$dir/works.py
cat >"$works" <<'END'
import os, socket, time
udp = socket.socket(fileno=os.dup(0))
udp.setblocking(True)
while True:
    asked, peer = udp.recvfrom(65535)
    if asked == b"sleep": time.sleep(1000)
    if asked == b"spin":
        while True: pass
    if asked.startswith(b"slow"): time.sleep(0.4)
    udp.sendto(asked, peer)
END

# give TEXT COUNT : sends it so often, and awaits no answer
give() {
  python3 -c 'import socket, sys
client = socket.socket(type=socket.SOCK_DGRAM)
for _ in range(int(sys.argv[3])): client.sendto(sys.argv[2].encode(), ("127.0.0.1", int(sys.argv[1])))' \
    "${ports[0]}" "$1" "$2"
}
options=(--bind 127.0.0.1:0 --workers 2 --healthy-after 1ms)

idle() {
  echo "# nothing waits: nobody is ended; nor in a service that is slow, but goes on"
  start idle "${options[@]}" --hang-timeout 1 -- "$python" "$works"
  expect "${ports[0]}" first first
  sleep 2.5
  give slow 12
  sleep 2.6
  expect "${ports[0]}" last last
  ! said idle 'worker-hung|is aborted|is killed|SIGABRT' || fail "somebody was ended"
  finish "$pid"
}

stuck() {
  local what
  for what in sleep spin; do
    echo "# all are in their handlers for ever ($what): they are aborted, and others serve"
    start "$what" "${options[@]}" --hang-timeout 1 -- "$python" "$works"
    expect "${ports[0]}" first first
    give "$what" 2
    sleep 2
    ! said "$what" 'is aborted' || fail "nothing waits for them, and they were ended"
    give waits 1
    await_line "$what" '(sleeps|runs); it has taken nothing, nor has any other .* serves 127.*, and is aborted'
    expect "${ports[0]}" next next
    [ "$(grep -c 'is aborted' "$dir/$what.log")" = 2 ] || fail "not each of the two was aborted once"
    finish "$pid"
  done
}

stopped() {
  echo "# one that is stuck cannot be told from an idle one while another serves; all that are stopped hang"
  start stopped "${options[@]}" --hang-timeout 1 -- "$python" "$works"
  expect "${ports[0]}" first first
  mapfile -t workers < <(children "$pid")
  kill -STOP "${workers[0]}"
  for _ in {1..8}; do expect "${ports[0]}" serves serves && sleep 0.2; done
  ! said stopped 'is aborted' || fail "one was ended while another served"
  kill -STOP "${workers[1]}"
  give waits 1
  await_line stopped 'is stopped by a signal; it has taken nothing, nor has any other .*, and is aborted'
  expect "${ports[0]}" next next
  finish "$pid"
}

wrapped() {
  echo "# what hangs is looked for behind a shell, too"
  start wrapped --bind 127.0.0.1:0 --workers 1 --healthy-after 1ms --hang-timeout 1 -- sh -c "$python $works; true"
  expect "${ports[0]}" first first
  local shell program
  shell=$(children "$pid")
  program=$(children "$shell")
  kill -STOP "$program"
  give waits 1
  await_line wrapped "has a process, $program, that is stopped by a signal; it has taken nothing, .*, and is aborted"
  await_line wrapped '1 process that a worker left behind was killed'
  expect "${ports[0]}" next next
  finish "$pid"
}

unserved() {
  echo "# a socket that no program ever served is no reason"
  start unserved "${options[@]}" --bind 127.0.0.1:0 --hang-timeout 1 -- "$python" "$works"
  expect "${ports[0]}" first first
  ports=("${ports[1]}")
  give stray 1
  sleep 2.5
  ! said unserved 'is aborted' || fail "somebody was ended"
  finish "$pid"
}

absent() {
  echo "# what happened while the parent itself was stopped is no reason"
  start absent "${options[@]}" --hang-timeout 1 -- "$python" "$works"
  expect "${ports[0]}" first first
  give slow 24 # 4.8 s of work for two
  sleep 0.5
  kill -STOP "$pid"
  sleep 2
  kill -CONT "$pid"
  sleep 3
  expect "${ports[0]}" last last
  ! said absent 'worker-hung|is aborted' || fail "somebody was ended"
  finish "$pid"
}

together() {
  echo "# datagrams that were sent in one go have one stamp, and are told apart all the same"
  start together --bind 127.0.0.1:0 --workers 1 --healthy-after 1ms --hang-timeout 1 -- "$python" "$works"
  expect "${ports[0]}" first first
  python3 -c 'import socket, sys
client = socket.socket(type=socket.SOCK_DGRAM)
client.setsockopt(socket.IPPROTO_UDP, 103, 6)  # UDP_SEGMENT
client.sendto(b"".join(b"slow%02d" % each for each in range(10)), ("127.0.0.1", int(sys.argv[1])))' "${ports[0]}"
  sleep 4.5
  expect "${ports[0]}" last last
  ! said together 'worker-hung|is aborted' || fail "somebody was ended"
  finish "$pid"
}

for part in idle stuck stopped wrapped unserved absent together; do beside "$part"; done
await_beside idle stuck stopped wrapped unserved absent together
echo "all is well"
