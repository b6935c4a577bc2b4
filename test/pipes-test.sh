#!/usr/bin/env bash
# No script under pipefail pipes a command into one that stops reading early (grep -q, head, sed with q): the command is
# then killed by SIGPIPE now and then, and the pipe fails though all is well. Give a here-string (<<<) instead.
#
# usage: pipes-test.sh SOURCE
set -euo pipefail
cd -- "$1"

# pipes [FILE...] : lines with such a pipe; without a FILE, of the standard input
pipes() {
  local quick="[ef]?grep[[:space:]]+(-[A-Za-z-]+[[:space:]]+)*(-[A-Za-z]*[qm]|--(quiet|max-count))|head([[:space:]]|$)"
  quick+="|sed[[:space:]][^|]*[0-9\$/;{'\" ]q([[:space:];}'\"]|$)"
  grep -nHE "(^|[^|])\|&?[[:space:]]*($quick)" "$@" | sed -E '/^[^:]*:[0-9]+:[[:space:]]*#/d'
}

# The check itself, first: what it must find, and what not.
wrong=0
while IFS= read -r line; do
  [[ -n $(pipes <<<"$line" || true) ]] || { echo "not found: $line" && wrong=1; }
done <<'END'
tail -n 1 file | grep -qE 'x'
ss -Hlun | grep -q .
list |grep -F -q x
list | head -n 1
list |& grep --quiet x
list | grep -m1 x
list | sed 1q
list | sed -n '/x/{p;q}'
list | sed -n "1p;1q"
END
while IFS= read -r line; do
  [[ -z $(pipes <<<"$line" || true) ]] || { echo "found: $line" && wrong=1; }
done <<'END'
works || grep -q x file
grep -q x <<<"$(list)"
list | grep -c x
list | sed -n 1p
list | tail -n 1
# list | head
list | sed 's/q/x/'
list | headers
END

mapfile -t scripts < <(grep -rlE 'pipefail|support/script\.sh|/stage\.sh' dev .ci examples test bench --include='*.sh' --include=dev --include=run --include=test)
((${#scripts[@]} > 10)) || { echo "only ${#scripts[@]} scripts were found" && wrong=1; }
found=$(pipes "${scripts[@]}" | grep -v '^test/pipes-test.sh:' || true)
if [[ -n $found ]]; then
  printf '%s\n' "$found" 'a pipe ends early; give the command a here-string (<<<)'
  wrong=1
fi

((wrong == 0)) || exit 1
echo "${#scripts[@]} scripts have no pipe that ends early"
