#!/usr/bin/env bash
# `udppump exec --exclusive`: what it preloads makes the epoll of programs exclusive for the sockets that were passed,
# and for nothing else; where that cannot work it says so. That a datagram wakes one worker is in workers-test.sh.
# shellcheck source=test/exec/stage.sh
source "$(dirname -- "$0")/stage.sh" || exit 1

echo "# calls of a program, as the kernel sees them; threads, forks, and what the program starts"
is_written() { [ -s "$1" ]; }
# tried NAME COMMAND... : runs exclusive_cases.py as the worker, which writes to OUT
tried() {
  local name=$1
  shift
  launch "$name" --bind 127.0.0.1:0 --bind 127.0.0.1:0 --workers 1 --exclusive on -- "${@/#OUT/"$dir/$name.out"}"
  await is_written "$dir/$name.out" || fail "$name: nothing was tried"
  [ "$(cat "$dir/$name.out")" = 'all is well' ] || fail "$name"
  said "$name" 'udppump: if the program waits by epoll, a datagram wakes one worker: .*_exclusive.so is preloaded' ||
    fail "$name: what is done is not told"
  finish "$pid"
}
tried at-once "$python" "$here/exclusive_cases.py" OUT
library=$(sed -nE 's/.*wakes one worker: (.*) is preloaded$/\1/p' "$dir/at-once.log")
[ -r "$library" ] || fail "the library is not where the log says"
echo "# what a shell and env execute in their place is the worker too"
tried by-wrappers sh -c 'exec env "$@"' sh "$python" "$here/exclusive_cases.py" OUT

echo "# and so is what a shell starts beside itself, whose environment is as it was"
tried beside sh -c '"$@" as-a-child; true' sh "$python" "$here/exclusive_cases.py" OUT

echo "# --exclusive off, and what a worker finds then"
cat >"$dir/tells.py" <<'END'
import os, socket
inbox = socket.socket(fileno=0)
while True:
    data, peer = inbox.recvfrom(65535)
    inbox.sendto(os.environ.get(data.decode(), "unset").encode(), peer)
END
chmod 644 "$dir/tells.py"
UDPPUMP_EXCLUSIVE=7 start off --bind 127.0.0.1:0 --workers 1 --exclusive off -- "$python" "$dir/tells.py"
expect "${ports[0]}" LD_PRELOAD "${LD_PRELOAD:-unset}"
expect "${ports[0]}" UDPPUMP_EXCLUSIVE unset
! said off preloaded || fail "something is preloaded"
finish "$pid"

echo "# O_NONBLOCK, which an event loop has set, is gone for its successor"
cat >"$dir/leaves.py" <<'END'
import os, select, signal, socket
inbox = socket.socket(fileno=0)
found = os.get_blocking(0)
os.set_blocking(0, False)
while True:
    select.select([inbox], [], [])
    data, peer = inbox.recvfrom(65535)
    if data == b"die":
        os.kill(os.getpid(), signal.SIGKILL)
    inbox.sendto(b"blocking" if found else b"spins", peer)
END
chmod 644 "$dir/leaves.py"
start leaves --bind 127.0.0.1:0 --workers 1 -- "$python" "$dir/leaves.py"
expect "${ports[0]}" how blocking
printf die >"/dev/udp/127.0.0.1/${ports[0]}"
await_line leaves 'worker 0 .*was killed by signal 9'
expect "${ports[0]}" how blocking
finish "$pid"

echo "# programs that it cannot reach, and why"
# refused KIND TEXT PROGRAM : --exclusive on ends it with code 2
refused() {
  local code=0
  timeout 60 "$tool" exec --bind 127.0.0.1:0 --exclusive on -- "$3" 2>"$dir/$1.log" || code=$?
  [ "$code" = 2 ] || fail "$1: exit code $code, not 2"
  grep -qE -- "udppump: exclusive waits: \"[^\"]*\" cannot be reached: $2" "$dir/$1.log" ||
    fail "$1: it does not say why"
}
case $(uname -m) in
  x86_64)
    for kind in static musl go asan other cut; do python3 "$here/elf.py" "$dir/$kind" "$python" $kind; done
    refused static 'it is linked statically' "$dir/static"
    refused musl 'its C library is musl' "$dir/musl"
    refused go 'it is a Go program' "$dir/go"
    refused asan 'it is linked with AddressSanitizer \(libasan.so.8\)' "$dir/asan"
    refused other 'it is for another kind of processor' "$dir/other"
    refused cut 'it is linked statically' "$dir/cut"
    # Of a script, what its first line names; and of env, what that starts.
    printf '#! %s -x\n' "$dir/static" >"$dir/script"
    printf '#!/usr/bin/env static\n' >"$dir/by-env"
    chmod 755 "$dir/script" "$dir/by-env"
    refused script 'it is linked statically' "$dir/script"
    PATH=$dir:$PATH refused by-env 'it is linked statically' "$dir/by-env"
    ;;
  *) leave_out "files of programs are made up for x86_64" ;;
esac
if [ "$EUID" = 0 ]; then
  cp "$python" "$dir/gains"
  chown nobody "$dir/gains"
  chmod 4755 "$dir/gains"
  refused set-user-id 'it is set-user-ID' "$dir/gains"
  start no-new-privs --bind 127.0.0.1:0 --workers 1 --exclusive on --user nobody -- "$python" "$dir/tells.py"
  expect "${ports[0]}" LISTEN_FDS 1
  finish "$pid"
else
  leave_out "two users require root"
fi

echo "# a library that others may replace is not preloaded"
beside_tool=$(realpath --relative-to "$(dirname -- "$tool")" "$(dirname -- "$library")")
mkdir -p "$dir/copy/bin/$beside_tool"
cp "$tool" "$dir/copy/bin/udppump"
cp "$library" "$dir/copy/bin/$beside_tool/"
own_tool=$tool
tool=$dir/copy/bin/udppump
start trusted --bind 127.0.0.1:0 --workers 1 -- "$python" "$dir/tells.py"
said trusted "$(realpath "$dir/copy/bin/$beside_tool")/libudppump_exclusive.so is preloaded" ||
  fail "the library beside the program is not found"
finish "$pid"
chmod 777 "$(realpath "$dir/copy/bin/$beside_tool")"
start untrusted --bind 127.0.0.1:0 --workers 1 -- "$python" "$dir/tells.py"
said untrusted 'a datagram wakes all idle workers: library to preload .* may be written to by others' ||
  fail "that the library is not to be trusted is not told"
expect "${ports[0]}" LD_PRELOAD "${LD_PRELOAD:-unset}"
finish "$pid"
code=0
"$tool" exec --bind 127.0.0.1:0 --exclusive on -- "$python" "$dir/tells.py" 2>"$dir/insists.log" || code=$?
[ "$code" = 2 ] || fail "--exclusive on with a library of anybody's: exit code $code, not 2"
rm -r "$(realpath "$dir/copy/bin/$beside_tool")"
start missing --bind 127.0.0.1:0 --workers 1 -- "$python" "$dir/tells.py"
said missing 'a datagram wakes all idle workers: .* is not installed; install all of udppump' || fail "nothing is told"
finish "$pid"
tool=$own_tool

echo "# it exports one name"
if command -v nm >/dev/null; then
  exported=$(nm --dynamic --defined-only "$library" | awk '{ print $3 }')
  [ "$exported" = epoll_ctl ] || fail "it exports: $exported"
else
  leave_out "no nm here"
fi
echo "all is well"
