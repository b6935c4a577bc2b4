#!/usr/bin/env bash
# Variables of the environment that udppump reads or passes on do not stand in for what options of `udppump exec` say,
# and are told if they are ignored.
# shellcheck source=test/exec/stage.sh
source "$(dirname -- "$0")/stage.sh" || exit 1

cat >"$dir/tells.py" <<'END'
import os, socket
inbox = socket.socket(fileno=0)
while True:
    data, peer = inbox.recvfrom(65535)
    inbox.sendto((str(os.getuid()) + " " + os.environ.get(data.decode(), "unset")).encode(), peer)
END
chmod 644 "$dir/tells.py"
user=$EUID
become=()
if [ "$EUID" = 0 ]; then
  user=$(id -u nobody)
  become=(--user nobody)
fi

echo "# what a worker of a pool would be left"
# Descriptors that are open, the first of them a socket: as far as a forged one can get.
for forged in '1 1 0 3 4 5 6 udppump' "1 $$ 0 0 0 0 0 udppump" nonsense ''; do
  export UDPPUMP_INHERIT=$forged
  start "inherit" --bind 127.0.0.1:0 ${become[@]+"${become[@]}"} --workers 1 -- "$python" "$dir/tells.py"
  said inherit 'UDPPUMP_INHERIT in the environment is ignored' || fail "\"$forged\" is ignored, and nobody is told"
  expect "${ports[0]}" UDPPUMP_INHERIT "$user unset"
  finish "$pid"
done
unset UDPPUMP_INHERIT

echo "# what only the parent of workers reads"
export UDPPUMP_WORKER=7 LISTEN_FDS=5 LISTEN_PID=1 LISTEN_FDNAMES=a:b NOTIFY_SOCKET=$dir/nobody WATCHDOG_PID=1 \
  WATCHDOG_USEC=1000
start others --bind 127.0.0.1:0 ${become[@]+"${become[@]}"} --workers 1 -- "$python" "$dir/tells.py"
expect "${ports[0]}" UDPPUMP_WORKER "$user 0"
expect "${ports[0]}" LISTEN_FDS "$user 1"
expect "${ports[0]}" LISTEN_FDNAMES "$user udppump"
expect "${ports[0]}" NOTIFY_SOCKET "$user unset"
expect "${ports[0]}" WATCHDOG_USEC "$user unset"
finish "$pid"
unset UDPPUMP_WORKER LISTEN_FDS LISTEN_PID LISTEN_FDNAMES NOTIFY_SOCKET WATCHDOG_PID WATCHDOG_USEC

if ! grep -q 'without libsystemd' <<<"$("$tool" exec --log journal -- cat 2>&1)"; then
  echo "# what a service manager would have set is told if it makes no sense, and the pool serves all the same"
  # tells TEXT VARIABLE=VALUE... ; without TEXT: nothing
  tells() {
    local expected=$1
    shift
    for each; do export "${each?}"; done
    start manager --bind 127.0.0.1:0 --workers 1 -- "$python" "$dir/tells.py"
    if [ -n "$expected" ]; then
      [ "$(grep -cF -- "udppump: $expected" "$dir/manager.log")" = 1 ] || fail "$*: it does not say once: $expected"
    else
      ! grep -qE 'watchdog|service manager' "$dir/manager.log" || fail "$*: it complains"
    fi
    finish "$pid"
    unset "${@%%=*}"
  }
  for value in x -1 0 1.5 99999999999999999999; do
    tells "no watchdog is fed: WATCHDOG_USEC=$value in the environment must be numbers above 0; correct or unset them" \
      "WATCHDOG_USEC=$value"
  done
  tells 'no watchdog is fed: WATCHDOG_USEC=1000000, WATCHDOG_PID=x in the environment must be numbers above 0; correct or unset them' \
    WATCHDOG_USEC=1000000 WATCHDOG_PID=x
  tells '' WATCHDOG_USEC=1000000 WATCHDOG_PID=1 # of another process
  tells '' NOTIFY_SOCKET=@udppump-nobody
  for value in nonsense "$dir/nobody" "$dir" @; do
    tells "no service manager is notified: NOTIFY_SOCKET=$value in the environment is no path of a socket; correct or unset it" \
      "NOTIFY_SOCKET=$value"
  done
fi

echo "# a pool that is to be taken over from"
for forged in 999 0 nonsense ''; do
  code=0
  UDPPUMP_TAKE_OVER=$forged timeout 60 "$tool" exec --bind 127.0.0.1:0 -- cat >"$dir/take-over.log" 2>&1 || code=$?
  [ "$code" = 3 ] || fail "UDPPUMP_TAKE_OVER=$forged: exit code $code, not 3"
  grep -q 'UDPPUMP_TAKE_OVER names no open connection; it is for SIGUSR2 only: unset it' "$dir/take-over.log" ||
    fail "UDPPUMP_TAKE_OVER=$forged is not named"
done
echo "all is well"
