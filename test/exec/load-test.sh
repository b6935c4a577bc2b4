#!/usr/bin/env bash
# Reloads and take-overs of `udppump exec` under steady load: every datagram is answered, and none twice.
# shellcheck source=test/exec/stage.sh
source "$(dirname -- "$0")/stage.sh" || exit 1
needs perl

# count PORT : a client in the background
count() {
  rm -f "$dir/enough"
  echo 0 >"$dir/answered"
  python3 "$here/count.py" "$1" "$dir/enough" "$dir/answered" >"$dir/count.log" &
  client=$!
  started+=("$client")
}
has_answered() { [ "$(cat "$dir/answered")" -ge "$1" ] || gone "$client"; }
# Waits until those who serve now have answered some more.
serves_on() {
  gone "$client" && fail "the client has given up: $(cat "$dir/count.log")"
  await has_answered $(($(cat "$dir/answered") + 60)) || fail "no more answers"
}
counted() {
  touch "$dir/enough"
  ended "$client" 0
  cat "$dir/count.log"
}

for file in worker.py worker.pl; do
  echo "# 20 reloads of $file"
  interpreter=$python
  [ "$file" = worker.py ] || interpreter=perl
  start "$file" --bind 127.0.0.1:0 --workers 2 --ready-after 100 --prove-for 0 --stop-timeout 60 -- "$interpreter" "$examples/$file"
  count "${ports[0]}"
  for round in {1..20}; do
    serves_on
    kill -HUP "$pid"
    await lines_are "$file" 'udppump: reloaded' "$round" || fail "reload $round did not end"
  done
  counted
  finish "$pid"
done

# taken_over OLD NAME : the pool OLD has ended because another took over; sets pid to that
taken_over() {
  ended "$1" 0
  await_line "$2" "udppump: pid [0-9]+ has taken over"
  pid=$(sed -nE 's/.*udppump: pid ([0-9]+) has taken over.*/\1/p' "$dir/$2.log" | tail -n 1)
  started+=("$pid")
  gone "$pid" && fail "the one that took over is gone"
  has_children "$pid" 2 || fail "it has not 2 workers"
}

echo "# a second start takes the sockets over, 3 times"
options=(--bind 127.0.0.1:0 --workers 2 --ready-after 300 --stop-timeout 60 --take-over "$dir/take-over")
start pool_0 "${options[@]}" -- "$python" "$examples/worker.py"
port=${ports[0]}
count "$port"
for round in 1 2 3; do
  serves_on
  old=$pid
  start "pool_$round" "${options[@]}" -- "$python" "$examples/worker.py"
  new=$pid
  [ "${ports[0]}" = "$port" ] || fail "another port: ${ports[0]}"
  taken_over "$old" "pool_$((round - 1))"
  [ "$pid" = "$new" ] || fail "pid $pid took over, not $new"
done

echo "# and one that cannot serve takes nothing over"
launch failing "${options[@]}" --crash-limit 2 -- false
ended "$pid" 4
await_line pool_3 'the take-over by .* failed: .*going on as before'
pid=$new
gone "$pid" && fail "the pool that served is gone"
serves_on
counted
finish "$pid"
[ ! -e "$dir/take-over" ] || fail "the take-over socket is left"

echo "# USR2 has a new execution take over, 3 times"
start usr2 --bind 127.0.0.1:0 --workers 2 --ready-after 300 --stop-timeout 60 --pid-file "$dir/pid" \
  -- "$python" "$examples/worker.py"
count "${ports[0]}"
for round in 1 2 3; do
  serves_on
  old=$pid
  kill -USR2 "$old"
  await lines_are usr2 'has taken over' "$round" || fail "take-over $round did not happen"
  # Only the first is a child of this shell, and can be waited for.
  await gone "$old" || fail "the one before still runs"
  pid=$(sed -nE 's/.*udppump: pid ([0-9]+) has taken over.*/\1/p' "$dir/usr2.log" | tail -n 1)
  started+=("$pid")
  [ "$(cat "$dir/pid")" = "$pid" ] || fail "the pid file has not the new id"
done
counted
kill "$pid"
await gone "$pid" || fail "the last one still runs"
[ ! -e "$dir/pid" ] || fail "the pid file is left"
echo "all is well"
