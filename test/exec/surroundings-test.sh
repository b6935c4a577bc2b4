#!/usr/bin/env bash
# What workers of `udppump exec` have of the surroundings in which it was started, beside descriptors and ids: terminal,
# session, keys, environment.
# shellcheck source=test/exec/stage.sh
source "$(dirname -- "$0")/stage.sh" || exit 1
for each in attack at_terminal with_key; do
  cp "$here/$each.py" "$dir" # the sources may be in a folder of root's
  chmod 644 "$dir/$each.py"
done
attacker=("$python" "$dir/attack.py")

session_of() { awk '{ sub(/.*\) /, ""); print $4 }' "/proc/$1/stat"; }

# start_at_terminal NAME ARGUMENT... : as `start`; sets pid to the parent's, and at to that of who holds the terminal
start_at_terminal() {
  local name=$1
  shift
  # The shell stays, and is whom a worker would type to.
  # shellcheck disable=SC2016  # for the inner shell
  "$python" "$dir/at_terminal.py" sh -c 'shift; "$@"; echo "ended with $?"
    until [ -e "$0" ]; do sleep 0.02; done' "$dir/$name.end" - "$tool" exec "$@" >"$dir/$name.log" &
  at=$!
  started+=("$at")
  await says_or_ends "$name" ' workers? serves? ' "$at" || fail "$name does not serve"
  said "$name" ' workers? serves? ' || fail "$name ended instead of serving"
  mapfile -t ports < <(sed -nE 's/.* workers? serves? 127.0.0.1:([0-9]+).*/\1/p' "$dir/$name.log")
  pid=$(children "$(children "$at")")
}

echo "# a worker is in no session but its own, so that it has no terminal to type at"
start_at_terminal kept --stderr inherit --bind 127.0.0.1:0 --workers 1 -- "${attacker[@]}"
answer=$(ask "${ports[0]}" terminal)
# Root with CAP_SYS_ADMIN may type anywhere.
if [ "$EUID" = 0 ]; then answer=$(sed -E 's/type-[0-9] ?//g; s/ $//' <<<"$answer"); fi
[ "$answer" = "worked: read-1 read-2" ] || fail "a worker of the same user: $answer"
[ "$(session_of "$pid")" != "$pid" ] || fail "the parent left the terminal: Ctrl-C would not reach it"
kill "$pid"
touch "$dir/kept.end"
ended "$at" 0
said kept '^ended with 0$' || fail "it did not end as told"

if [ "$EUID" != 0 ]; then
  leave_out "two users require root"
  echo "all is well"
  exit 0
fi

echo "# of another user, it reads none either; what it writes is seen"
start_at_terminal other --stderr inherit --bind 127.0.0.1:0 --workers 1 --user nobody -- "${attacker[@]}"
expect "${ports[0]}" terminal "worked: "
grep -q '"2": "/dev/pts/' <<<"$(ask "${ports[0]}" descriptors)" || fail "its stderr is no terminal any more"
kill -KILL "$(children "$pid")"
await_line other 'was killed by signal 9'
expect "${ports[0]}" terminal "worked: "
echo "# nor after SIGUSR2, and that parent has no terminal itself"
kill -USR2 "$pid"
await_line other 'ended; another process serves on'
next=$(sed -nE 's/.*pid ([0-9]+) has taken over.*/\1/p' "$dir/other.log")
started+=("$next")
[ "$(session_of "$next")" = "$next" ] || fail "the parent that took over is in the session of the terminal"
expect "${ports[0]}" terminal "worked: "
kill "$next"
await gone "$next" || fail "it still runs"
touch "$dir/other.end"
ended "$at" 0

echo "# as the same process in the terminal's session does: what fails above is not the attack"
code=0
setpriv --reuid nobody --clear-groups "$python" "$dir/at_terminal.py" "${attacker[@]}" terminal >"$dir/direct.log" || code=$?
said direct '^worked: open .*read-0 .*read-2' || fail "the attack is broken: $(cat "$dir/direct.log")"
if [ "$(cat /proc/sys/dev/tty/legacy_tiocsti 2>/dev/null || echo 1)" = 1 ]; then
  said direct 'type-0' || fail "typing is broken: $(cat "$dir/direct.log")"
else
  leave_out "nobody may type in another's name here (dev.tty.legacy_tiocsti)"
fi

echo "# keys of root's session are not found"
code=0
"$python" "$dir/with_key.py" "${attacker[@]}" keys >"$dir/keys.log" || code=$?
if [ "$code" = 77 ]; then
  leave_out "no keyrings here"
else
  said keys '^worked: key$' || fail "the attack is broken"
  real=$tool
  cat >"$dir/keyed" <<END
#!/bin/sh
exec "$python" "$dir/with_key.py" "$real" "\$@"
END
  chmod 755 "$dir/keyed"
  tool=$dir/keyed
  start keyed --bind 127.0.0.1:0 --workers 1 -- "${attacker[@]}"
  expect "${ports[0]}" keys "worked: key" # nobody became anybody
  finish "$pid"
  start dropped --bind 127.0.0.1:0 --workers 1 --user nobody -- "${attacker[@]}"
  expect "${ports[0]}" keys "worked: "
  finish "$pid"
  tool=$real
fi

echo "# nor what a login, sudo or ssh left in the environment; the rest is passed on"
SUDO_USER=admin SSH_AUTH_SOCK=/root/agent XDG_RUNTIME_DIR=/run/user/0 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/0/bus \
  MAIL=/var/mail/root SETTING=kept start environment --bind 127.0.0.1:0 --workers 1 --user nobody -- "${attacker[@]}"
ask "${ports[0]}" environment >"$dir/environment.json"
python3 - "$dir/environment.json" <<'END' || fail "its environment is of root's session: $(cat "$dir/environment.json")"
import json, sys
told = json.load(open(sys.argv[1]))
left = [name for name in told if name.startswith(("SUDO_", "SSH_", "XDG_", "DBUS_")) or name == "MAIL"]
assert left == [] and told["SETTING"] == "kept", left
END
finish "$pid"
echo "all is well"
