#!/usr/bin/env bash
# Runs the small examples and asks them with socat, as a reader of the README would.
#
#   examples-test.sh ECHO POOL LANES [SEED_SYNOPSIS]      LANES: or "none"
# shellcheck source=test/support/script.sh
source "$(dirname -- "$0")/../support/script.sh" || exit 1
needs socat python3

group=
end() {
  [[ -z $group ]] || kill -KILL -- "-$group" 2>/dev/null || true
  clean_up
}
trap end EXIT

# A group of its own for each server, which forks: so that its workers can be ended by number too.
start() {
  setsid "$@" >"$dir/out" 2>"$dir/err" &
  group=$!
}
stop() {
  kill -TERM -- "-$group"
  wait "$group" 2>/dev/null || true
  group=
}
# ask PORT TEXT: one datagram there and back
ask() { printf %s "$2" | socat -t 1 - "UDP4:127.0.0.1:$1" 2>/dev/null || true; }
# echoes PORT TEXT
echoes() { [[ $(ask "$1" "$2") == "$2" ]]; }

# Both print nothing, so their port has to be chosen here.
for example in "$1" "$2"; do
  name=${example##*/}
  port=$(free_port)
  start "$example" "127.0.0.1:$port"
  for text in hello "a second one" x; do
    await echoes "$port" "$text" || fail "$name does not answer \"$text\""
  done
  # The port is taken, and no address is one: that is told, with the cure.
  for refused in "127.0.0.1:$port" nonsense; do
    code=0
    "$example" "$refused" >"$dir/refused.out" 2>"$dir/refused.err" || code=$?
    [[ $code == 1 ]] || fail "$name at $refused: exit code $code, not 1"
    [[ $(wc -l <"$dir/refused.err") == 1 ]] || fail "$name at $refused: not one line"
    grep -qE "^$name: .*$refused.*(in use|no port)" "$dir/refused.err" || fail "$name does not say why $refused is refused"
  done
  stop
done

if [[ $3 != none ]]; then
  port=$(free_port)
  start "$3" "127.0.0.1:$port"
  comes_by() { [[ $(ask "$port" "$1") == "$2" ]]; }
  await comes_by "quick one" "at once" || fail "lanes does not put \"quick\" into the first lane"
  await comes_by quic "done" || fail "lanes does not put \"quic\" into the second lane"
  code=0
  "$3" unix:/tmp/no-lanes 2>"$dir/refused.err" || code=$?
  [[ $code == 1 ]] || fail "lanes at a Unix path: exit code $code, not 1"
  grep -q '^lanes: lanes: unix:/tmp/no-lanes is not of UDP' "$dir/refused.err" || fail "lanes does not say why"
  stop
fi

if (($# > 3)); then
  start "$4" 127.0.0.1:0 4
  await grep -q '^listening on ' "$dir/out" || fail "seed_synopsis does not say where it listens"
  port=$(sed -n 's/^listening on 127\.0\.0\.1://p' "$dir/out")
  answers() { [[ $(ask "$port" hello) == "answered by "* ]]; }
  await answers || fail "seed_synopsis does not answer"
  grep -q '5 bytes from 127\.0\.0\.1:[0-9]*: hello' "$dir/out" || fail "the callback did not print what it got"
  [[ $(ask "$port" $'\e[2J\nforged') == "answered by "* ]] || fail "seed_synopsis does not answer"
  grep -qF ': \x1b[2J\x0aforged' "$dir/out" || fail "what a stranger sent reaches the terminal as it is"
  processes=$(pgrep -g "$group" | wc -l)
  [[ $processes == 4 ]] || fail "4 processes were meant, $processes run"
  stop
  "$4" nonsense >/dev/null 2>"$dir/err" && fail "a bad address is not refused"
  grep -q '^seed_synopsis: address "nonsense"' "$dir/err" || fail "a bad address is not named"
fi
echo "PASSED"
