#!/usr/bin/env bash
# What tests that are shell scripts stand on; they source it. They keep their files in `dir`, and have in `started` the
# processes that must not outlive them.
set -euo pipefail

dir=$(mktemp -d)
started=() besides=()

clean_up() {
  for each in ${besides[@]+"${besides[@]}"}; do kill -TERM "$each" 2>/dev/null || true; done  # they clean up themselves
  if ((${#besides[@]})); then wait "${besides[@]}" 2>/dev/null || true; fi
  for each in ${started[@]+"${started[@]}"}; do
    if kill -KILL "$each" 2>/dev/null; then wait "$each" 2>/dev/null || true; fi  # else bash says "Killed"
  done
  rm -rf "$dir"
}
trap clean_up EXIT

needs() {
  for each; do command -v "$each" >/dev/null || { echo "SKIPPED: $each is not installed" && exit 77; }; done
}

# leave_out WHY... : of a part of a script; `./dev test` counts it as skipped
leave_out() { echo "LEFT OUT: $*"; }

# fail WHY... : with what the programs wrote
fail() {
  echo "FAILED: $*" >&2
  for each in "$dir"/{out,err} "$dir"/*.{out,err,log}; do
    if [ -s "$each" ]; then sed "s|^|  ${each##*/}: |" "$each" >&2; fi
  done
  exit 1
}

# Waits until a command succeeds, at most 60 seconds: sanitized programs are slow.
await() {
  local deadline=$((SECONDS + 60))
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.02
  done
}

# ends_with_reason FILE : what an errno says stands last, where the cure should
ends_with_reason() {
  grep -qE ': (Invalid argument|No such [^;]*|Permission denied|Operation not [^;]*|Not a [^;]*|Is a [^;]*|Address [^;]*|Bad file [^;]*|No space [^;]*|Connection [^;]*|Resource [^;]*|Device [^;]*|Protocol [^;]*|File [^;]*|Network [^;]*|Too many [^;]*|Cannot [^;]*|Function [^;]*)$' "$1"
}

# A port of 127.0.0.1 that was free a moment ago, for programs that do not say which one they took.
free_port() {
  python3 -c 'import socket
s = socket.socket(type=socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

# Ended, though perhaps not yet waited for.
gone() { ! grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$1/status"; }
all_gone() { for each; do gone "$each" || return 1; done; }

# beside FUNCTION : runs it while the script goes on, as what waits for times need not wait alone. It has a `dir` and
# processes of its own; what it says comes with await_beside.
beside() {
  mkdir "$dir/$1"
  apart "$1" >"$dir/$1.said" 2>&1 &
  besides+=("$!")
}
apart() {
  dir=$dir/$1 started=() besides=()
  trap clean_up EXIT
  "$1"
}
# await_beside FUNCTION... : all that were begun, in this order
await_beside() {
  local each at=0
  for each; do
    wait "${besides[at++]}" || { cat "$dir/$each.said" >&2 && exit 1; }
    cat "$dir/$each.said"
  done
  besides=()
}
