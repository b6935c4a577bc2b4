#!/usr/bin/env bash
# Uses udppump as a program outside this repository would.
#
#   run.sh find_package SOURCE BUILD WORK       installs BUILD, moves it elsewhere, builds and runs a program on it
#   run.sh shared_library SOURCE BUILD WORK     the same on shared libraries; they export only what is ours
#   run.sh add_subdirectory SOURCE BUILD WORK   builds and runs a program that adds the repository as a folder
#   run.sh headers SOURCE BUILD WORK            compiles every public header on its own
#
# Compiler, flags, generator and sanitizers are those of the build directory BUILD, so that what it has is not compiled
# once more, but copied; WORK is made anew. Exit code 77 means that this build has nothing new to show.
set -euo pipefail

kind=$1 source=$2 build=$3 work=$4
cached() { sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"; }

launcher=$(cached CMAKE_CXX_COMPILER_LAUNCHER)
options=(-G "$(cached CMAKE_GENERATOR)"
  "-DCMAKE_CXX_COMPILER=$(cached CMAKE_CXX_COMPILER)"
  "-DCMAKE_CXX_COMPILER_LAUNCHER=$source/test/support/compiled_before.sh;$build${launcher:+;$launcher}"
  "-DCMAKE_BUILD_TYPE=$(cached CMAKE_BUILD_TYPE)"
  "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=$(cached CMAKE_CXX_FLAGS_RELWITHDEBINFO)"
  "-DCMAKE_EXE_LINKER_FLAGS=$(cached CMAKE_EXE_LINKER_FLAGS)"
  "-DCMAKE_SHARED_LINKER_FLAGS=$(cached CMAKE_SHARED_LINKER_FLAGS)"
  "-DUDPPUMP_WERROR=$(cached UDPPUMP_WERROR)")
sanitizers=$(cached UDPPUMP_SANITIZE)
[[ -z $sanitizers ]] || options+=("-DCMAKE_CXX_FLAGS=-fsanitize=$sanitizers")

# leave_to_other_builds WHY: for what takes long and shows nothing new in this build.
leave_to_other_builds() {
  printf 'skipped: %s\n' "$1"
  exit 77
}

fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

# install BUILD-DIRECTORY; then moved, as a package may be.
install() {
  cmake --install "$1" --prefix "$work/installed" >/dev/null
  mv "$work/installed" "$work/moved elsewhere"
}

# consume PROJECT [cmake option...]
consume() {
  local project=$1
  shift
  cmake -S "$source/test/consumer/$project" -B "$work/consumer" "${options[@]}" "$@"
  cmake --build "$work/consumer" --parallel 2 --target consumer
  "$work/consumer/consumer"
}

# needs FILE : the libraries that a program or library asks for when it is loaded
needs() { readelf --dynamic "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'; }

# pump_alone [cmake option...] : who uses pumps alone has nothing to do with the pool, and so not with libsystemd
pump_alone() {
  local found
  cmake -S "$source/test/consumer/pump_alone" -B "$work/pump_alone" "${options[@]}" "$@"
  cmake --build "$work/pump_alone" --verbose >"$work/pump_alone.log" || fail "$(cat "$work/pump_alone.log")"
  "$work/pump_alone/pump_alone"
  found=$(grep -oE '[^ ]*(systemd|pcap|udppump_pool)[^ ]*' "$work/pump_alone.log") || true
  [[ -z $found ]] || fail "a program that uses pumps alone is linked with: $found"
  if ldd "$work/pump_alone/pump_alone" | grep -E 'systemd|pcap|udppump_pool'; then fail "and needs that to run"; fi
}

# by_pkg_config : without CMake. The file speaks of where it lies now.
by_pkg_config() {
  local found flags words
  found=$(find "$work/moved elsewhere" -name pkgconfig)
  # pkg-config escapes the blank in the path for a shell.
  flags=$(PKG_CONFIG_PATH=$found pkg-config --cflags --libs udppump udppump-pool udppump-pcap libevent_core) ||
    fail "pkg-config does not find udppump"
  eval "words=($flags)"
  "$(cached CMAKE_CXX_COMPILER)" -std=c++20 ${sanitizers:+"-fsanitize=$sanitizers"} "$source/test/consumer/main.cpp" \
    -o "$work/by_pkg_config" "${words[@]}"
  LD_LIBRARY_PATH=$(dirname -- "$found") "$work/by_pkg_config"
  [[ $(PKG_CONFIG_PATH=$found pkg-config --modversion udppump) == "$(cached CMAKE_PROJECT_VERSION)" ]] ||
    fail "udppump.pc has another version than the library"
}

find_package() {
  install "$build"
  consume find_package "-DCMAKE_PREFIX_PATH=$work/moved elsewhere"
  pump_alone "-DCMAKE_PREFIX_PATH=$work/moved elsewhere"
  by_pkg_config

  # A component that does not exist is refused.
  mkdir "$work/unknown"
  printf '%s\n' 'cmake_minimum_required(VERSION 3.25)' 'project(unknown LANGUAGES CXX)' \
    'find_package(udppump REQUIRED COMPONENTS libnone)' >"$work/unknown/CMakeLists.txt"
  if cmake -S "$work/unknown" -B "$work/unknown/build" "${options[@]}" \
    "-DCMAKE_PREFIX_PATH=$work/moved elsewhere" >"$work/unknown.log" 2>&1; then
    fail "find_package(udppump REQUIRED COMPONENTS libnone) was accepted"
  fi
}

shared_library() {
  [[ -z $sanitizers ]] || leave_to_other_builds "sanitizers export names of their own"
  cmake -S "$source" -B "$work/library" "${options[@]}" -DBUILD_SHARED_LIBS=ON -DUDPPUMP_TESTS=OFF \
    -DUDPPUMP_EXAMPLES=OFF -DUDPPUMP_TOOLS=OFF
  cmake --build "$work/library" --parallel 2
  install "$work/library"
  consume find_package "-DCMAKE_PREFIX_PATH=$work/moved elsewhere"
  pump_alone "-DCMAKE_PREFIX_PATH=$work/moved elsewhere"
  by_pkg_config
  needs "$work/by_pkg_config" | grep "^libudppump\.so" >/dev/null || fail "pkg-config does not name the shared library"

  # Its own names, and type information of them; what is weak of std:: and __gnu_cxx:: is the compiler's, made wherever a
  # template of the standard library is used, and the same in every library.
  local library path foreign
  for library in libudppump.so libudppump_pool.so libudppump_pcap.so; do
    path=$(find "$work/moved elsewhere" -name "$library")
    [[ -n $path ]] || fail "there is no $library"
    foreign=$(nm --dynamic --demangle --defined-only "$path" | awk 'NF >= 3' | cut -d ' ' -f 2- |
      grep -vE '^. (udppump::|(typeinfo|typeinfo name|vtable) for udppump::)|^[WVu] ([a-z ]+ )?(std|__gnu_cxx)::') || true
    [[ -z $foreign ]] || fail "$library exports what is not udppump's:"$'\n'"$foreign"
  done
  if needs "$(find "$work/moved elsewhere" -name libudppump.so)" | grep -E 'systemd|pcap'; then fail "libudppump.so needs that"; fi
}

add_subdirectory() {
  [[ -z $sanitizers ]] || leave_to_other_builds "a folder is added in the same way with sanitizers as without"
  # Left to itself it does not harden what is another project's. Here it does, as that makes what is compiled already;
  # sanitized builds compile it without.
  cmake -S "$source/test/consumer/add_subdirectory" -B "$work/by_default" "${options[@]}" >/dev/null
  if grep -m 1 -e -fstack-clash-protection "$work/by_default/compile_commands.json"; then
    fail "as a folder of another project it is hardened although nobody asked for it"
  fi
  consume add_subdirectory -DUDPPUMP_HARDENING=ON
  # What only udppump's own developers need stays out of other people's builds.
  if [[ -e $work/consumer/udppump/test || -e $work/consumer/udppump/examples ]]; then
    fail "the tests or examples are built in other projects"
  fi
}

# compiles_alone HEADER
compiles_alone() {
  local flags
  read -ra flags <<<"$(pkg-config --cflags libevent_core)"
  printf '#include "%s"\n#include "%s"\n' "$1" "$1" | # the second one must add nothing
    "$(cached CMAKE_CXX_COMPILER)" -std=c++20 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -fsyntax-only \
      "-I$source/include" "${flags[@]}" -x c++ - || fail "$1 does not compile on its own"
  printf '%s compiles on its own\n' "$1"
}

# Two at a time.
headers() {
  local header running=()
  for header in "$source"/include/udppump/*.hpp; do
    compiles_alone "udppump/$(basename -- "$header")" &
    running+=("$!")
    if ((${#running[@]} == 2)); then
      wait "${running[0]}" || exit 1
      running=("${running[1]}")
    fi
  done
  wait "${running[@]}" || exit 1
}

rm -rf -- "$work"
mkdir -p -- "$work"
case $kind in
  find_package | shared_library | add_subdirectory | headers) "$kind" ;;
  *) fail "unknown: $kind" ;;
esac
