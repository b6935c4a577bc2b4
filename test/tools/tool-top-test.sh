#!/usr/bin/env bash
# `udppump top` in a real terminal, which is tmux's.
# shellcheck source=test/exec/stage.sh
source "$(dirname -- "$0")/../exec/stage.sh" || exit 1

if "$tool" top 2>&1 </dev/null | grep -c 'built without ncurses' >"$dir/without"; then
  echo "SKIPPED: built without ncurses" && exit 77
fi
needs tmux
name=top-$$
export TMUX_TMPDIR=$dir
unset TMUX

windows=0
tm() { tmux -L "test$windows" -f /dev/null "$@"; }
pane() { tm capture-pane -p >"$dir/pane.log" 2>/dev/null; }
pane_says() { pane && said pane "$1"; }
await_pane() { await pane_says "$1" || fail "the screen does not show: $1"; }
# watch_in KIND WIDTH HEIGHT ARGUMENT... : a window in which top runs, and then the shell says what it ended with
watch_in() {
  local kind=$1 width=$2 height=$3
  shift 3
  windows=$((windows + 1))  # each in a server of its own
  tm new-session -d -x "$width" -y "$height" "TERM=$kind '$tool' top $*; echo \"ended with \$?\"; exec sleep 1000"
  started+=("$(tm display-message -p '#{pid}')")  # the server, if the test fails
}
close() {
  tm kill-server
  await gone "$1" || fail "top outlives its terminal"
}
process_of_top() {
  local shell
  shell=$(tm display-message -p '#{pane_pid}')
  children "$shell" | sed -n 1p
}

echo "# no terminal"
start pool --bind 127.0.0.1:0 --workers 3 --name "$name" -- sleep 1000
pool=$pid
code=0
"$tool" top "$name" </dev/null >"$dir/none.log" 2>&1 || code=$?
[ "$code" = 1 ] || fail "exit code $code, not 1"
said none '^udppump: top needs a terminal as its input and output; udppump stat' || fail "it does not say what helps"

for kind in screen-256color vt100; do
  echo "# $kind"
  watch_in "$kind" 80 24 "$name" --interval 100ms
  await_pane "^$name \(pid $pool\)  up "
  await_pane "^127\.0\.0\.1:${ports[0]} +- +\[ +\] +0%"
  await_pane '^2 +[0-9]+ +serving +- .* 0% '
  await_pane '^q quit  s sort'
  awk 'length > 80 { exit 1 }' "$dir/pane.log" || fail "a line is longer than 80 columns"
  tm send-keys q
  await_pane '^ended with 0$'
  tm kill-server
done

echo "# terminals on which it cannot draw"
for kind in dumb no-such-kind; do
  watch_in "$kind" 200 24 "$name"
  await_pane "^udppump: .* of the kind \"$kind\".* use udppump stat$"
  await_pane '^ended with 1$'
  tm kill-server
done

echo "# keys"
watch_in screen 80 24 "$name" --interval 100ms
await_pane 'by number'
tm send-keys s
await_pane 'by handled'
tm send-keys h
await_pane '^arrows, Page Up'
tm send-keys h
await_pane '^WORKER'
tm send-keys Space
await_pane '^PAUSED '
tm send-keys Space Down End Home PPage NPage
await_pane '^0 +[0-9]+ +serving'

echo "# another size"
tm resize-window -x 40 -y 10
await_pane '^0 +[0-9]+ +serving'
awk 'length > 40 { exit 1 }' "$dir/pane.log" || fail "a line is longer than 40 columns"
tm resize-window -x 100 -y 30
await_pane 'by handled'

echo "# a worker that is replaced, and the next pool"
killed=$(children "$pool" | sed -n 1p)
kill -KILL "$killed"
await_pane '^restarts 1, '
start next --bind 127.0.0.1:0 --workers 1 --name "$name-next" -- sleep 1000
next=$pid
for ((times = 0; times < 20; ++times)); do
  tm send-keys p
  sleep 0.3
  if pane_says "^$name-next "; then break; fi
done
await_pane "^$name-next \(pid $next\)"

echo "# the pool ends, and begins again"
finish "$next"
await_pane 'has ended'
tm send-keys q
await_pane '^ended with 0$'
tm kill-server
watch_in screen 80 24 "$name" --interval 100ms
await_pane "^$name \(pid $pool\)"
finish "$pool"
await_pane 'has ended'
start pool --bind 127.0.0.1:0 --workers 1 --name "$name" -- sleep 1000
await_pane "^$name \(pid $pid\)"

echo "# it is told to end, or its terminal goes"
top=$(process_of_top)
kill "$top"
await_pane '^ended with 0$'
tm kill-server
watch_in screen 80 24 "$name"
await_pane "^$name "
close "$(process_of_top)"
finish "$pid"
echo "all is well"
