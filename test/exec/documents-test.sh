#!/usr/bin/env bash
# --help, the man pages and the completion of udppump name the same options; the pages are well formed.
#
# usage: documents-test.sh UDPPUMP EXAMPLES_DIR TOOLS_DIR
# shellcheck source=test/exec/stage.sh
source "$(dirname -- "$0")/stage.sh"
tools=$3

options_in() { grep -oE -- '--[a-z][a-z0-9-]+' | sort -u; }
"$tool" exec --help >"$dir/help"
# Only where options are listed: texts mention those of other programs as well.
sed -nE 's/^  (-h,)?(--[a-z0-9-]+).*/\2/p' "$dir/help" | options_in >"$dir/in_help"
sed -n '/^\.SH OPTIONS/,/^\.SH SIGNALS/p' "$tools/udppump-exec.1" | grep -A1 '^\.TP' | grep '^\.B' | sed 's/\\-/-/g' |
  options_in >"$dir/in_page"
sed -n '/valued=/,/flags=.*/p' "$tools/udppump.bash" | options_in >"$dir/in_completion"
[ "$(wc -l <"$dir/in_help")" -gt 20 ] || fail "--help lists too few options: $(cat "$dir/in_help")"
for where in in_page in_completion; do
  diff "$dir/in_help" "$dir/$where" >"$dir/differences" ||
    fail "--help (<) and $where (>) differ: $(cat "$dir/differences")"
done
echo "  $(wc -l <"$dir/in_help") options are named alike"
awk 'length > 120 { exit 1 }' "$dir/help" || fail "--help has a line of more than 120 characters"

echo "# every command has its line in udppump(1), and its name is completed"
"$tool" --help | sed -n '/^Subcommands:/,/^$/s/^  \([a-z]*\) .*/\1/p' >"$dir/commands"
grep -qx exec "$dir/commands" || fail "--help does not list exec"
while read -r command; do
  grep -qx ".B $command" "$tools/udppump.1" || fail "udppump.1 has no $command"
done <"$dir/commands"

echo "# exit codes are the same in both"
sed -nE 's/^ +([0-9]+)  .*/\1/p' "$dir/help" >"$dir/codes_in_help"
sed -n '/^\.SH EXIT STATUS/,/^\.SH EXAMPLES/s/^\.B \([0-9]*\)$/\1/p' "$tools/udppump-exec.1" >"$dir/codes_in_page"
diff "$dir/codes_in_help" "$dir/codes_in_page" || fail "--help and the man page tell other exit codes"

echo "# the completion"
# completed WORD... : what the last one may become
completed() {
  bash --norc -c '
    compopt() { :; }  # only while readline completes
    source "$1"
    COMP_WORDS=("${@:2}") COMP_CWORD=$(($# - 2))
    _udppump udppump "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
    printf "%s\n" "${COMPREPLY[@]}"' - "$tools/udppump.bash" "$@"
}
while read -r command; do
  [ "$(completed udppump "${command%?}")" = "$command" ] || fail "$command is not completed"
done <"$dir/commands"
[ "$(completed udppump exec --receive)" = --receive-buffer ] || fail "options are not completed"
[ "$(completed udppump exec --quiet --log j | tr '\n' ' ')" = "json journal " ] || fail "--log is not completed"
[ "$(completed udppump exec --limit nof)" = "nofile=" ] || fail "--limit is not completed"
[ "$(completed udppump exec --user roo)" = root ] || fail "--user is not completed"
touch "$dir/settings.conf"
[ "$(completed udppump exec --reload-on-change "$dir/sett")" = "$dir/settings.conf" ] || fail "files are not completed"
[ -z "$(completed udppump exec --workers "")" ] || fail "a number is completed"
completed udppump exec --bind :5000 -- pytho | grep -qx python3 || fail "the program is not completed"

if command -v groff >/dev/null; then
  echo "# the pages are well formed"
  for page in "$tools"/*.1; do
    groff -man -Tutf8 -ww -rCHECKSTYLE=3 -z "$page" 2>"$dir/groff.log"
    [ ! -s "$dir/groff.log" ] || fail "${page##*/} is not well formed"
    [ "$(awk 'length > 120' "$page" | wc -l)" = 0 ] || fail "${page##*/} has lines of more than 120 characters"
  done
else
  echo "  no groff: the form of the pages is not looked at"
fi
echo "all is well"
