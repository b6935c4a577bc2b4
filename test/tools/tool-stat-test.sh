#!/usr/bin/env bash
# `udppump stat` beside real pools: by process id, by name, and all of them.
# shellcheck source=test/exec/stage.sh
source "$(dirname -- "$0")/../exec/stage.sh" || exit 1

# show ARGUMENT... : what it prints is in stat.log; sets code
show() {
  code=0
  "$tool" stat "$@" >"$dir/stat.log" 2>&1 || code=$?
}
shows() { said stat "$1" || fail "it does not show: $1"; }
# field EXPRESSION VALUE : of the JSON that was shown
field() {
  local got
  got=$(python3 -c 'import json, sys
pool = json.load(open(sys.argv[1]))
print(eval(sys.argv[2]))' "$dir/stat.log" "$1")
  [ "$got" = "$2" ] || fail "$1 is $got, not $2"
}
# Names that no other test uses, as their pools are seen here too.
one=stat-one-$$ two=stat-two-$$

echo "# by process id and by name"
start first --bind 127.0.0.1:0 --workers 2 --receive-buffer 64K --name "$one" -- sleep 1000
first=$pid
show "$first"
[ "$code" = 0 ] || fail "exit code $code"
shows "^$one \(pid $first\): up .*, 2 of 2 workers \(programs\), udppump "
shows "^127\.0\.0\.1:${ports[0]} +- +0 +0% +- +0 +64\.0K +64\.0K$"
shows '^1 +[0-9]+ +serving +[0-9]'
awk 'length > 80 { exit 1 }' "$dir/stat.log" || fail "a line is longer than 80 columns"
show "$one" --json
[ "$code" = 0 ] || fail "exit code $code"
field 'pool["pid"]' "$first"
field 'pool["kind"]' programs
field 'pool["traffic"]' None
field 'pool["sockets"][0]["buffer_granted_bytes"]' 65536
field 'len(pool["workers"])' 2
field 'pool["workers"][0]["usage"]["processes"]' 1

echo "# what waits, and what did not fit"
python3 - "${ports[0]}" <<'END'
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(1000):
    client.sendto(b"x", ("127.0.0.1", int(sys.argv[1])))
END
show "$one" --json
field 'pool["sockets"][0]["queued_bytes"] > 100000' True
field '0 < pool["sockets"][0]["drops"] < 1000' True

echo "# a worker that was killed"
kill -KILL "$(children "$first" | sed -n 1p)"
await_line first 'another is started'
await has_children "$first" 2
show "$first"
shows '^restarts 1, reloads 0, hung 0$'

echo "# several"
start second --bind 127.0.0.1:0 --workers 1 --name "$two" -- sleep 1000
second=$pid
show --all --json
[ "$code" = 0 ] || fail "exit code $code"
field "sorted(each['name'] for each in pool if each['pid'] in ($first, $second))" "['$one', '$two']"
show --all
shows "^$one "
shows "^$two "
show
[ "$code" = 2 ] || fail "exit code $code, not 2"
shows '^udppump: [0-9]+ pools run here: .*; say which, by process id or name$'
start third --bind 127.0.0.1:0 --workers 1 --name "$two" -- sleep 1000
third=$pid
show "$two"
[ "$code" = 2 ] || fail "exit code $code, not 2"
shows "^udppump: 2 pools are called $two: .*; say which, by process id$"

echo "# what is none"
show no-such-pool
[ "$code" = 2 ] || fail "exit code $code, not 2"
shows '^udppump: no pool is called "no-such-pool" that this user may look at; there are: '
show $$
[ "$code" = 1 ] || fail "exit code $code, not 1"
shows "^udppump: process $$ runs no pool; give"
show "$one" --all
[ "$code" = 2 ] || fail "exit code $code, not 2"
show ''
[ "$code" = 2 ] || fail "exit code $code, not 2"
for bad in 4711 'a b' a/b -x; do
  launch bad --bind 127.0.0.1:0 "--name=$bad" -- sleep 1000
  ended "$pid" 2
  said bad '; give a name' || fail "it does not say which name to give"
done
launch bad --bind 127.0.0.1:0 --status-group no-such-group -- sleep 1000
ended "$pid" 2
said bad 'no-such-group' || fail "it does not name the group"
for each in "$third" "$second" "$first"; do finish "$each"; done
show "$first"
[ "$code" = 1 ] || fail "exit code $code, not 1"
echo "all is well"
