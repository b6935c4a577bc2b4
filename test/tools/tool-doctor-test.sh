#!/usr/bin/env bash
# `udppump doctor` beside real pools, to which is done what it should find. What it says of the machine is left alone:
# others use it, too.
# shellcheck source=test/exec/stage.sh
source "$(dirname -- "$0")/../exec/stage.sh" || exit 1

# examine PID [OPTION...] : what it says is in doctor.log; sets code
examine() {
  code=0
  "$tool" doctor "$@" >"$dir/doctor.log" 2>&1 || code=$?
}
# finds SEVERITY TEXT : of the pool that was examined
finds() { said doctor "^$1: pool [^:]*\b$pid\b[^:]*: $2" || fail "no line \"$1\" with: $2"; }
finds_not() { ! said doctor "$1" || fail "it says: $1"; }

cat >"$dir/echo.py" <<'END'
import signal, socket, sys
inbox = socket.socket(fileno=0)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
while True:
    data, peer = inbox.recvfrom(65535)
    inbox.sendto(data, peer)
END
cat >"$dir/flood.py" <<'END'
import socket, sys, time
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.connect(("127.0.0.1", int(sys.argv[1])))
while True:
    for _ in range(100):
        try:
            client.send(b"x")
        except OSError:
            pass
    time.sleep(0.01)
END

echo "# who is no pool, or nothing"
examine $$
[ "$code" = 1 ] || fail "exit code $code, not 1"
said doctor "^udppump: process $$ runs no pool; give" || fail "it does not say that it is no pool"
examine frob/7
[ "$code" = 1 ] || [ "$code" = 2 ] || fail "exit code $code for a name that no pool has" # 1: no pool runs at all

echo "# a sound pool"
start sound --bind 127.0.0.1:0 --workers 2 --limit core=unlimited -- "$python" "$dir/echo.py"
examine "$pid"
finds_not "^(wrong|warning): pool"
case $code in 0 | 3 | 4) ;; *) fail "exit code $code" ;; esac # of the machine
"$tool" doctor --json "$pid" >"$dir/doctor.json" || true
python3 - "$dir/doctor.json" "$pid" <<'END' || fail "the JSON is not as it should be"
import json, sys
told = json.load(open(sys.argv[1]))
assert len(told["pools"]) == 1 and sys.argv[2] in told["pools"][0], told
assert not [one for one in told["findings"] if "pool" in one and one["severity"] != "note"], told
assert told["exit_code"] in (0, 3, 4) and "not_looked_at" in told, told
END
examine
said doctor "pool" || [ "$code" = 0 ] || [ "$code" -ge 3 ] || fail "without a pool's id: exit code $code"

echo "# a worker that is stopped, and then all of them"
mapfile -t workers < <(children "$pid")
kill -STOP "${workers[0]}"
examine "$pid"
[ "$code" = 4 ] || fail "exit code $code, not 4"
finds wrong "worker [01] \(pid ${workers[0]}\) is stopped; kill -CONT ${workers[0]}$"
kill -STOP "${workers[1]}"
examine "$pid"
finds wrong 'no worker serves: all are stopped'
[ "$(sed -n 1p "$dir/doctor.log" | grep -c 'wrong: ')" = 1 ] || fail "the worst is not first"

echo "# more comes than is taken"
python3 "$dir/flood.py" "${ports[0]}" &
flood=$!
started+=("$flood")
drops() {
  examine "$pid"
  said doctor "127.0.0.1:${ports[0]}: the kernel drops [0-9,]+ datagrams? a second"
}
await drops || fail "drops are not found"
finds wrong "127.0.0.1:${ports[0]}: the kernel drops"
kill "$flood"
wait "$flood" 2>/dev/null || true
kill -CONT "${workers[@]}"
examine "$pid"
finds_not 'is stopped|the kernel drops [0-9,]+ datagrams? a second, as the receive buffer'
finds note "127.0.0.1:${ports[0]}: the kernel has dropped [0-9,]+ datagrams?"
finish "$pid"

echo "# a stranger on the port"
start shared --bind 127.0.0.1:0 --reuse-port --workers 1 -- "$python" "$dir/echo.py"
python3 - "${ports[0]}" <<'END' &
import socket, sys, time
beside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
beside.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
beside.bind(("127.0.0.1", int(sys.argv[1])))
time.sleep(600)
END
stranger=$!
started+=("$stranger")
sees_stranger() {
  examine "$pid"
  said doctor "has a socket on the same port"
}
await sees_stranger || fail "the stranger is not found"
finds wrong "127.0.0.1:${ports[0]}: \"python3[^\"]* \(pid $stranger\)\" of user $(id -u) \(inode [0-9]+\) has a socket on the same"
kill "$stranger"
finish "$pid"

echo "# a pid file that names another, a program that was replaced, no core files"
cp "$(command -v sleep)" "$dir/server"
start named --bind 127.0.0.1:0 --pid-file "$dir/pid" --limit core=0 -- "$dir/server" 600
examine "$pid"
finds_not 'pid file'
finds note 'workers that crash or hang leave no core file'
cp "$dir/server" "$dir/server.new"
mv "$dir/server.new" "$dir/server"
echo 1 >"$dir/pid"
examine "$pid"
[ "$code" -ge 3 ] || fail "exit code $code, not 3"
finds warning "the pid file $dir/pid names process 1, and not this pool"
finds note "workers run from a file that was replaced or removed \($dir/server\); kill -HUP $pid"
# A pool may name anything as its pid file: what waits when it is opened is not waited for.
rm "$dir/pid"
mkfifo "$dir/pid"
SECONDS=0
examine "$pid"
((SECONDS < 20)) || fail "it waits for a FIFO"
said doctor "^not looked at: the pid file $dir/pid: it may not be read" || fail "a FIFO is taken for a pid file"
rm "$dir/pid"
kill -HUP "$pid"
await_line named ' reloaded [0-9]+ workers?'
examine "$pid"
finds_not 'workers run from a file'
finish "$pid"

echo "# who may not look at all pools is told so, and not that nothing is wrong"
cp "$tool" "$dir/udppump" && chmod 755 "$dir" "$dir/udppump"
stranger=("$dir/udppump" doctor)
if [ "$(id -u)" = 0 ]; then stranger=(setpriv --reuid nobody --regid nogroup --clear-groups "${stranger[@]}"); fi
if [ "$(id -u)" != 0 ] || setpriv --reuid nobody --regid nogroup --clear-groups "$dir/udppump" --version >/dev/null; then
  "${stranger[@]}" >"$dir/doctor.log" 2>&1 || true
  said doctor "^not looked at: pools of other users: .*; run it as root$" || fail "a stranger is not told"
  ! said doctor '^nothing is wrong with' || fail "a stranger is told that nothing is wrong"
else
  leave_out "no setpriv, or nobody cannot run this build"
fi

if [ "$(id -u)" = 0 ] && unshare -n true 2>/dev/null; then
  echo "# a pool in a network namespace of its own"
  : >"$dir/apart.log"
  unshare -n sh -c 'ip link set lo up && exec "$@"' sh "$tool" exec --bind 127.0.0.1:5353 --workers 1 -- \
    "$python" "$dir/echo.py" 2>"$dir/apart.log" &
  pid=$!
  started+=("$pid")
  await_line apart ' workers? serves? '
  examine "$pid"
  said doctor "^not looked at: the network of pool .*nsenter -t $pid -n udppump doctor $pid$" ||
    fail "another network namespace goes unnoticed"
  finish "$pid"
else
  leave_out "a network namespace requires root"
fi

# What control groups there are differs from machine to machine.
group=
for folder in /sys/fs/cgroup/cpu /sys/fs/cgroup; do
  [ "$(id -u)" = 0 ] || break
  mkdir "$folder/udppump-doctor-$$" 2>/dev/null || continue
  group=$folder/udppump-doctor-$$
  { echo 1000 >"$group/cpu.cfs_quota_us" || echo "1000 100000" >"$group/cpu.max"; } 2>/dev/null && break
  rmdir "$group"
  group=
done
if [ -n "$group" ]; then
  echo "# a control group with a hundredth of a processor"
  printf '#!/bin/sh\nwhile :; do :; done\n' >"$dir/busy"
  chmod +x "$dir/busy"
  start slow --bind 127.0.0.1:0 --workers 1 -- "$dir/busy"
  for each in "$pid" $(children "$pid"); do echo "$each" >"$group/cgroup.procs"; done
  throttled() {
    examine "$pid"
    said doctor 'has used up its share of 0.01 cores of the processors [0-9]+ times? just now'
  }
  await throttled || fail "the throttled group is not found"
  finds wrong 'the control group has used up its share'
  for each in "$pid" $(children "$pid"); do echo "$each" >"${group%/*}/cgroup.procs"; done
  finish "$pid"
  gone_group() { rmdir "$group" 2>/dev/null; }
  await gone_group || fail "the control group is not empty"
else
  leave_out "no control group may be made here"
fi
echo "all is well"
