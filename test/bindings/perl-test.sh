#!/usr/bin/env bash
# perl-test.sh SOURCE BUILD WORK: makes the Perl distribution, and from its tarball builds it against the library that was
# just built, tests and installs it. WORK is made anew.
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
libraries=$(dirname -- "$(find "$work/prefix" -name udppump.pc)")
export PKG_CONFIG_PATH=$libraries LD_LIBRARY_PATH=${libraries%/pkgconfig} PATH=$work/prefix/bin:$PATH
launcher=$(cached CMAKE_CXX_COMPILER_LAUNCHER)
CXX="${launcher:+$launcher }$(cached CMAKE_CXX_COMPILER)"
export CXX

# What is there is in the distribution, and its texts agree on versions.
cp -R "$source/bindings/perl" "$work/source"
cd "$work/source"
perl -MExtUtils::Manifest=fullcheck -e 'my ($missing, $extra) = fullcheck(); exit(@$missing + @$extra ? 1 : 0)' ||
  fail "MANIFEST differs from what is there"
perl -MExtUtils::MakeMaker -MJSON::PP -e '
  my $meta = decode_json(do { local (@ARGV, $/) = "META.json"; <> });
  my %found = map { my $name = s{^lib/}{}r =~ s{\.pm\n}{}r =~ s{/}{::}gr; ($name => MM->parse_version(s/\n//r)) } grep { /\.pm$/ && /^lib/ } qx(cat MANIFEST);
  my %told = map { ($_ => $meta->{provides}{$_}{version}) } keys %{$meta->{provides}};
  join(" ", map { "$_ $found{$_}" } sort keys %found) eq join(" ", map { "$_ $told{$_}" } sort keys %told) or die "META.json: provides\n";
  $meta->{version} eq $found{"Event::Lib::UDPPump"} or die "META.json: version\n";
  grep { $_ eq "$meta->{version}\n" } qx(cat Changes) or die "Changes has no $meta->{version}\n"' || fail "versions differ"
perl Makefile.PL
make dist >/dev/null
mkdir "$work/unpacked"
tar -xzf Event-Lib-UDPPump-*.tar.gz -C "$work/unpacked"
mv "$work"/unpacked/* "$work/dist"

cd "$work/dist"
perl Makefile.PL
make OPTIMIZE=-O1
find lib -name '*.pm' -exec podchecker {} +
prove --blib --jobs 2 --timer t
# Where io_uring is forbidden a pump waits by a thread.
PERL5OPT="-It/lib -MForbidden" prove --blib --jobs 2 t/seed.t t/pool.t t/recipes.t t/loops.t t/threads.t
make install DESTDIR="$work/installed" >/dev/null
root=$work/installed/$(perl -MConfig -e 'print $Config{installsitearch}')
cd /
perl "-I$root" -MEvent::Lib::UDPPump -e 'exit !(!eval { udppump_new(\*STDIN, sub { }) } && $@ =~ /^udppump_new: /)' </dev/null ||
  fail "what was installed cannot be used"

# Beside another Event::Lib.
cp -R "$source/test/bindings/other-event-lib" "$work/other"
cd "$work/other"
(unset CXX && perl Makefile.PL && make) >"$work/other.log" 2>&1 || fail "$(cat "$work/other.log")"
cp -R "$work/unpacked" "$work/beside" && tar -xzf "$work"/source/Event-Lib-UDPPump-*.tar.gz -C "$work/beside"
cd "$work"/beside/*
export PERL5LIB=$work/other/blib/lib:$work/other/blib/arch
perl Makefile.PL
make OPTIMIZE=-O1 >/dev/null
prove --blib "$source/test/bindings/beside-other-event-lib.t"
