#!/usr/bin/env bash
# What the tests of `udppump exec` stand on; they source it. Takes their arguments: UDPPUMP EXAMPLES_DIR [WAITER].
here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
# shellcheck source=test/support/script.sh
source "$here/../support/script.sh" || exit 1

tool=$1
# shellcheck disable=SC2034  # for the tests
examples=$2
chmod 755 "$dir"
needs python3
# The interpreter itself: what is found in PATH may be a slow script that looks for it, or another user's.
# shellcheck disable=SC2034
python=$(readlink -e /usr/bin/python3 || python3 -c 'import sys; print(sys.executable)')

said() { grep -sqE -- "$2" "$dir/$1.log"; }
says_or_ends() { said "$1" "$2" || gone "$3"; }
await_line() { await said "$1" "$2" || fail "$1.log has no line: $2"; }
children() { tr ' ' '\n' <"/proc/$1/task/$1/children" | sed '/^$/d'; }
has_children() { [ "$(children "$1" | wc -l)" = "$2" ]; }
lines_are() { [ "$(grep -scE -- "$2" "$dir/$1.log")" -ge "$3" ]; }

# launch NAME ARGUMENT... : `udppump exec` in the background, its stderr in NAME.log; sets pid
launch() {
  local name=$1
  shift
  : >"$dir/$name.log"  # now: the background opens it some time later, and what an earlier one wrote is there until then
  "$tool" exec "$@" 2>"$dir/$name.log" &
  pid=$!
  started+=("$pid")
}

# start NAME ARGUMENT... : and waits until it serves; sets ports in the order of --bind
start() {
  launch "$@"
  await says_or_ends "$1" ' workers? serves? ' "$pid" || fail "$1 does not serve"
  said "$1" ' workers? serves? ' || fail "$1 ended instead of serving"
  # shellcheck disable=SC2034
  mapfile -t ports < <(sed -nE 's/.* workers? serves? ([^"]*).*/\1/p' "$dir/$1.log" | tail -n 1 | tr -d ' ' |
    tr , '\n' | sed 's/.*://')
}

# ended PID CODE : it ends by itself, with this exit code
ended() {
  local code=0
  { await gone "$1"; } 2>/dev/null || fail "pid $1 still runs"  # bash says "Killed"
  wait "$1" || code=$?
  [ "$code" = "$2" ] || fail "exit code $code, not $2"
}

# finish PID [CODE] : told to stop, it ends with this exit code, 0 otherwise, and none of its children is left
finish() {
  local left
  left=$(children "$1")
  kill "$1"
  ended "$1" "${2:-0}"
  # shellcheck disable=SC2086
  await all_gone $left || fail "workers are left"
}

# ask PORT TEXT : sends the text, again each second, and prints the first answer
ask() {
  python3 - "$1" "$2" <<'END'
import socket, sys, time
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(1)
client.connect(("127.0.0.1", int(sys.argv[1])))
deadline = time.monotonic() + 30
while time.monotonic() < deadline:
    try:
        client.send(sys.argv[2].encode())
        print(client.recv(65535).decode())
        break
    except OSError:
        time.sleep(0.05)
END
}
# expect PORT TEXT ANSWER
expect() {
  local got
  got=$(ask "$1" "$2")
  [ "$got" = "$3" ] || fail "asked \"$2\", expected \"$3\", got \"$got\""
}
