#!/usr/bin/env bash
# `udppump scale`, and SIGTTIN and SIGTTOU to `udppump exec`: the number of workers changes while it runs, and nothing
# is lost.
# shellcheck source=test/exec/stage.sh
source "$(dirname -- "$0")/stage.sh" || exit 1

# scales EXPECTED CODE ARGUMENT... : what `udppump scale` says, and its exit code
scales() {
  local expected=$1 code=0 said
  said=$("$tool" scale "${@:3}" 2>&1) || code=$?
  [ "$code" = "$2" ] || fail "scale ${*:3}: exit code $code, not $2: $said"
  [[ $said =~ $expected ]] || fail "scale ${*:3}: it says: $said"
}

echo "# up, down, to the same number, and what cannot be"
start pool --name scaled-$$ --bind 127.0.0.1:0 --workers 2 --max-workers 6 --ready-after 100 -- "$python" "$examples/worker.py"
python3 "$here/count.py" "${ports[0]}" "$dir/enough" "$dir/answered" >"$dir/count.log" &
client=$!
started+=("$client")
scales ': 5 workers from now on, 2 before$' 0 "$pid" 5
await has_children "$pid" 5 || fail "there are not 5 workers"
scales ': 5 workers from now on, 5 before$' 0 "scaled-$$" 5
kill -HUP "$pid"
scales ': 3 workers from now on' 0 "$pid" 3
await has_children "$pid" 3 || fail "there are not 3 workers"
await_line pool 'reloaded [0-9]+ workers'
scales 'has room for 6 workers at most; start it with --max-workers 7' 1 "$pid" 7
kill -TTIN "$pid"
await has_children "$pid" 4 || fail "SIGTTIN adds none"
kill -TTOU "$pid"
await has_children "$pid" 3 || fail "SIGTTOU takes none away"
for number in 1 6 2 5 1 4; do scales 'from now on' 0 "$pid" "$number"; done
await has_children "$pid" 4 || fail "there are not 4 workers"
kill -HUP "$pid"
await lines_are pool 'reloaded 4 workers' 1 || fail "a reload does not keep the number"
sleep 0.2
touch "$dir/enough"
ended "$client" 0
cat "$dir/count.log"
finish "$pid"

echo "# a lane keeps its workers"
start lanes --bind 127.0.0.1:0 --lane 'quick=len < 10,reserve=2' --workers 4 -- "$python" "$examples/worker.py"
scales 'goes on with 4 workers' 1 "$pid" 2
await_line lanes 'wants 2 workers instead of 4: refused, as lanes: '
scales ': 3 workers' 0 "$pid" 3
finish "$pid"

echo "# who is no pool"
sleep 100 &
stranger=$!
started+=("$stranger")
scales 'runs no pool' 1 "$stranger" 2
gone "$stranger" && fail "the signal went to a stranger"
scales 'No such process' 1 4194304 2
scales 'no pool' 2 no-such-pool 2
scales 'no pool' 2 0 2
for number in 0 4097 -1 x '' 1e3; do scales . 2 "$stranger" "$number"; done
echo "all is well"
