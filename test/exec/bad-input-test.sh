#!/usr/bin/env bash
# What is wrong with a start of `udppump exec` is said in one line with cause and cure, and told by the exit code;
# nothing is left running or bound.
# shellcheck source=test/exec/stage.sh
source "$(dirname -- "$0")/stage.sh" || exit 1

# What is refused must not have bound it.
port=$(free_port)
bound() { grep -qi ":$(printf '%04X' "$1") " /proc/net/udp; }

# refuse CODE EXPECTED ARGUMENT... : of exec; AS may hold a command that runs it
AS=()
refuse() {
  local code=0 expected=$2 wanted=$1
  shift 2
  timeout 60 ${AS[@]+"${AS[@]}"} "$tool" exec "$@" >"$dir/refused.log" 2>&1 || code=$?
  [ "$code" = "$wanted" ] || fail "$*: exit code $code, not $wanted"
  [ "$(grep -vc 'if the program waits by epoll' "$dir/refused.log")" = 1 ] || fail "$*: not one line"
  grep -qE -- "udppump: .*$expected" "$dir/refused.log" || fail "$*: the message is not: $expected"
  ! grep -qE '[a-z_]{3,}::[a-z_]|[a-z]_options|no_new_privileges|stop_timeout|redeliver\.' "$dir/refused.log" ||
    fail "$*: it speaks C++: $(cat "$dir/refused.log")"
  ! ends_with_reason "$dir/refused.log" || fail "$*: the cure does not come last"
  ! bound "$port" || fail "$*: port $port is bound"
}
here_bound=(--bind "127.0.0.1:$port")

echo "# wrong usage"
refuse 2 'no program is given; write it after "--"' "${here_bound[@]}"
refuse 2 'no program is given' "${here_bound[@]}" --
refuse 2 'put "--" before the program' "${here_bound[@]}" cat
refuse 2 'unknown option "--worker"; did you mean --workers[?] udppump exec --help lists the options' "${here_bound[@]}" --worker 3 -- cat
refuse 2 '--bind: .*missing' --bind -- cat
refuse 2 'nothing to listen on: give an address' -- cat
refuse 2 'which datagram a program died of is not known' "${here_bound[@]}" --quarantine 3:60 -- cat
refuse 2 'which datagram a program died of is not known' "${here_bound[@]}" --quarantine=3 -- cat

echo "# absurd values"
for number in 0 -1 4097 x 99999999999999999999; do
  refuse 2 "--workers: .*$number" "${here_bound[@]}" --workers "$number" -- cat
done
refuse 2 '--crash-limit' "${here_bound[@]}" --crash-limit 0 -- cat
refuse 2 '--nice' "${here_bound[@]}" --nice 20 -- cat
refuse 2 'is no size: bytes, such as' "${here_bound[@]}" --receive-buffer 4Q -- cat
refuse 2 'is no size' "${here_bound[@]}" --receive-buffer -1 -- cat
refuse 2 'is no size' "${here_bound[@]}" --receive-buffer 99999999999999999999G -- cat
refuse 2 'is no time' "${here_bound[@]}" --stop-timeout -1 -- cat
refuse 2 'give a week at most' "${here_bound[@]}" --stop-timeout 1000000 -- cat
refuse 2 'is no time' "${here_bound[@]}" --ready-after soon -- cat
refuse 2 'no limit that is known; there are: as .*nofile' "${here_bound[@]}" --limit files=3 -- cat
refuse 2 'write NAME=SOFT' "${here_bound[@]}" --limit nofile -- cat
refuse 2 'neither a number nor unlimited: write' "${here_bound[@]}" --limit nofile=many -- cat
refuse 2 'above the hard one' "${here_bound[@]}" --limit nofile=5:4 -- cat
refuse 2 'none of: auto, text, json, journal' "${here_bound[@]}" --log syslog -- cat
refuse 2 'no multicast group' "${here_bound[@]}" --join 127.0.0.1 -- cat

echo "# names that mean nothing here"
refuse 2 'user "no-such-user" is not known here; see .getent passwd' "${here_bound[@]}" --user no-such-user -- cat
refuse 2 'group "no-such-group" is not known here' "${here_bound[@]}" --group no-such-group -- cat
refuse 2 'group "no-such-group" is not known here' "${here_bound[@]}" --groups daemon,no-such-group -- cat
refuse 2 'say which group' "${here_bound[@]}" --user 4123456 -- cat
refuse 2 'no-such-file' "${here_bound[@]}" --reload-on-change "$dir/no-such-file" -- cat
refuse 2 'is a folder; name the files in it' "${here_bound[@]}" --reload-on-change "$dir" -- cat
refuse 2 'no interface here has that address' "${here_bound[@]}" --bind 192.0.2.1:0 -- cat
AS=(env UDPPUMP_WAITER=magic)
refuse 2 'UDPPUMP_WAITER is "magic"; set it to auto, epoll, uring, thread or poll' "${here_bound[@]}" -- cat
AS=()
refuse 2 'the folder .*/no" does not exist; make it first' "${here_bound[@]}" --pid-file "$dir/no/pid" -- cat
refuse 2 'the folder .*/no" does not exist; make it first' "${here_bound[@]}" --take-over "$dir/no/socket" -- cat
refuse 2 'wrong port' --bind 127.0.0.1:99999 -- cat
refuse 2 'no port' --bind 127.0.0.1 -- cat
refuse 2 '--join: "nowhere0" is no interface here; name one' "${here_bound[@]}" --join 239.1.2.3%nowhere0 -- cat
refuse 2 '--join: "nowhere0" is no interface here' "${here_bound[@]}" --join ff02::fb%nowhere0 -- cat
refuse 2 '--device: "nowhere0" is no interface here; name one' "${here_bound[@]}" --device nowhere0 -- cat
[ -e /run/systemd/journal/socket ] || refuse 2 'no journal' "${here_bound[@]}" --log journal -- cat

for option in --user --group; do
  refuse 2 "$option: is empty; omit the option" "${here_bound[@]}" $option '' -- cat
  refuse 2 'white space around it' "${here_bound[@]}" $option ' root' -- cat
  refuse 2 'without a sign' "${here_bound[@]}" $option +5 -- cat
  refuse 2 'is too large: 4294967294' "${here_bound[@]}" $option 4294967296 -- cat
  refuse 2 'begins with a zero' "${here_bound[@]}" $option 010 -- cat
done
refuse 2 'without a sign' "${here_bound[@]}" --user=-1 -- cat
refuse 2 'user "0" is root .*or write root' "${here_bound[@]}" --user 0 -- cat
refuse 2 '--groups: .*has an empty name in it; give' "${here_bound[@]}" --groups daemon,,nogroup -- cat
refuse 2 '--new-privs' "${here_bound[@]}" --no-new-privs --new-privs -- cat

echo "# addresses that exclude each other are not somebody else's"
refuse 2 "127.0.0.1:$port is given twice; name it once" "${here_bound[@]}" "${here_bound[@]}" -- cat
refuse 2 "127.0.0.1:$port is given twice" "${here_bound[@]}" --bind "again=127.0.0.1:$port" -- cat
refuse 2 "127.0.0.1:$port and 0.0.0.0:$port are both given" --bind "0.0.0.0:$port" "${here_bound[@]}" -- cat
refuse 2 "0.0.0.0:$port and 127.0.0.1:$port are both given" "${here_bound[@]}" --bind "0.0.0.0:$port" -- cat
refuse 2 "unix:$dir/twice is given twice" --bind "unix:$dir/twice" --bind "unix:$dir/twice" -- cat
if [ -e /proc/net/if_inet6 ]; then
  refuse 2 "0.0.0.0:$port and \[::\]:$port are both given" --bind ":$port" --bind "0.0.0.0:$port" -- cat
  refuse 2 "127.0.0.1:$port and \[::\]:$port are both given" --bind ":$port" "${here_bound[@]}" -- cat
fi

echo "# a limit that is too low for any worker is named"
if grep -qaE '__(asan|tsan)_init' "$tool"; then # which wants a pipe to look at an exception (vptr)
  leave_out "a sanitizer makes system calls of its own"
else
  code=0
  timeout 60 "$tool" exec --bind 127.0.0.1:0 --workers 1 --limit nofile=3 -- cat >"$dir/limited.log" 2>&1 || code=$?
  [ "$code" = 4 ] || fail "exit code $code, not 4"
  grep -q -- 'raise the limit of open files (of workers: --limit nofile' "$dir/limited.log" || fail "--limit is not named"
fi

echo "# options of the other protocol"
refuse 2 'v6only .--v6only.: no address here is of IPv6; omit it, or bind one' "${here_bound[@]}" --v6only -- cat
refuse 2 'joining .ff02::fb.:0: a group of IPv6 needs an IPv6 socket' "${here_bound[@]}" --join ff02::fb%lo -- cat
if [ -e /proc/net/if_inet6 ]; then
  refuse 2 'joining 239.1.2.3:0: a group of IPv4 needs a socket of IPv4' --bind "[::]:$port" --v6only --join 239.1.2.3%lo -- cat
fi

echo "# options that a Unix socket has no use for"
for option in '--path-mtu omit' '--join 239.1.2.3' --broadcast --v6only '--device lo' --reuse-port; do
  # shellcheck disable=SC2086  # a word or two
  refuse 2 "${option%% *}: not with --bind (name=)?unix:.*omit one of the two" --bind "unix:$dir/path" $option -- cat
  # shellcheck disable=SC2086
  refuse 2 "${option%% *}: not with --bind" "${here_bound[@]}" --bind "name=unix:$dir/path" $option -- cat
done

echo "# programs that are not there or cannot be executed, before anything is bound"
refuse 127 '"no-such-program" is in none of the folders of PATH; give its path' "${here_bound[@]}" -- no-such-program
refuse 127 'no-such-program' "${here_bound[@]}" -- "$dir/no-such-program"
refuse 127 'program "no.x1b.31m.x0audppump: forged"' "${here_bound[@]}" -- $'no\e[31m\nudppump: forged'
refuse 127 'program "no.xc2.x9b31m.xe2.x80.xaeeman"' "${here_bound[@]}" -- $'no\u009b31m\u202eeman'
touch "$dir/plain"
refuse 126 'not executable: Permission denied; chmod \+x' "${here_bound[@]}" -- "$dir/plain"
refuse 126 'is a directory' "${here_bound[@]}" -- "$dir"

echo "# ports that cannot be had"
start serves --bind 127.0.0.1:0 --workers 1 -- "$python" "$examples/worker.py"
taken=${ports[0]}
refuse 3 "127.0.0.1:$taken: Address already in use; .*pid [0-9]+" "${here_bound[@]}" --bind "127.0.0.1:$taken" -- cat
refuse 3 'what is there is no socket' "${here_bound[@]}" --take-over "$dir/plain" -- cat
finish "$pid"

# passes DESCRIPTORS PROGRAM... : as systemd would pass descriptors from 3 on
cat >"$dir/passes.py" <<'END'
import os, socket, sys
for at, kind in enumerate(sys.argv[1].split(",")):
    if kind == "tcp":
        made = socket.create_server(("127.0.0.1", 0))
        os.dup2(made.detach(), 3 + at)
        os.set_inheritable(3 + at, True)  # where it was 3 to begin with
    elif kind == "file":
        os.dup2(os.open("/dev/null", os.O_RDWR), 3 + at)
        os.set_inheritable(3 + at, True)
    elif kind == "nothing":
        try:
            os.close(3 + at)
        except OSError:
            pass
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = str(len(sys.argv[1].split(",")))
os.execvp(sys.argv[2], sys.argv[2:])
END
if grep -q 'without libsystemd' <<<"$(LISTEN_FDS=0 "$tool" exec --bind 127.0.0.1:0 --crash-limit 1 -- false 2>&1)"; then
  leave_out "built without libsystemd: its descriptors"
else
  echo "# descriptors from a service manager that are of no use"
  AS=("$python" "$dir/passes.py" tcp)
  refuse 3 'ListenDatagram=' "${here_bound[@]}" -- cat
  AS=("$python" "$dir/passes.py" file)
  refuse 3 'no socket; check LISTEN_FDS' "${here_bound[@]}" -- cat
  AS=("$python" "$dir/passes.py" nothing)
  refuse 3 'LISTEN_FDS' "${here_bound[@]}" -- cat
fi

echo "# paths that somebody else may have prepared"
AS=()
mkdir "$dir/laid"
echo untouched >"$dir/laid/target"
chmod 600 "$dir/laid/target"
before=$(stat -c '%u %g %a %s' "$dir/laid/target")
ln -s target "$dir/laid/symbolic"
ln "$dir/laid/target" "$dir/laid/hard"
mkfifo "$dir/laid/fifo"
whoever=('')
[ "$EUID" != 0 ] || whoever+=(nobody)
for user in "${whoever[@]}"; do
  laid_here=("${here_bound[@]}" ${user:+--user "$user"} --pid-file)
  refuse 3 'it is a symbolic link; give the path of the file' "${laid_here[@]}" "$dir/laid/symbolic" -- cat
  refuse 3 'has another name \(a hard link\); remove it' "${laid_here[@]}" "$dir/laid/hard" -- cat
  refuse 3 'it is no regular file; remove it' "${laid_here[@]}" "$dir/laid/fifo" -- cat
done
[ "$(stat -c '%u %g %a %s' "$dir/laid/target")" = "$before" ] || fail "what a link names was changed"
[ "$(cat "$dir/laid/target")" = untouched ] || fail "what a link names was written to"
refuse 2 'is nobody: the kernel reads it as' "${here_bound[@]}" --user 4294967295 --group 1 -- cat
refuse 2 'is nobody: the kernel reads it as' "${here_bound[@]}" --group 4294967295 -- cat
refuse 2 'is nobody: the kernel reads it as' "${here_bound[@]}" --groups 4294967295 -- cat

echo "# without root"
AS=()
if [ "$EUID" != 0 ]; then
  unprivileged=1
elif command -v setpriv >/dev/null && cp "$tool" "$dir/udppump" && chmod 755 "$dir/udppump" &&
  setpriv --reuid nobody --regid nogroup --clear-groups "$dir/udppump" --version >/dev/null 2>&1; then
  unprivileged=1
  AS=(setpriv --reuid nobody --regid nogroup --clear-groups --no-new-privs)
  tool=$dir/udppump  # the build may be in a folder of root's
else
  leave_out "no setpriv, or nobody cannot run this build"
fi
if [ "${unprivileged:-}" ]; then
  refuse 3 'becoming user "daemon" requires root' "${here_bound[@]}" --user daemon -- cat
  refuse 3 'requires root or CAP_SYS_NICE' "${here_bound[@]}" --nice -10 -- cat
  if ! grep -qaE '__(asan|tsan)_init' "$tool"; then # whose own threads would be refused as well
    AS+=(prlimit --nproc=1)
    refuse 4 'fork: Resource temporarily unavailable; raise the limit on processes' "${here_bound[@]}" -- cat
    AS=("${AS[@]:0:${#AS[@]}-2}")
  fi
  if [ "$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start 2>/dev/null || echo 0)" -gt 7 ]; then
    refuse 3 'CAP_NET_BIND_SERVICE .*unprivileged_port.* socket unit' "${here_bound[@]}" --bind 127.0.0.1:7 -- cat
  fi
fi
echo "all is well"
