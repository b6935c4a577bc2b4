#!/usr/bin/env bash
# How the house speaks, where that can be looked up:
# - An error of the library that reaches the user of a tool names none of the library's options by their C++ names.
# - Whoever lists waiters lists all that there are.
# - Plain words, in what is read by users: some turns are longer or stranger than what they say.
# - No line of the documents and of `dev` is longer than 120 characters, but for tables, figures and addresses.
#
# usage: texts-test.sh SOURCE
set -euo pipefail
cd -- "$1"
wrong=0
complain() { printf '%s\n' "$@" && wrong=1; }

# texts DIRECTORY... : FILE:LINE: and the code there, where something is in quotes; not comments and includes
texts() {
  grep -rnE --include='*.hpp' --include='*.cpp' --include='*.xs' --include='*.xsh' '"[^"]+"' "$@" |
    grep -vE '^[^:]*:[0-9]+: *(//|#include|\*)'
}

mapfile -t said < <(texts src include tools examples bindings)
((${#said[@]} > 500)) || complain "only ${#said[@]} texts were found"
found=$(printf '%s\n' "${said[@]}" | grep -E '"[^"]*([a-z]_options::|multicast_membership|[a-z]_policy::)' || true)
[[ -z $found ]] || complain "an error names an option by its C++ name; say it in words:" "$found"

# Where "thread" and "poll" are offered, so is "epoll"; the documents may speak of those of event loops alone.
lists=$(grep -rnE '\bthread,? (or|and) poll\b|\bthread, poll\b|\bthread poll\b' src include tools examples bindings |
  grep -v epoll || true)
[[ -z $lists ]] || complain "a list of waiters without epoll:" "$lists"
offered=$(grep -rlE 'epoll,? (uring,? )?thread,? (or )?poll' src include tools examples bindings | wc -l)
((offered >= 6)) || complain "only $offered files offer the waiters"

# std::system_error puts the reason behind its text, that is, behind the cure; `failure` puts it before that. These two
# texts name no cure.
found=$(grep -rnE --include='*.cpp' --include='*.hpp' 'throw std::system_error[{(]' src tools |
  grep -vE '^src/(pump/group_members|pool/worker_pool)\.cpp:' || true)
[[ -z $found ]] || complain "the cure comes last; throw a failure, or call fail():" "$found"
found=$(printf '%s\n' "${said[@]}" | grep -E '; [^"]*(: |\()(%s|\{\})\)?(\\n)?",?.*(strerror|message\(\))' || true)
[[ -z $found ]] || complain "the reason comes before the cure:" "$found"

# tools/parse_error.cpp tells what CLI11 refuses in words of the tool; of these it knows nothing.
found=$(grep -rnE --include='*.cpp' --include='*.hpp' \
  -e '->(check|transform|envname)\(|set_config\(|require_option\(|add_flag\([^;]*!-' tools || true)
[[ -z $found ]] || complain "CLI11 would refuse this in its own words; have tools/parse_error.cpp tell it:" "$found"

documents=(README.md CONTRIBUTING.md CHANGELOG.md SECURITY.md docs/*.md bench/README.md test/mutants/README.md)
documents=("${documents[@]/docs\/benchmarks.md/}") # written by bench/report
mapfile -t documents < <(printf '%s\n' "${documents[@]}" | grep .)

# TURN INSTEAD
while read -r turn instead; do
  found=$(grep -rnE --include='*.[ch]pp' --include='*.1' --include='*.md' --include='*.in' --include='*.socket' \
    -- "${turn//_/ }" "${documents[@]}" include src tools examples systemd || true)
  [[ -z $found ]] || complain "plainer: ${instead//_/ }" "$found"
done <<'END'
be_had works,_or_is_not_available,_and_what_helps
leave[sd]?_(it|them|the_option)_out omit_it
whereupon and_then
END

long=$(awk 'FNR == 1 { fence = 0 } /^```/ { fence = !fence } length > 120 && !fence && !/^[|<!]/ && !/https?:/ {
  print FILENAME ":" FNR ": " length " characters" }' "${documents[@]}" dev)
[[ -z $long ]] || complain "lines of more than 120 characters:" "$long"

((wrong == 0)) || exit 1
echo "${#said[@]} texts speak as agreed"
