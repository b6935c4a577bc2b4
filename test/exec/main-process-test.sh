#!/usr/bin/env bash
# A parent whose end somebody takes for the end of the service leaves it to nobody.
# shellcheck source=test/exec/stage.sh
source "$(dirname -- "$0")/stage.sh" || exit 1
worker=("$python" "$examples/worker.py")
udppump=$tool

# serves_on NAME PID WHY : it refuses SIGUSR2 and another start by the path, says why, and serves on
serves_on() {
  kill -USR2 "$2"
  await_line "$1" "SIGUSR2 is not obeyed: $3"
  ! "$udppump" exec --bind "127.0.0.1:${ports[0]}" --workers 1 --take-over "$dir/path" -- "${worker[@]}" \
    2>"$dir/second.log" || fail "another start takes over"
  said second "cannot be taken over from: $3" || fail "it is not told why"
  await_line "$1" "a take-over was refused, by .*$3"
  expect "${ports[0]}" hello hello
  kill -HUP "$2"
  await_line "$1" 'udppump: reloaded 1 worker'
}
# stand_in NAME LINE : a program of this name, which executes udppump as a line of sh says; the tool from now on
stand_in() {
  printf '%s\n' '#!/bin/sh' "$2" >"$dir/$1"
  chmod 755 "$dir/$1"
  tool=$dir/$1
}
arguments=(--bind 127.0.0.1:0 --workers 1 --prove-for 0 --take-over "$dir/path" -- "${worker[@]}")

echo "# started by a supervisor"
mkdir "$dir/bin"
cp "$(readlink -e /bin/sh)" "$dir/bin/runsv"
# shellcheck disable=SC2016  # for the inner shell
stand_in supervised "exec '$dir/bin/runsv' -c '\"\$@\"; exit \$?' - '$udppump' \"\$@\""
start supervised "${arguments[@]}"
main=$(children "$pid")
serves_on supervised "$main" '"runsv" \(pid [0-9]+\), which started it, takes its end for the end of the service'
kill "$main"
ended "$pid" 0

echo "# as the main process of a unit of systemd that does not hear of another"
stand_in simple "SYSTEMD_EXEC_PID=\$\$ exec '$udppump' \"\$@\""
start simple "${arguments[@]}"
serves_on simple "$pid" 'systemd takes its end for the end of the service; set Type=notify in the unit'
finish "$pid"

if unshare --pid --fork --mount-proc true 2>/dev/null; then
  for kind in first shell; do
    # shellcheck disable=SC2016
    command='exec "$@"' why='this is process 1, with whose end the kernel ends all others here'
    # shellcheck disable=SC2016
    [ "$kind" = first ] || command='"$@"; exit $?' why='"sh" \(pid 1\), which started it, takes its end'
    echo "# of a container: $kind"
    stand_in "$kind" "exec unshare --pid --fork --mount-proc --kill-child sh -c '$command' - '$udppump' \"\$@\""
    start "$kind" "${arguments[@]}"
    main=$(children "$pid")
    [ "$kind" = first ] || main=$(children "$main")
    serves_on "$kind" "$main" "$why"
    kill "$main"
    ended "$pid" 0
  done
else
  leave_out "no process namespace here"
fi
echo "all is well"
