#!/usr/bin/env bash
# perl-test.sh SOURCE BUILD WORK: builds the Perl distribution against the library that was just built, and runs its
# tests. WORK is made anew.
set -euo pipefail

source=$1 build=$2 work=$3
cached() { sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"; }
fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

if ! perl -MConfig -MExtUtils::MakeMaker -e 'exit !-e "$Config{archlibexp}/CORE/perl.h"'; then
  printf 'skipped: the headers of Perl are not installed (libperl-dev)\n'
  exit 77
fi
if [[ ${CI:-} == true ]]; then
  perl -MEV -MAnyEvent -MIO::Async::Loop -e 1 || fail "Event loops are missing: install libev-perl libanyevent-perl libio-async-perl"
fi

rm -rf -- "$work"
mkdir -p -- "$work"
cmake --install "$build" --prefix "$work/prefix" >/dev/null
cp -R "$source/bindings/perl" "$work/dist"
cd "$work/dist"
libraries=$(dirname -- "$(find "$work/prefix" -name udppump.pc)")
export PKG_CONFIG_PATH=$libraries LD_LIBRARY_PATH=${libraries%/pkgconfig}
launcher=$(cached CMAKE_CXX_COMPILER_LAUNCHER)
CXX="${launcher:+$launcher }$(cached CMAKE_CXX_COMPILER)" perl Makefile.PL
make OPTIMIZE=-O1
# What is made of the documents can be read, and what is there is in the distribution.
podchecker lib/Event/Lib.pm lib/Event/Lib/UDPPump.pm lib/Event/Lib/UDPPump/Pool.pm
listed=$(sort MANIFEST)
there=$(cd "$source/bindings/perl" && find . -type f | sed 's,^\./,,' | sort)
[[ $listed == "$there" ]] || fail "MANIFEST differs from what is there: $(diff <(echo "$listed") <(echo "$there"))"
prove --blib --jobs 2 --timer t
make install DESTDIR="$work/installed" >/dev/null
root=$work/installed/$(perl -MConfig -e 'print $Config{installsitearch}')
cd /
perl "-I$root" -MEvent::Lib::UDPPump -e 'exit !(!eval { udppump_new(\*STDIN, sub { }) } && $@ =~ /^udppump_new: /)' </dev/null ||
  fail "what was installed cannot be used"
