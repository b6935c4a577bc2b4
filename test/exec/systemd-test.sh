#!/usr/bin/env bash
# `udppump exec` and systemd: the units, sockets that were passed, what is told to the service manager, the journal.
#
# usage: systemd-test.sh UDPPUMP EXAMPLES_DIR SERVICE_FILE SOCKET_FILE
# shellcheck source=test/exec/stage.sh
source "$(dirname -- "$0")/stage.sh" || exit 1
service_file=$3
socket_file=$4
needs systemd-analyze

echo "# the units"
mkdir "$dir/units"
sed "s|^ExecStart=[^ ]*|ExecStart=$tool|" "$service_file" >"$dir/units/udppump@5353.service"
cp "$socket_file" "$dir/units/udppump@5353.socket"
(
  cd "$dir/units"
  code=0
  systemd-analyze verify --man=no ./udppump@5353.service ./udppump@5353.socket >"$dir/verify.log" 2>&1 || code=$?
  if [ "$code" != 0 ] || grep -q 'udppump@' "$dir/verify.log"; then
    fail "systemd-analyze verify says $code"
  fi
  # In tenths; services without any of this have 96.
  systemd-analyze security --offline=true --threshold=12 --no-pager ./udppump@5353.service >"$dir/security" 2>&1 ||
    fail "the service is more exposed than it should be: $(grep '✗' "$dir/security")"
  echo "  $(grep -o 'Overall exposure level.*: [0-9.]*' "$dir/security")"
)
[ -s "$dir/verify.log" ] && sed 's/^/  /' "$dir/verify.log" # of other units

if grep -q 'without libsystemd' <<<"$(LISTEN_FDS=0 "$tool" exec --bind 127.0.0.1:0 --crash-limit 1 -- false 2>&1)"; then
  echo "SKIPPED: built without libsystemd"
  exit 77
fi

listen() {
  python3 "$here/listen.py" "$dir/notify" >"$dir/told.log" 2>&1 &
  listener=$!
  started+=("$listener")
  await test -S "$dir/notify" || fail "nobody listens"
}
listen

echo "# a socket from systemd-socket-activate"
launch_activated() {
  port=$(free_port)
  local keep=()
  for name in NOTIFY_SOCKET WATCHDOG_USEC ASAN_OPTIONS TSAN_OPTIONS UBSAN_OPTIONS; do
    [ -z "${!name+set}" ] || keep+=(-E "$name=${!name}")
  done
  systemd-socket-activate -d -l "127.0.0.1:$port" --fdname=dns "${keep[@]}" \
    "$tool" exec --workers 2 --ready-after 100 "$@" 2>"$dir/activated.log" &
  pid=$!
  started+=("$pid")
  await says_or_ends activated 'Listening on' "$pid" || fail "systemd-socket-activate does not listen"
}
export NOTIFY_SOCKET=$dir/notify WATCHDOG_USEC=400000
for attempt in 1 2 3; do # the port may be taken by somebody else in between
  launch_activated -- "$python" "$here/report.py" "$dir"
  gone "$pid" || break
  [ "$attempt" != 3 ] || fail "systemd-socket-activate finds no port"
done
expect "$port" hello dns # what woke it is answered as well
await_line activated " workers serve 127.0.0.1:$port"
python3 - "$dir/0.json" "$port" <<'END' || fail "the worker was given something else"
import json, sys
told = json.load(open(sys.argv[1]))
assert told["names"] == ["dns"] and told["ports"] == [int(sys.argv[2])], told
assert told["listen_pid"] == told["pid"] and told["environment"]["LISTEN_FDS"] == "1", told
assert "NOTIFY_SOCKET" not in told["environment"] and "WATCHDOG_USEC" not in told["environment"], told
END

echo "# what the service manager is told"
await_line told '^READY=1$'
await_line told '^STATUS=2 of 2 workers serve'
await lines_are told '^WATCHDOG=1$' 3 || fail "no watchdog"
kill -HUP "$pid"
await_line told '^RELOADING=1$'
await_line told '^MONOTONIC_USEC=[0-9]+$'
await lines_are told '^READY=1$' 2 || fail "not ready after the reload"
victim=$(children "$pid" | sed -n 1p)
kill -KILL "$victim"
await_line told '^STATUS=1 of 2 workers serve, 1 restart$'
await_line told '^STATUS=2 of 2 workers serve, 1 restart$'
old=$pid
kill -USR2 "$old"
await_line told '^MAINPID=[0-9]+$'
pid=$(sed -n 's/^MAINPID=//p' "$dir/told.log" | tail -n 1)
started+=("$pid")
ended "$old" 0
said told '^STOPPING=1$' && fail "a take-over is no stop"
await lines_are told '^READY=1$' 3 || fail "the one that took over is not ready"
beats=$(grep -c '^WATCHDOG=1$' "$dir/told.log")
await lines_are told '^WATCHDOG=1$' $((beats + 3)) || fail "no watchdog after the take-over"
expect "$port" hello dns
kill "$pid"
await gone "$pid" || fail "it still runs"
await_line told '^STOPPING=1$'
unset NOTIFY_SOCKET WATCHDOG_USEC

echo "# descriptors that are passed by hand: two, of which one is a Unix socket"
cat >"$dir/passes.py" <<'END'
import os, socket, sys
made = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)]
made[0].bind(("127.0.0.1", 0))
made[1].bind(sys.argv[1])
for at, one in enumerate(made):
    os.dup2(one.fileno(), 50 + at)
for at in range(2):
    os.dup2(50 + at, 3 + at)
    os.set_inheritable(3 + at, True)
for one in made:
    one.detach()
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2", LISTEN_FDNAMES="udp:local")
os.execvp(sys.argv[2], sys.argv[2:])
END
"$python" "$dir/passes.py" "$dir/unix" "$tool" exec --workers 1 --bind more=127.0.0.2:0 \
  -- "$python" "$examples/worker.py" 2>"$dir/passed.log" &
pid=$!
started+=("$pid")
await_line passed " serves 127.0.0.1:[0-9]+, unix:$dir/unix, 127.0.0.2:[0-9]+"
expect "$(sed -nE 's/.* serves 127.0.0.1:([0-9]+),.*/\1/p' "$dir/passed.log")" hello hello
finish "$pid"

echo "# no system call is made that the unit forbids: here such a call kills"
if grep -qaE '__(asan|tsan)_init' "$tool"; then
  leave_out "a sanitizer makes system calls of its own"
else
  filtered=("$python" "$here/under_filter.py" "$service_file")
  # shellcheck disable=SC2016  # for the inner shell
  confined=(unshare --mount sh -c 'mount -t proc -o subset=pid proc /proc && exec "$@"' -)  # as ProcSubset=pid
  if "${confined[@]}" sh -c '! [ -e /proc/sys ]' 2>/dev/null; then
    filtered=("${confined[@]}" "${filtered[@]}")
  else
    leave_out "no /proc of processes alone can be had here"
  fi
  code=0
  "${filtered[@]}" "$python" -c 'import os; os.chown("/", -1, -1)' 2>"$dir/forbidden.log" || code=$?
  [ "$code" = 159 ] || fail "chown is not forbidden: exit code $code" # 128 and SIGSYS
  listen
  NOTIFY_SOCKET=$dir/notify WATCHDOG_USEC=400000 "${filtered[@]}" "$python" "$dir/passes.py" "$dir/unix2" \
    "$tool" exec --workers 2 --bind more=127.0.0.2:0 --take-over "$dir/take-over" --pid-file "$dir/pid" --pin \
    --nice 19 --limit nofile=64 --reload-on-change "$dir/passes.py" -- "$python" "$examples/worker.py" \
    2>"$dir/filtered.log" &
  pid=$!
  started+=("$pid")
  await_line filtered ' serve 127.0.0.1:[0-9]+'
  port=$(sed -nE 's/.* serve 127.0.0.1:([0-9]+),.*/\1/p' "$dir/filtered.log")
  expect "$port" hello hello
  kill -HUP "$pid"
  await_line filtered 'reloaded 2 workers'
  echo '# changed' >>"$dir/passes.py"
  await lines_are filtered 'reloaded 2 workers' 2 || fail "it does not reload when a file has changed"
  kill -KILL "$(children "$pid" | sed -n 1p)"
  await_line filtered 'was killed by signal 9' # and replaced, be it by a reload that is under way
  await has_children "$pid" 2 || fail "who died is not replaced"
  old=$pid
  kill -USR2 "$old"
  ended "$old" 0
  pid=$(cat "$dir/pid")
  started+=("$pid")
  expect "$port" hello hello
  kill "$pid"
  await gone "$pid" || fail "it still runs"
  await lines_are filtered ': stopped$' 1 || fail "it did not end as told"
  ! said filtered 'signal 31|SIGSYS|Bad system call' || fail "a call was forbidden"
fi

echo "# the journal"
if unshare --mount true 2>/dev/null; then
  # shellcheck disable=SC2016  # for the inner shell
  unshare --mount bash -c '
    mount -t tmpfs none /run && mkdir -p /run/systemd/journal || exit 77
    python3 "$1/listen.py" /run/systemd/journal/socket >"$2/journal.log" 2>&1 &
    until [ -S /run/systemd/journal/socket ]; do sleep 0.02; done
    code=0
    "$3" exec --log journal --bind 127.0.0.1:0 --workers 1 --crash-limit 2 -- false || code=$?
    # By itself, if stderr is the journal.
    : >"$2/stream.log"
    JOURNAL_STREAM=$(stat -c %d:%i "$2/stream.log") "$3" exec --bind 127.0.0.1:0 --workers 1 --crash-limit 2 -- \
      sh -c "echo \"<4>spoken\" >&2; exit 3" 2>"$2/stream.log" || true
    for ((round = 0; round < 3000; ++round)); do
      [ "$(grep -c "^MESSAGE=stopped" "$2/journal.log")" = 2 ] && break
      sleep 0.02
    done
    kill %1
    [ "$code" = 4 ]' - "$here" "$dir" "$tool" || fail "it did not end with 4"
  for line in 'MESSAGE=worker 0 .*another is started' 'PRIORITY=4' 'SYSLOG_IDENTIFIER=udppump' \
    'UDPPUMP_EVENT=worker-died' 'UDPPUMP_STATUS=1' 'UDPPUMP_EVENT=crash-loop' \
    'MESSAGE=worker 0 \(pid [0-9]+\): spoken' 'UDPPUMP_LINE=spoken' 'UDPPUMP_LAST_WORDS=spoken'; do
    said journal "^$line" || fail "the journal has not: $line"
  done
  [ ! -s "$dir/stream.log" ] || fail "it did not see that its stderr is the journal: $(cat "$dir/stream.log")"
else
  leave_out "no mount namespace here: the journal"
fi
echo "all is well"
