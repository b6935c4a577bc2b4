#!/usr/bin/env bash
# --help, the man pages and the completion of bash tell the same of every command of udppump: its name, its options and
# its exit codes. The pages are well formed.
#
# usage: tool-documents-test.sh UDPPUMP TOOLS_DIR
# shellcheck source=test/support/script.sh
source "$(dirname -- "$0")/../support/script.sh" || exit 1

tool=$1
tools=$2

same() {
  diff "$dir/$2" "$dir/$3" >"$dir/differences" || fail "$1: $2 (<) and $3 (>) differ: $(cat "$dir/differences")"
}
options_in() { grep -oE -- '--[a-z][a-z0-9-]+' | sort -u; }

# completed WORD... : what the last one may become
completed() {
  bash --norc -c '
    compopt() { :; }  # only while readline completes
    source "$1"
    COMP_WORDS=("${@:2}") COMP_CWORD=$(($# - 2))
    _udppump udppump "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
    printf "%s\n" "${COMPREPLY[@]}"' - "$tools/udppump.bash" "$@"
}

echo "# the commands"
"$tool" --help | sed -n '/^Subcommands:/,/^$/s/^  \([a-z]*\) .*/\1/p' >"$dir/in_help"
sed -n '/^\.SH COMMANDS/,/^\.SH EXIT/s/^\.B \([a-z]*\)$/\1/p' "$tools/udppump.1" >"$dir/in_page"
completed udppump '' | grep -v '^-' >"$dir/in_completion"
same udppump in_help in_page
same udppump in_help in_completion
mapfile -t commands <"$dir/in_help"
[ "${#commands[@]}" -ge 4 ] || fail "--help lists too few commands: ${commands[*]}"
sed -n '/^\.SH SEE ALSO/,$p' "$tools/udppump.1" >"$dir/see_also"

for command in "${commands[@]}"; do
  page=$tools/udppump-$command.1
  [ -r "$page" ] || fail "there is no $page"
  grep -qxE "\.BR udppump\\\\-$command \(1\),?" "$dir/see_also" || fail "udppump(1) does not refer to ${page##*/}"

  "$tool" "$command" --help >"$dir/help"
  # Only from the lists of options: texts mention those of others as well.
  sed -nE 's/^ {2,4}(-h,)?(--[a-z0-9-]+).*/\2/p' "$dir/help" | options_in >"$dir/in_help"
  grep -A1 '^\.TP' "$page" | grep -E '^\.BI?R? ' | sed 's/\\-/-/g' | options_in >"$dir/in_page"
  completed udppump "$command" -- | options_in >"$dir/in_completion"
  same "$command" in_help in_page
  same "$command" in_help in_completion

  sed '1,/^Exit codes/{s/^Exit codes//;t;d}' "$dir/help" | grep -oE '\b[0-9]+ +[a-z]+' | grep -oE '^[0-9]+' | sort -u \
    >"$dir/codes_in_help"
  sed -n '/^\.SH EXIT STATUS/,/^\.SH [^E]/s/^\.B \([0-9]*\)$/\1/p' "$page" | sort -u >"$dir/codes_in_page"
  same "$command" codes_in_help codes_in_page
  # Nothing of CLI11's own forms: what goes with what, and defaults, stand in the description.
  ! grep -nE 'Option Group|Excludes:|Needs:|REQUIRED|default default|^ +--[a-z0-9-]+ [A-Z]+=[^S]' "$dir/help" ||
    fail "the --help of $command shows how it was made"
  [ "$(cat -s "$dir/help")" = "$(cat "$dir/help")" ] || fail "the --help of $command has two empty lines in a row"
  awk 'length > 120 { exit 1 }' "$dir/help" || fail "the --help of $command has a line of more than 120 characters"
  echo "  $command: $(wc -l <"$dir/in_help") options and $(wc -l <"$dir/codes_in_help") exit codes are told alike"
done

echo "# no command, or none that there is"
list=$(printf ', %s' "${commands[@]}")
# refuse EXPECTED ARGUMENT...
refuse() {
  local expected="udppump: $1; there are: ${list:2}; see udppump --help" code=0
  shift
  "$tool" "$@" >"$dir/refused" 2>&1 || code=$?
  [ "$code" = 2 ] || fail "udppump $*: exit code $code, not 2"
  [ "$(cat "$dir/refused")" = "$expected" ] || fail "udppump $*: it says $(cat "$dir/refused"), not $expected"
}
refuse 'no command is named'
refuse 'no command is named' --
refuse 'no command "frob"' frob
refuse 'no command "frob"' frob --help
refuse 'no command ""' ''

echo "# the completion"
# completes TO WORD...
completes() {
  local expected=$1 got
  shift
  got=$(completed "$@" | tr '\n' ' ')
  [ "$got" = "${expected:+$expected }" ] || fail "$*: completed to \"$got\", not \"$expected\""
}
completes --receive-buffer udppump exec --receive
completes 'json journal' udppump exec --quiet --log j
completes omit udppump exec --path-mtu o
completes nofile= udppump exec --limit nof
completes root udppump exec --user roo
touch "$dir/settings.conf"
completes "$dir/settings.conf" udppump exec --reload-on-change "$dir/sett"
completes "$dir/settings.conf" udppump load 127.0.0.1:53 --dns "$dir/sett"
completes 'shared sharded' udppump compare --queue s
completes spin udppump work --service sp
completes '--seed --slo --size --source --spin' udppump load 127.0.0.1:53 --s
for command in compare exec work; do
  [ -z "$(completed udppump "$command" --workers '')" ] || fail "$command: a number is completed"
done
completed udppump exec --bind :5000 -- bas | grep -x bash >/dev/null || fail "the program is not completed"

if command -v groff >/dev/null; then
  echo "# the pages are well formed"
  for page in "$tools"/*.1; do
    groff -man -Tutf8 -ww -rCHECKSTYLE=3 -z "$page" 2>"$dir/groff.log"
    [ ! -s "$dir/groff.log" ] || fail "${page##*/} is not well formed: $(cat "$dir/groff.log")"
    [ "$(awk 'length > 120' "$page" | wc -l)" = 0 ] || fail "${page##*/} has lines of more than 120 characters"
  done
else
  echo "  no groff: the form of the pages is not looked at"
fi
echo "all is well"
