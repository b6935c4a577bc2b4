#!/usr/bin/env bash
# Runs the small examples and asks them with socat, as a reader of the README would.
#
#   examples-test.sh ECHO [SEED_SYNOPSIS]
set -euo pipefail

command -v socat >/dev/null || { echo "SKIPPED: socat is not installed" && exit 77; }
work=$(mktemp -d)
group=
end() {
  [[ -z $group ]] || kill -KILL -- "-$group" 2>/dev/null || true
  rm -rf "$work"
}
trap end EXIT
fail() {
  echo "FAILED: $*" >&2
  cat "$work"/* >&2 || true
  exit 1
}

# A group of its own for each server, which forks: so that its workers can be ended by number too.
start() {
  setsid "$@" >"$work/out" 2>"$work/err" &
  group=$!
}
stop() {
  kill -TERM -- "-$group"
  wait "$group" 2>/dev/null || true
  group=
}
# ask PORT TEXT: one datagram there and back, tried again until the server is up
ask() {
  local answer
  for _ in {1..50}; do
    answer=$(printf %s "$2" | socat -t 1 - "UDP4:127.0.0.1:$1" 2>/dev/null || true)
    [[ -z $answer ]] || break
    sleep 0.1
  done
  printf %s "$answer"
}

# echo prints nothing, so its port has to be chosen here: one that was free a moment ago.
port=$(python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
start "$1" "127.0.0.1:$port"
for text in hello "a second one" x; do
  [[ $(ask "$port" "$text") == "$text" ]] || fail "echo does not answer \"$text\""
done
stop

if (($# > 1)); then
  start "$2" 127.0.0.1:0 4
  for _ in {1..100}; do
    grep -q '^listening on ' "$work/out" && break
    sleep 0.1
  done
  port=$(sed -n 's/^listening on 127\.0\.0\.1://p' "$work/out")
  [[ -n $port ]] || fail "seed_synopsis does not say where it listens"
  [[ $(ask "$port" "hello") == "answered by "* ]] || fail "seed_synopsis does not answer"
  grep -q '5 bytes from 127\.0\.0\.1:[0-9]*: hello' "$work/out" || fail "the callback did not print what it got"
  [[ $(ask "$port" $'\e[2J\nforged') == "answered by "* ]] || fail "seed_synopsis does not answer"
  grep -qF ': \x1b[2J\x0aforged' "$work/out" || fail "what a stranger sent reaches the terminal as it is"
  processes=$(pgrep -g "$group" | wc -l)
  [[ $processes == 4 ]] || fail "4 processes were meant, $processes run"
  stop
  "$2" nonsense >/dev/null 2>"$work/err" && fail "a bad address is not refused"
  grep -q '^seed_synopsis: address "nonsense"' "$work/err" || fail "a bad address is not named"
fi
echo "PASSED"
