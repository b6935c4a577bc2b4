#!/usr/bin/env bash
# `udppump exec --lane`: which worker gets which lanes, and what is refused.
# shellcheck source=test/exec/stage.sh
source "$(dirname -- "$0")/stage.sh" || exit 1
needs python3

"$tool" exec --bind 127.0.0.1:0 --lane 'quick=payload[' -- /bin/true 2>"$dir/probe.log" || true
if grep -q "built without libpcap" "$dir/probe.log"; then
  leave_out "udppump was built without libpcap: lanes of exec"
  exit 0
fi

# serves_lanes NAME ARGUMENT... : sets port
serves_lanes() {
  start "$@"
  port=${ports[0]%%(*}
}
# lanes_of WORKER : the names that the program of report.py got
lanes_of() { python3 -c 'import json, sys; print(*json.load(open(sys.argv[1]))["names"])' "$dir/$1.json"; }

echo "# a worker that is reserved gets its lane alone; the others get all, in their order"
serves_lanes reserve --bind dns=127.0.0.1:0 --lane 'quick=payload[0] = 0x71,reserve=1' --workers 2 \
  -- "$python" "$here/report.py" "$dir"
said reserve 'serve 127\.0\.0\.1:[0-9]+ \(quick\), 127\.0\.0\.1:[0-9]+ \(rest\)$' || fail "the log does not name the lanes"
for text in q quick; do expect "$port" $text dns/quick; done
for text in x ""; do expect "$port" "$text" dns/rest; done
await test -e "$dir/0.json" -a -e "$dir/1.json" || fail "a worker did not start"
[ "$(lanes_of 0)" = dns/quick ] || fail "worker 0 got $(lanes_of 0)"
[ "$(lanes_of 1)" = "dns/quick dns/rest" ] || fail "worker 1 got $(lanes_of 1)"
kill -HUP "$pid"
await said reserve 'reloaded 2 workers' || fail "no reload"
expect "$port" q dns/quick
expect "$port" x dns/rest
finish "$pid"

echo "# programs that only know descriptor 0 have a lane each; the last has a name and a buffer of its own"
rm -f "$dir"/*.json
serves_lanes own --bind 127.0.0.1:0 --lane 'a=payload[0] = 0x61,workers=1' --lane 'b=payload[0] = 0x62,workers=2' \
  --lane 'last,receive-buffer=64K' --workers 4 -- "$python" "$here/report.py" "$dir"
for number in 0 1 2 3; do await test -e "$dir/$number.json" || fail "worker $number did not start"; done
for at in 0=a 1=b 2=b 3=last; do
  [ "$(lanes_of "${at%=*}")" = "udppump/${at#*=}" ] || fail "worker ${at%=*} got $(lanes_of "${at%=*}")"
done
for text in a b last; do expect "$port" $text "udppump/$text"; done
python3 -c 'import json, sys; assert json.load(open(sys.argv[1]))["receive_buffer"] == 64 * 1024' "$dir/3.json" ||
  fail "the lane has not the buffer that it was given"
finish "$pid"

echo "# a lane may be of a network's senders, alone or with an expression"
serves_lanes near --bind 127.0.0.1:0 --lane 'far,from=127.0.0.2/31,workers=1' \
  --lane 'near=payload[0] = 0x61,from=127.0.0.0/8,workers=1' --workers 3 -- "$python" "$here/report.py" "$dir"
near=$pid
expect "$port" a udppump/near
expect "$port" b udppump/rest
finish "$near"

echo "# a lane cannot be changed by a take-over; who serves goes on"
serves_lanes first --take-over "$dir/path" --bind 127.0.0.1:0 --lane 'quick=payload[0] = 0x71' --workers 1 \
  -- "$python" "$here/report.py" "$dir"
first=$pid
launch second --take-over "$dir/path" --bind "127.0.0.1:$port" --workers 1 -- "$python" "$here/report.py" "$dir"
ended "$pid" 3
said second 'has the lanes quick, rest, and this start asks for none' || fail "the reason is missing"
expect "$port" q udppump/quick
finish "$first"

# refuses CODE TEXT ARGUMENT...
refuses() {
  local code=$1 text=$2 got=0
  shift 2
  "$tool" exec --workers 2 "$@" -- /bin/true 2>"$dir/refused.log" || got=$?
  [ $got = "$code" ] || fail "$*: exit code $got, not $code"
  grep -qF -- "$text" "$dir/refused.log" || fail "$*: says $(cat "$dir/refused.log")"
}
echo "# what makes no sense is refused before anything is bound"
refuses 2 'lane quick: ' --bind 127.0.0.1:0 --lane 'quick=payload['
refuses 2 'lane quick: ' --bind 127.0.0.1:0 --lane 'quick=no such thing'
refuses 2 'has no name' --bind 127.0.0.1:0 --lane '=len < 9'
refuses 2 'has no expression' --bind 127.0.0.1:0 --lane 'quick= '
refuses 2 'a value is missing' --bind 127.0.0.1:0 --lane 'quick=len < 9,reserve'
refuses 2 '"x"' --bind 127.0.0.1:0 --lane 'quick=len < 9,workers=x'
refuses 2 '"only" is the only lane' --bind 127.0.0.1:0 --lane only
refuses 2 'choose another name' --bind 127.0.0.1:0 --lane 'rest=len < 9'
refuses 2 'reserve is given twice' --bind 127.0.0.1:0 --lane 'quick=len < 9,reserve=1, reserve=2'
refuses 2 'nowhere' --bind 127.0.0.1:0 --lane 'near,from=nowhere/8'
refuses 2 '"max-age" is no option of a lane' --bind 127.0.0.1:0 --lane 'quick=len < 9,max-age=50ms'
refuses 2 'match "payload[0]/payload[1] = 1": ' --bind 127.0.0.1:0 --lane 'quick=payload[0]/payload[1] = 1'
refuses 2 'quick: of 2 workers 2 are left' --bind 127.0.0.1:0 --lane 'quick=len < 9,reserve=2'
refuses 2 'reserve and workers exclude each other' --bind 127.0.0.1:0 --lane 'quick=len < 9,reserve=1,workers=1'
refuses 2 'is not of UDP' --bind unix:@udppump-exec-lanes --lane 'quick=len < 9'
refuses 2 'to every lane' --bind 127.0.0.1:0 --join 239.1.2.3 --lane 'quick=len < 9'

if [ "$(id -u)" = 0 ]; then
  echo "# sockets of a port belong to one user: a start without root adds no lanes to root's socket, and says so"
  cat >"$dir/passed.py" <<'END'
import os, socket, sys
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.bind(("127.0.0.1", 0))
os.dup2(one.fileno(), 3)
os.set_inheritable(3, True)
if sys.argv[1] != "0":
    os.setgroups([])
    os.setgid(int(sys.argv[1]))
    os.setuid(int(sys.argv[1]))
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
END
  cp "$tool" "$dir/udppump"
  chmod 755 "$dir/udppump"
  for user in 65534 0; do
    : >"$dir/passed.$user.log"
    "$python" "$dir/passed.py" $user "$dir/udppump" exec --lane 'quick=len < 9' --workers 1 -- sleep 100 \
      2>"$dir/passed.$user.log" &
    pid=$!
    started+=("$pid")
    if [ $user = 0 ]; then
      await_line passed.0 'serves .*\(quick\), .*\(rest\)'
      finish "$pid"
    else
      ended "$pid" 3
      said passed.$user 'only the user who opened that one, with the right to its port, or root can add lanes' ||
        fail "the reason is missing: $(cat "$dir/passed.$user.log")"
    fi
  done
else
  leave_out "two users require root"
fi
