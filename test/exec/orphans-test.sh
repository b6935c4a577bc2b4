#!/usr/bin/env bash
# What workers of `udppump exec` start does not outlive them, even if it leaves their group and session and hears no
# signal; other children of the same process do.
# shellcheck source=test/exec/stage.sh
source "$(dirname -- "$0")/stage.sh" || exit 1
mkdir "$dir/told"
chmod 777 "$dir/told"
cp "$here/escapes.py" "$dir" # the sources may be in a folder of root's
chmod 644 "$dir/escapes.py"
worker=("$python" "$dir/escapes.py" "$dir/told")

stayed() { find "$dir/told" -name '[0-9]*' -printf '%f\n'; }
have_stayed() { [ "$(stayed | wc -l)" = "$1" ]; }
forget() { rm -f "$dir"/told/*; }
# starts TEXT N : the one worker starts them, and N have said that they are there
starts() {
  ask "${ports[0]}" "$1" >/dev/null
  await have_stayed "$2" || fail "not $2 have escaped"
}

descendants() {
  local each
  for each in $(children "$1"); do
    echo "$each"
    descendants "$each"
  done
}

echo "# the end of the pool"
start stop --bind 127.0.0.1:0 --workers 1 -- "${worker[@]}"
starts "escape 3" 3
left=$(stayed)
for each in $left; do ! gone "$each" || fail "the attack is broken: $each has ended by itself"; done
kill "$pid"
ended "$pid" 0
# shellcheck disable=SC2086
await all_gone $left || fail "they outlive the pool"
said stop '3 processes that workers left behind were killed' || fail "it does not say so"
forget

echo "# a reload, and the death of a worker"
start reload --bind 127.0.0.1:0 --workers 1 -- "${worker[@]}"
starts "escape 2" 2
left=$(stayed)
kill -HUP "$pid"
# shellcheck disable=SC2086
await all_gone $left || fail "they outlive a reload"
await_line reload 'udppump: reloaded 1 worker'
forget
starts "escape 1" 1
left=$(stayed)
kill -KILL "$(children "$pid" | grep -vxF "$left")"
await gone "$left" || fail "it outlives its worker"
echo "# of a worker that lives, what is in its session is left alone when another dies"
forget
finish "$pid"
start two --bind 127.0.0.1:0 --workers 2 -- "${worker[@]}"
starts "helper kind" 1
helper=$(stayed)
owner=$(awk '{ sub(/.*\) /, ""); print $4 }' "/proc/$helper/stat")
kill -KILL "$(children "$pid" | grep -vxF "$owner")"
await_line two 'was killed by signal 9'
await has_children "$pid" 2 || fail "not 2 workers again"
! gone "$helper" || fail "the helper of a worker that lives has ended"
[ ! -e "$dir/told/ended" ] || fail "it was told to end"
finish "$pid"
await gone "$helper" || fail "it outlives the pool"
[ -e "$dir/told/ended" ] || fail "it could not end as it was to"
forget

echo "# one of its group that does not end when told is killed when the time is over, at once when told twice"
start deaf --bind 127.0.0.1:0 --workers 1 --stop-timeout 100ms -- "${worker[@]}"
starts "helper deaf" 1
left=$(stayed)
kill "$pid"
ended "$pid" 5
gone "$left" || fail "it outlives the pool"
forget
start twice --bind 127.0.0.1:0 --workers 1 --stop-timeout 600 -- "${worker[@]}"
starts "helper deaf" 1
left=$(stayed)
kill "$pid"
await_line twice 'SIGTERM: stopping'
await has_children "$pid" 1 || fail "not the helper alone is left"
kill "$pid"
ended "$pid" 5
gone "$left" || fail "it outlives the pool"
forget

echo "# those that change their number all the time are caught as well"
start chain --bind 127.0.0.1:0 --workers 1 -- "${worker[@]}"
ask "${ports[0]}" "chain 4" >/dev/null
await test -e "$dir/told/chain" || fail "the chain does not start"
link=$(cat "$dir/told/chain")
goes_on() { [ "$(cat "$dir/told/chain")" != "$link" ]; }
await goes_on || fail "the attack is broken: it is no chain"
kill "$pid"
ended "$pid" 0
link=$(cat "$dir/told/chain")
sleep 0.3 # a hundred links
! goes_on || fail "they outlive the pool"
forget

echo "# when the parent is killed, what workers started is too, and the port is free"
start killed --bind 127.0.0.1:0 --workers 2 -- sh -c '"$@"; true' sh "${worker[@]}"
starts "helper deaf" 1 # of the server, which is a child of the shell that leads the group
has_all() { [ "$(descendants "$pid" | wc -l)" = 5 ]; }
await has_all || fail "not two shells, two servers and a helper: $(descendants "$pid" | xargs)"
left=$(descendants "$pid")
kill -KILL "$pid"
ended "$pid" 137
# shellcheck disable=SC2086
await all_gone $left || fail "they outlive a parent that is killed"
start again --bind "127.0.0.1:${ports[0]}" --workers 1 -- "${worker[@]}"
finish "$pid"
forget

echo "# children that were there before are left alone, and zombies are not"
# shellcheck disable=SC2016  # for the inner shell
sh -c 'sleep 600 & echo $! >"$0"; shift; exec "$@"' "$dir/before" - "$tool" exec --bind 127.0.0.1:0 --workers 1 \
  --pid-file "$dir/pid" -- "${worker[@]}" 2>"$dir/before.log" &
pid=$!
started+=("$pid")
await_line before ' worker serves '
before=$(cat "$dir/before")
started+=("$before")
ports=("$(sed -nE 's/.* worker serves 127.0.0.1:([0-9]+).*/\1/p' "$dir/before.log")")
starts "escape 1" 1
kill -KILL "$(stayed)"
await has_children "$pid" 2 || fail "what it adopted is not waited for: $(children "$pid")"
kill -HUP "$pid"
await_line before 'udppump: reloaded 1 worker'
kill "$pid"
ended "$pid" 0
! gone "$before" || fail "a child that was there before was killed"
kill "$before"
forget

echo "# as process 1, which adopts what others leave too, it kills nobody; the kernel then does"
if unshare --pid --fork --mount-proc true 2>/dev/null; then
  cat >"$dir/first" <<END
#!/bin/sh
exec unshare --pid --fork --mount-proc --kill-child "$tool" "\$@"
END
  chmod 755 "$dir/first"
  tool=$dir/first
  start first --bind 127.0.0.1:0 --workers 1 -- "${worker[@]}"
  first=$(children "$pid")
  starts "escape 1" 1
  kill -HUP "$first"
  await_line first 'udppump: reloaded 1 worker'
  has_two() { has_children "$first" 2; }
  await has_two || fail "not the worker and what escaped are left"
  left=$(children "$first")
  kill "$first"
  ended "$pid" 0
  # shellcheck disable=SC2086
  await all_gone $left || fail "they outlive process 1"
else
  leave_out "no process namespace here"
fi
echo "all is well"
