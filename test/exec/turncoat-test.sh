#!/usr/bin/env bash
# A worker of `udppump exec` turns against its pool: it takes what a new parent is given, does not let itself be waited
# for, and lowers the limits of its parent.
# shellcheck source=test/exec/stage.sh
source "$(dirname -- "$0")/stage.sh" || exit 1

# In the script's own folder, and in those of what is done beside it.
lay_out() {
  cp "$here/turncoat.py" "$dir" # the sources may be in a folder of root's
  chmod 644 "$dir/turncoat.py"
  mkdir "$dir/told"
  chmod 777 "$dir/told"
  worker=("$python" "$dir/turncoat.py" "$dir/told")
}

# tells WHAT COMMAND... : runs that, and sets told to what then comes of it
tells() {
  rm -f "$dir/told/told"
  "${@:2}"
  await test -e "$dir/told/told" || fail "nothing comes of: $1"
  told=$(cat "$dir/told/told")
}
# turns TEXT : has the worker do that, and sets told
has_asked() { ask "${ports[0]}" "$1" >/dev/null; }
turns() { tells "$1" has_asked "$1"; }
# attacks MODE ARGUMENT : has a process of nobody's do that, and sets attacker and told
is_started() {
  "$python" "$dir/turncoat.py" "$dir/told" "$@" &
  attacker=$!
  started+=("$attacker")
}
attacks() { tells "$1" is_started "$@"; }

# Who has taken over, by the log: sets pid
taken_over() {
  ended "$pid" 0
  pid=$(sed -nE 's/.*pid ([0-9]+) has taken over.*/\1/p' "$dir/$1.log" | tail -n 1)
  started+=("$pid")
}

traced() {
  lay_out
  echo "# a process that a worker has started traces it: a reload and a stop end that, and then the worker"
  start traced --bind 127.0.0.1:0 --workers 1 --stop-timeout 100ms -- "${worker[@]}"
  turns traced
  if [ "$told" = traces ]; then
    kill -HUP "$pid"
    await_line traced 'udppump: reloaded 1 worker'
    await has_children "$pid" 1 || fail "the worker or who traces it is left: $(children "$pid")"
    turns traced
    left=$(children "$pid")
    kill "$pid"
    ended "$pid" 5
    # shellcheck disable=SC2086
    await all_gone $left || fail "they outlive the pool"
    said traced '1 process that a worker left behind was killed' || fail "it does not say so"

    echo "# one that is nobody's: the pool tells who it is, and ends without the worker, or what SIGUSR2 executed"
    start undead --bind 127.0.0.1:0 --workers 1 --ready-after 1s --stop-timeout 100ms -- "${worker[@]}"
    undead=$pid
    attacks corpse "$undead"
    mourner=$attacker
    corpse=$told
    start kept --bind 127.0.0.1:0 --workers 1 --stop-timeout 100ms -- "${worker[@]}"
    attacks trace "$(children "$pid")"
    tracer=$attacker
    if [ "$told" = traces ]; then
      kill "$pid"
      if [[ $corpse = corpse* ]]; then
        kill "$undead"
        ended "$undead" 5
        await_line undead "process ${corpse#corpse }, which SIGUSR2 executed, was killed, .* not ended: process $mourner"
        ! said undead 'cannot be ended in time' || fail "it is taken for what a worker left"
      fi
      ended "$pid" 5
      await_line kept "was killed, and has not ended: process $tracer, which traces it, keeps it; .* ends without it"
    else
      leave_out "no process may trace what is not its own here"
      finish "$pid"
    fi
    kill -KILL "$tracer" "$mourner"
    gone "$undead" || finish "$undead"
  else
    leave_out "no process may trace another here"
    finish "$pid"
  fi
}

lowered() {
  lay_out
  echo "# limits of the parent that a worker lowers are raised again where they may be"
  start lowered --bind 127.0.0.1:0 --workers 1 -- "${worker[@]}"
  for each in nofile nproc fsize; do ask "${ports[0]}" "limit $each 1" >/dev/null; done
  for each in nofile nproc fsize; do
    await_line lowered "the resource limit $each of the pool's parent was lowered from .* to 1 by .*; it is raised again"
  done
  first=$(children "$pid")
  kill -KILL "$first"
  await_line lowered "worker 0 .pid $first. was killed by signal 9"
  second=$(ask "${ports[0]}" who)
  [ "$second" != "$first" ] || fail "it is not replaced"

  echo "# nor does what SIGUSR2 executes inherit them"
  files_of() { awk '/^Max open files/ { print $4 }' "/proc/$1/limits"; }
  whole=$(files_of "$pid")
  [ "$whole" != 64 ] || fail "it has 64 at first"
  ask "${ports[0]}" "limit nofile 64 usr2" >/dev/null
  taken_over lowered
  [ "$(files_of "$pid")" = "$whole" ] || fail "$(files_of "$pid") open files, not $whole"
  kill "$pid"
  await gone "$pid" || fail "it still runs"
}

ticks() { sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'; }
poor() {
  lay_out
  if grep -qaE '__(asan|tsan)_init' "$tool"; then # which wants a pipe to look at an object (vptr)
    leave_out "a sanitizer makes system calls of its own"
  else
    echo "# where they may not, the parent does not spin, tells, and can be stopped"
    start poor --bind 127.0.0.1:0 --workers 1 --user nobody -- "${worker[@]}"
    ask "${ports[0]}" "limit nofile 1 1" >/dev/null
    await_line poor 'limit nofile of .* was lowered from .* to 1 .*; it cannot be raised again: restart the pool'
    await_line poor 'poll: .*; looking ten times a second instead'
    before=$(ticks "$pid")
    sleep 1
    spent=$(($(ticks "$pid") - before))
    ((spent < 50)) || fail "it used $spent of 100 ticks in a second"
    ask "${ports[0]}" who >/dev/null
    lines_are poor 'ten times a second' 2 && fail "it says so again and again"
    finish "$pid"
  fi
}

# What waits for the clock.
beside traced
beside lowered
if [ "$EUID" = 0 ]; then beside poor; fi
lay_out

# catches ORDER NAME : starts a pool, and has its worker do that to a new parent before that one's workers serve; sets
# held. Fails if no process may trace another.
catches() {
  for _ in 1 2 3 4 5; do
    start "$2" --bind 127.0.0.1:0 --workers 1 --ready-after 1s --stop-timeout 100ms -- "${worker[@]}"
    turns "$1"
    [ "$told" != "may not trace" ] || return 1
    held=${told#* } # the word before the process ids says what was done
    [ "$told" != lost ] || { taken_over "$2"; kill "$pid"; await gone "$pid"; continue; }
    # shellcheck disable=SC2206
    started+=($held)
    return
  done
  fail "the new parent is never held"
}

echo "# a new parent that is stopped ends with the pool that executed it, and so do its workers"
catches hold held
kill "$pid"
ended "$pid" 5
# shellcheck disable=SC2086
await all_gone $held || fail "they outlive the pool: $held"
said held 'which SIGUSR2 executed, did not take over, did not end in time and is killed' || fail "it does not say so"

echo "# and at once if told so twice"
catches hold hurried
kill "$pid"
await_line hurried ': stopping; '
kill "$pid"
ended "$pid" 5
# shellcheck disable=SC2086
await all_gone $held || fail "they outlive the pool: $held"

echo "# a new parent that is traced and executes something else ends with the pool, and what it leaves"
if catches "swap stay" other; then
  other=$pid
  outlives=$held
  kill "$other" # which waits for it, and ends meanwhile

  echo "# and if it ends by itself, what it leaves is ended while the pool serves on"
  catches "swap leave" leaving
  # shellcheck disable=SC2086
  await all_gone $held || fail "they live on: $held"
  await_line leaving 'it ended before its workers served; going on as before'
  await_line leaving '1 process that a worker left behind was killed'
  finish "$pid"
  ended "$other" 5
  # shellcheck disable=SC2086
  await all_gone $outlives || fail "they outlive the pool: $outlives"
  said other 'which SIGUSR2 executed, did not take over, did not end in time and is killed' || fail "it does not say so"
else
  leave_out "no process may trace another here"
  finish "$pid"
fi

echo "# nobody who sends SIGUSR2 again and again keeps a start out by take-overs that succeed either"
mkdir "$dir/churned"
churned=(--bind 127.0.0.1:0 --workers 1 --stop-timeout 100ms --pid-file "$dir/churned/pid"
  --take-over "$dir/churned/socket")
start churned "${churned[@]}" -- "${worker[@]}"
churned[1]=127.0.0.1:${ports[0]}
"$python" "$dir/turncoat.py" "$dir/told" churn "$dir/churned/pid" &
sender=$!
besides+=("$sender")
await_line churned 'has taken over'
for _ in 1 2 3 4 5; do # it may be another's turn in the very moment
  launch next "${churned[@]}" -- "${worker[@]}"
  await says_or_ends next ' serves? ' "$pid" || fail "it neither serves nor ends"
  ! said next ' serves? ' || break
done
said next ' serves? ' || fail "it is kept out: $(cat "$dir/next.log")"
first=$(sed -nE '/.*pid ([0-9]+) takes the sockets over.*/{s//\1/p;q}' "$dir/churned.log")
! lines_are churned "already, by pid $first;" 9 || fail "it says so each time"
kill "$sender"
await gone "$sender" || fail "the pool does not end"
wait "$sender" || fail "what sent signals failed"
unset 'besides[-1]'

echo "# a worker that sends SIGUSR2 again and again, and stops what comes of it, keeps no start out"
mkdir "$dir/kept-folder"
start keeping --bind 127.0.0.1:0 --workers 1 --ready-after 2s --stop-timeout 100ms \
  --take-over "$dir/kept-folder/socket" -- "${worker[@]}"
first=$pid
turns keep
await_line keeping 'takes the sockets over$'
for _ in 1 2 3; do # each waits for five seconds only
  launch next --bind "127.0.0.1:${ports[0]}" --workers 1 --stop-timeout 100ms \
    --take-over "$dir/kept-folder/socket" -- "${worker[@]}"
  await says_or_ends next ' serves? ' "$pid" || fail "it neither serves nor ends"
  ! said next ' serves? ' || break
done
said next ' serves? ' || fail "it is kept out"
await gone "$first" || fail "the old pool is still there"
said keeping 'another waits to take over' || fail "the one that SIGUSR2 executed is not given up"
finish "$pid"

echo "# SIGUSR2 waits while somebody takes over by the path, and is obeyed if that fails"
start waiting --bind 127.0.0.1:0 --workers 1 --take-over "$dir/kept-folder/other" -- "${worker[@]}"
first=$pid
launch next --bind "127.0.0.1:${ports[0]}" --workers 1 --ready-after 1min --take-over "$dir/kept-folder/other" \
  -- "${worker[@]}"
await_line waiting "pid $pid takes the sockets over$"
kill -USR2 "$first"
await_line waiting 'SIGUSR2 is obeyed if the take-over by the path fails, which is under way'
kill -KILL "$pid"
pid=$first
taken_over waiting
kill "$pid"
await gone "$pid" || fail "it still runs"

echo "# SIGUSR2 that led to nothing is obeyed again after a pause"
cp "$tool" "$dir/spoilt"
whole=$tool
tool=$dir/spoilt
start pausing --bind 127.0.0.1:0 --workers 1 -- "${worker[@]}"
chmod 644 "$tool"
asks_again() {
  kill -USR2 "$pid"
  said pausing 'SIGUSR2 is obeyed in .*, as the last take-over .* has failed'
}
await asks_again || fail "it is obeyed at once"
await lines_are pausing 'cannot be executed' 2 || fail "it is not obeyed later"
finish "$pid"
tool=$whole

if [ "$EUID" != 0 ]; then
  leave_out "two users require root"
  await_beside traced lowered
  echo "all is well"
  exit 0
fi

mkdir "$dir/run"
cp "$tool" "$dir/open"
chmod 755 "$dir/open"
cp "$tool" "$dir/closed"
chmod 711 "$dir/closed"
echo "# a new parent whose file the user may read can be traced, and so has nothing by which root could be misled"
tool=$dir/open
start open --bind 127.0.0.1:0 --workers 1 --user nobody --take-over "$dir/run/socket" -- "${worker[@]}"
turns take
case $told in
  lost) taken_over open ;;
  "held: udppump 1 no "*"speaks in its place"*) await_line open 'failed: .* speaks in its place; .*going on as before' ;;
  *) fail "the worker has $told" ;;
esac
said open "the new parent gets no take-over path, as workers could take it .*user $(id -u nobody) may read $dir/open" ||
  fail "it does not say so"
said open 'chmod 711 it' || fail "it does not say what helps"
if [ "$told" != lost ]; then
  kill -USR2 "$pid"
  taken_over open
fi
await_line open "nobody can take over from this pool at \"$dir/run/socket\""
echo "# root's next start there is told who has the port"
code=0
"$tool" exec --bind "127.0.0.1:${ports[0]}" --workers 1 --user nobody --take-over "$dir/run/socket" -- "${worker[@]}" \
  2>"$dir/next.log" || code=$?
[ "$code" != 0 ] || fail "it started"
await_line next "$pid"
kill "$pid"
await gone "$pid" || fail "it still runs"

echo "# one whose file the user may not read is closed from the first instruction, and has the path"
tool=$dir/closed
start closed --bind 127.0.0.1:0 --workers 1 --user nobody --take-over "$dir/run/socket" -- "${worker[@]}"
turns take
[ "$told" = lost ] || fail "the worker has $told"
taken_over closed
! said closed 'no take-over path' || fail "it keeps the path to itself"
second=$pid
launch third --bind "127.0.0.1:${ports[0]}" --workers 1 --user nobody --take-over "$dir/run/socket" -- "${worker[@]}"
await_line third ' serves? '
await gone "$second" || fail "it does not take over"
finish "$pid"
await_beside traced lowered poor
echo "all is well"
