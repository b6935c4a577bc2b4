#!/usr/bin/env bash
# build.sh SOURCE BUILD WORK: the Perl modules of bindings/perl, optimised, on the libraries in BUILD, and the design of
# 2006 as a module, for the benchmark `perl`. WORK/lib is then what `perl -I` needs. Does only what is not done yet.
set -euo pipefail
source=$1 build=$2 work=$3
cached() { sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"; }
launcher=$(cached CMAKE_CXX_COMPILER_LAUNCHER)
compiler="${launcher:+$launcher }$(cached CMAKE_CXX_COMPILER)"
optimize=-O2

# As if the libraries were installed in WORK/prefix.
libraries=$work/prefix/$(cached CMAKE_INSTALL_LIBDIR)
mkdir -p "$libraries/pkgconfig" "$work/modules" "$work/seed_2006"
ln -sfn "$source/include" "$work/prefix/include"
ln -sf "$build"/libudppump* "$libraries/"
cp "$build"/udppump*.pc "$libraries/pkgconfig/"
export PKG_CONFIG_PATH=$libraries/pkgconfig

# made FOLDER: the modules in WORK/FOLDER; anew where a library is newer than they are.
made() {
  cd "$work/$1"
  [[ Makefile -nt Makefile.PL ]] || CXX=$compiler perl Makefile.PL >/dev/null
  if [[ -n $(find "$build" -maxdepth 1 -name 'libudppump*' -newer Makefile) ]]; then
    make clean >/dev/null 2>&1
    CXX=$compiler perl Makefile.PL >/dev/null
  fi
  make OPTIMIZE="$optimize" >make.log 2>&1 || { cat make.log >&2; exit 1; }
}
cp -Ru "$source/bindings/perl/." "$work/modules/"
cp -Ru "$source/bench/perl/seed_2006/." "$work/seed_2006/"
made modules
made seed_2006
rm -rf "${work:?}/lib"
mkdir "$work/lib"
cp -R "$work"/modules/blib/{lib,arch}/. "$work"/seed_2006/blib/{lib,arch}/. "$work/lib/"
