#!/usr/bin/env bash
# The man page of each subcommand tells the options that its --help tells, no more and no fewer, and the exit codes.
#
# usage: man-page-test.sh UDPPUMP MAN_DIR SUBCOMMAND...
set -euo pipefail

tool=$1
pages=$2
shift 2
fail() {
  echo "FAILED: $*" >&2
  exit 1
}

for name; do
  page=$pages/udppump-$name.1
  [ -r "$page" ] || fail "there is no $page"
  help=$("$tool" "$name" --help)
  told=$(grep -oE '^ +(-h,)?--[a-z-]+' <<<"$help" | grep -oE -- '--[a-z-]+' | sort -u)
  written=$(sed 's/\\-/-/g' "$page" | grep -A1 '^\.TP' | grep -E '^\.BI?R?.*--' | grep -oE -- '--[a-z-]+' | sort -u)
  difference=$(diff <(echo "$told") <(echo "$written")) || fail "$name: --help (<) and man page (>) differ:
$difference"
  mapfile -t codes < <(grep -oE '\b[0-9] [a-z]+' <<<"${help##*Exit codes}" | grep -oE '^[0-9]' | sort -u)
  for code in "${codes[@]}"; do
    grep -qx "\.B $code" "$page" || fail "$name: the man page does not tell exit code $code"
  done
  if command -v man >/dev/null; then
    warnings=$(LC_ALL=C MANROFFSEQ='' MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null) || true
    [ -z "$warnings" ] || fail "$name: $warnings"
  fi
done
