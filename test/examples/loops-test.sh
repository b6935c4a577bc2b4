#!/usr/bin/env bash
# What seems to come from another server is not answered: two echoes do not answer each other for ever.
#
#   loops-test.sh ECHO
# shellcheck source=test/support/script.sh
source "$(dirname -- "$0")/../support/script.sh" || exit 1
needs socat python3

group=
second=
end() {
  [[ -z $group ]] || kill -KILL -- "-$group" 2>/dev/null || true
  [[ -z $second ]] || kill -KILL -- "-$second" 2>/dev/null || true
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
# ask PORT TEXT [HOST]: one datagram there and back, tried again until the server is up
ask() {
  local answer
  for _ in {1..50}; do
    answer=$(printf %s "$2" | socat -t 1 - "UDP4:${3:-127.0.0.1}:$1" 2>/dev/null || true)
    [[ -z $answer ]] || break
    sleep 0.1
  done
  printf %s "$answer"
}

# echo prints nothing, so its port has to be chosen here.
port=$(free_port)
start "$1" "127.0.0.1:$port"
for text in hello "a second one" x; do
  [[ $(ask "$port" "$text") == "$text" ]] || fail "echo does not answer \"$text\""
done

# What seems to come from another server is not answered. Here this script is the other one: the same port elsewhere.
python3 - "$port" <<'END' || fail "echo answers another server of its port"
import socket, sys
port = int(sys.argv[1])
other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
other.bind(("127.0.0.2", port))
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(20)
for text in (b"one", b"two", b"three"):
    other.sendto(b"answer me", ("127.0.0.1", port))
    client.sendto(text, ("127.0.0.1", port))
    assert client.recv(100) == text
other.settimeout(0.3)
try:
    sys.exit(f"answered: {other.recv(100)}")
except TimeoutError:
    pass
END
stop

# Two of them, and a datagram that seems to come from one and is for the other: they would answer each other for ever.
# The source is the first one's own, bound before it starts; the second is stopped until it has.
setsid "$1" "127.0.0.2:$port" 2>"$dir/second.err" &
second=$!
[[ $(ask "$port" "up" 127.0.0.2) == up ]] || fail "the second echo does not answer"
kill -STOP -- "-$second"
python3 - "$port" <<'END'
import socket, sys
spoofed = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
spoofed.bind(("127.0.0.1", int(sys.argv[1])))
spoofed.sendto(b"again and again", ("127.0.0.2", int(sys.argv[1])))
END
start "$1" "127.0.0.1:$port"
[[ $(ask "$port" "up") == up ]] || fail "the first echo does not answer"
kill -CONT -- "-$second"
# ticks: CPU time of all of both, in hundredths of a second
ticks() {
  local sum=0 process used
  for process in $(pgrep -g "$group,$second"); do
    used=$(awk '{print $14 + $15}' "/proc/$process/stat" 2>/dev/null || echo 0)
    sum=$((sum + used))
  done
  echo "$sum"
}
sleep 0.3
before=$(ticks)
sleep 1
spent=$(($(ticks) - before))
kill -KILL -- "-$second"
wait "$second" 2>/dev/null || true
second=
((spent <= 10)) || fail "two echoes answer each other: $spent ticks in a second"
[[ $(ask "$port" "still here") == "still here" ]] || fail "the first echo does not answer any more"
stop

echo "PASSED"
