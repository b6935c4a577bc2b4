#!/usr/bin/env bash
# What workers of `udppump exec` are left with, and what they can do to others: told and done from inside of them.
# shellcheck source=test/exec/stage.sh
source "$(dirname -- "$0")/stage.sh" || exit 1
attacker=("$python" "$dir/attack.py")
cp "$here/attack.py" "$dir" # the sources may be in a folder of root's
chmod 644 "$dir/attack.py"

echo "# descriptors that whoever started it left open do not reach workers"
echo secret >"$dir/secret"
chmod 600 "$dir/secret"
exec 33<"$dir/secret" 121<"$dir/secret"
start closed --bind 127.0.0.1:0 --bind 127.0.0.1:0 --workers 1 -- "${attacker[@]}"
exec 33<&- 121<&-
ask "${ports[0]}" descriptors >"$dir/descriptors.json"
python3 - "$dir/descriptors.json" <<'END' || fail "a worker has other descriptors: $(cat "$dir/descriptors.json")"
import json, sys
told = json.load(open(sys.argv[1]))
above = {int(at): to for at, to in told.items() if int(at) > 2}
first, second = above.pop(3), above.pop(4)
assert first == told["0"] and first.startswith("socket:") and second.startswith("socket:"), told
# Its own copy of descriptor 0, and the lifeline.
assert len(above) == 2 and first in above.values() and [to for to in above.values() if to.startswith("pipe:")], told
END
expect "${ports[0]}" umask "$(umask)" # as it was found
finish "$pid"

if [ "$EUID" != 0 ]; then
  leave_out "two users require root"
  echo "all is well"
  exit 0
fi

user=$(id -u nobody)
group=$(id -g nobody)
echo "# what is left of root: nothing"
HOME=/root USER=root LOGNAME=root SHELL=/bin/false start left --bind 127.0.0.1:0 --workers 1 --user nobody \
  -- "${attacker[@]}"
ask "${ports[0]}" status >"$dir/status"
sets=(CapInh CapPrm CapEff CapAmb)
effective=$(sed -n 's/^CapEff:[[:space:]]*/0x/p' /proc/self/status)
((effective & 0x100)) && sets+=(CapBnd) # CAP_SETPCAP, which some containers lack
for line in Uid:$'\t'"$user"$'\t'"$user"$'\t'"$user"$'\t'"$user" Gid:$'\t'"$group"$'\t'"$group"$'\t'"$group"$'\t'"$group" \
  Groups:$'\t'"$group " NoNewPrivs:$'\t'1 "${sets[@]/%/:$'\t'0000000000000000}"; do
  grep -qxF -- "$line" "$dir/status" || fail "its status has no line $line: $(cat "$dir/status")"
done
ask "${ports[0]}" environment >"$dir/environment.json"
IFS=: read -r _ _ _ _ _ home shell < <(getent passwd nobody)
python3 - "$dir/environment.json" "$home" "$shell" <<'END' || fail "its environment is another's"
import json, sys
told = json.load(open(sys.argv[1]))
wanted = {"USER": "nobody", "LOGNAME": "nobody", "HOME": sys.argv[2], "SHELL": sys.argv[3]}
assert {name: told.get(name) for name in wanted} == wanted, told
END

echo "# a worker does not get at its parent, be it the first one or one that took over"
attack_fails() {
  local answer
  answer=$(ask "${ports[0]}" parent)
  [ "$answer" = "worked: " ] || fail "$1: a worker got at its parent: $answer"
}
attack_fails "the first parent"
old=$pid
kill -USR2 "$old"
ended "$old" 0
pid=$(sed -nE 's/.*pid ([0-9]+) has taken over.*/\1/p' "$dir/left.log")
started+=("$pid")
attack_fails "after SIGUSR2"
grep -q '^NoNewPrivs:.*1' "/proc/$pid/status" || fail "the new parent may have new privileges"
kill "$pid"
await gone "$pid" || fail "it still runs"

echo "# nor after a take-over by a second start; that user's own start gets nothing"
mkdir "$dir/run"
chown nobody: "$dir/run"
cp "$tool" "$dir/udppump" # the build may be in a folder of root's
chmod 755 "$dir/udppump"
taking=(--workers 1 --user nobody --take-over "$dir/run/socket" -- "${attacker[@]}")
start first --bind 127.0.0.1:0 "${taking[@]}"
taking=(--bind "127.0.0.1:${ports[0]}" "${taking[@]}")
first=$pid
launch second "${taking[@]}"
second=$pid
await_line second ' serves? '
ended "$first" 0
attack_fails "a second start of root's"
code=0
setpriv --reuid "$user" --regid "$group" --init-groups "$dir/udppump" exec "${taking[@]}" 2>"$dir/third.log" || code=$?
[ "$code" -ne 0 ] || fail "the user that the workers became takes the sockets over"
await_line third 'start as the same user'
attack_fails "that user's refused start"
finish "$second"

echo "# where nothing is dropped the attack works: what fails above is not the attack"
start open --bind 127.0.0.1:0 --workers 1 -- "${attacker[@]}"
grep -q 'mem environ maps fd' <<<"$(ask "${ports[0]}" parent)" || fail "the attack is broken"
finish "$pid"

echo "# a set-user-ID program gains nothing, unless that is asked for; then it may refuse to end, and is left"
cat >"$dir/stays.py" <<'END'
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
try:
    os.setresuid(0, 0, 0)
    who = "root"
except PermissionError:
    who = "nobody"
with open(sys.argv[1] + ".new", "w") as file:
    file.write(f"{who} {os.getpid()}\n")
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(1000)
END
cp "$python" "$dir/suid"
chmod 4755 "$dir/suid"
mkdir "$dir/told"
chmod 777 "$dir/told"
stubborn=(--bind 127.0.0.1:0 --workers 1 --user nobody --stop-timeout 100ms)
start gains_nothing "${stubborn[@]}" -- "$dir/suid" "$dir/stays.py" "$dir/told/0"
await test -e "$dir/told/0" || fail "it does not start"
grep -q '^nobody ' "$dir/told/0" || fail "a set-user-ID program gained privileges"
finish "$pid" 5
start gains "${stubborn[@]}" --new-privs -- "$dir/suid" "$dir/stays.py" "$dir/told/1"
await test -e "$dir/told/1" || fail "it does not start"
if grep -q '^root ' "$dir/told/1"; then
  left=$(cut -d ' ' -f 2 "$dir/told/1")
  started+=("$left")
  kill "$pid"
  ended "$pid" 5
  await_line gains 'has become another user, as set-user-ID programs do .*cannot be killed: the pool ends without it'
  ! gone "$left" || fail "it was to be left"
  kill -KILL "$left"
else
  leave_out "set-user-ID programs gain nothing in this file system"
  finish "$pid" 5
fi

echo "# users that are somebody else than they seem"
if unshare --mount true 2>/dev/null; then
  printf '%s\n' root:x:0:0::/root:/bin/sh nobody:x:65534:65534::/nonexistent:/bin/sh toor:x:0:0::/root:/bin/sh \
    1000:x:5:5::/:/bin/sh minus:x:4294967295:5::/:/bin/sh >"$dir/passwd"
  seems() {
    local code=0
    # shellcheck disable=SC2016  # for the inner shell
    unshare --mount bash -c 'mount --bind "$1/passwd" /etc/passwd && shift && exec "$@"' - "$dir" \
      "$tool" exec --bind 127.0.0.1:0 --user "$1" -- cat >"$dir/seems.log" 2>&1 || code=$?
    [ "$code" = 2 ] || fail "--user $1: exit code $code"
    said seems "$2" || fail "--user $1: the message is not: $2"
  }
  seems toor 'user "toor" is root \(its number is 0\), so that nothing would be dropped: .* write root if that is meant'
  seems 0 'user "0" is root'
  seems 1000 'user "1000" is a number, and the name of the user with the number 5: give one that is not both'
  seems minus 'has the number 4294967295, .*mend its entry'
else
  leave_out "no mount namespace here: users that are somebody else than they seem"
fi
echo "all is well"
