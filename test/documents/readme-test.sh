#!/usr/bin/env bash
# What the documents show is what there is:
#   - a quoted file (<!-- quote: FILE -->) equals the file;
#   - what answers a datagram does not answer other servers, in C++ blocks and examples (docs/security.md);
#   - every C++ block compiles, every line of a CMake block is one of test/consumer's;
#   - every sh block runs, in a copy of the sources whose build/dev is BUILD, and prints what "# prints: " says. Blocks
#     of ./dev commands are what CI itself runs; of these it is only checked that ./dev knows them;
#   - links to files of the repository lead somewhere, and the tests that docs/seed.md names exist.
#
#   readme-test.sh SOURCE BUILD WORK      exit code 77: not for this build, which has sanitizers
set -euo pipefail

source=$1 build=$2 work=$3

# The examples have fixed ports and are left running: a network and process ids of our own, where the system allows it,
# keep them from meeting others and end them.
if [[ -z ${UDPPUMP_README_TEST_ALONE:-} ]] && unshare --user --map-root-user --net --pid --fork true 2>/dev/null; then
  # shellcheck disable=SC2016  # for the inner shell to expand
  UDPPUMP_README_TEST_ALONE=1 exec unshare --user --map-root-user --net --pid --fork --kill-child \
    bash -c 'ip link set lo up && exec "$0" "$@"' "$0" "$@"
fi

failures=0
failed() {
  printf 'FAILED: %s\n' "$*" >&2
  failures=$((failures + 1))
}
cached() { sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"; }

# blocks DOCUMENT: writes each code block to $work/blocks/NUMBER.LANGUAGE, and to NUMBER.quote which file it quotes.
blocks() {
  rm -rf "$work/blocks"
  mkdir -p "$work/blocks"
  awk -v to="$work/blocks/" '
    /^```/ && !inside { inside = 1; name = to sprintf("%03d", ++count); language = substr($0, 4)
                        if (quote != "") print quote >(name ".quote"); quote = ""; next }
    /^```/            { inside = 0; close(name "." language); next }
    inside            { print >(name "." language); next }
    /^<!-- quote: /   { quote = $3; next }
                      { quote = "" }' "$1"
}

# links DOCUMENT: the files it links to, outside code blocks.
links() {
  # shellcheck disable=SC2016  # not an expansion
  sed '/^```/,/^```/d' "$1" | grep -oE '\]\([^)]+\)' | sed 's/^](//; s/)$//; s/#.*//' | grep -vE '^(https?:|$)'
}

compiles() {
  local flags
  read -ra flags <<<"$(pkg-config --cflags libevent_core)"
  "$(cached CMAKE_CXX_COMPILER)" -std=c++20 -Wall -Wextra -Wshadow -Wconversion -Werror -fsyntax-only -pthread \
    "-I$source/include" "${flags[@]}" -x c++ "$1"
}

# Who answers whatever comes must leave out what comes from servers (docs/security.md).
answers_no_server() {
  ! grep -qE 'reply(_path)?\(' "$1" || grep -q 'source_filter::against_loops()' "$1"
}

dev_knows() {
  local command words
  while read -r command words; do
    [[ -n $command ]] || continue
    read -r words _ <<<"$words"
    grep -qE "^  $words( |$)" <<<"$("$source/dev" help)" || failed "./dev has no command \"$words\""
  done <"$1"
}

# Runs a block line by line; after one that goes into the background, waits until its port is there.
runs() {
  local script=$work/block.sh expected output
  {
    echo 'set -eum'  # m: jobs, as a terminal has them
    echo 'waited=0'
    # shellcheck disable=SC2016  # for the script to expand
    sed 's/&$/\&\nuntil [ -n "$(ss -Hlun "sport = :5000")" ] || [ $((waited += 1)) -gt 100 ]; do sleep 0.1; done/' "$1"
  } >"$script"
  (cd "$work/copy" && PATH=$work/bin:$PATH HOME=$work/home CCACHE_DIR=$cache timeout --kill-after=5 900 bash "$script") >"$work/output" 2>&1 ||
    failed "this block of $2 does not run:"$'\n'"$(cat "$1")"
  output=$(cat "$work/output")
  printf '%s\n' "$output"
  while read -r expected; do
    grep -qxF -- "$expected" <<<"$output" || failed "a block of $2 does not print \"$expected\", but:"$'\n'"$output"
  done < <(sed -n 's/.*# prints: //p' "$1")
}

if [[ -n $(cached UDPPUMP_SANITIZE) ]]; then
  echo "skipped: the documents speak of an ordinary build"
  exit 77
fi

rm -rf -- "$work"
mkdir -p "$work/copy/build" "$work/home"
for entry in "$source"/* "$source"/.clang-*; do
  [[ $(basename -- "$entry") == build ]] || cp -r -- "$entry" "$work/copy/"
done
ln -s -- "$build" "$work/copy/build/dev"

# What the blocks compile is compiled with BUILD's compiler and flags, and from SOURCE, which is the same as the copy: so
# it is copied from BUILD.
cache=$(ccache --get-config cache_dir 2>/dev/null) || cache=
mkdir -p "$work/bin"
options=()
for option in CMAKE_CXX_COMPILER UDPPUMP_WERROR; do options+=("-D$option=$(cached "$option")"); done
launcher=$(cached CMAKE_CXX_COMPILER_LAUNCHER)
options+=("-DCMAKE_CXX_COMPILER_LAUNCHER=$source/test/support/compiled_before.sh;$build${launcher:+;$launcher}")
options+=("-DCMAKE_CXX_FLAGS_RELEASE=$(cached CMAKE_CXX_FLAGS_RELWITHDEBINFO)")
{
  echo '#!/usr/bin/env bash'
  printf 'real=%q options=(' "$(command -v cmake)"
  printf '%q ' "${options[@]}"
  echo ')'
  # shellcheck disable=SC2016  # for the script to expand
  echo '[[ "$1 $2" != "-S ." ]] || exec "$real" -G Ninja "${options[@]}" -S '"$(printf %q "$source")"' "${@:3}"'
  # shellcheck disable=SC2016
  echo 'exec "$real" "$@"'
} >"$work/bin/cmake"
chmod +x "$work/bin/cmake"

for document in README.md CONTRIBUTING.md CHANGELOG.md bench/README.md docs/benchmarks.md docs/design.md docs/workers.md \
  docs/seed.md; do
  blocks "$source/$document"
  for quote in "$work"/blocks/*.quote; do
    [[ -e $quote ]] || continue
    quoting=("${quote%.quote}".[!q]*)
    diff -u -- "$source/$(cat "$quote")" "${quoting[0]}" ||
      failed "$document does not quote $(cat "$quote") as it is"
  done
  for block in "$work"/blocks/*; do
    case $block in
      *.cpp)
        answers_no_server "$block" || failed "this block of $document answers other servers:"$'\n'"$(cat "$block")"
        compiles "$block" || failed "this block of $document does not compile:"$'\n'"$(cat "$block")" ;;
      *.cmake)
        while IFS= read -r line; do
          line=${line//third_party\/udppump/../../..}  # where the consumers have it
          grep -qxF -- "$line" "$source"/test/consumer/*/CMakeLists.txt ||
            failed "$document has \"$line\", the consumers do not"
        done <"$block"
        ;;
      *.sh)
        if grep -qvE '^\./dev ' "$block"; then
          runs "$block" "$document"
        else
          dev_knows "$block"
        fi
        ;;
    esac
  done
  while IFS= read -r link; do
    [[ -e $source/$(dirname -- "$document")/$link ]] || failed "$document links to $link, which is not there"
  done < <(links "$source/$document")
done

answering=0
for example in "$source"/examples/*.cpp; do
  answers_no_server "$example" || failed "$example answers other servers"
  ! grep -q 'reply(' "$example" || answering=$((answering + 1))
done
((answering >= 4)) || failed "only $answering examples answer"

while IFS= read -r name; do
  grep -qE "^TEST(_[FP])?\\(seed, $name\\)" "$source/test/pump/seed-test.cpp" || failed "docs/seed.md names no test: seed.$name"
done < <(grep -oE 'seed\.[a-z0-9]+_[a-z0-9_]+' "$source/docs/seed.md" | cut -d . -f 2)

# Those that would do no harm if they took it.
for words in 'help please' 'format --check please'; do
  # shellcheck disable=SC2086  # words
  said=$(UDPPUMP_SETUP=skip "$source/dev" $words 2>&1 >/dev/null) && failed "./dev $words is taken"
  [[ $said == './dev: '*' takes no "please"; omit it'* ]] || failed "./dev $words says: $said"
done

((failures == 0)) || exit 1
echo "the documents show what there is"
