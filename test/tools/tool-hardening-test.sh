#!/usr/bin/env bash
# The tool and the library are built so that memory errors are harder to exploit (UDPPUMP_HARDENING), as readelf sees it.
#
# usage: tool-hardening-test.sh UDPPUMP LIBRARY
# shellcheck source=test/support/script.sh
source "$(dirname -- "$0")/../support/script.sh" || exit 1
tool=$1
library=$2
needs readelf

# shows ARGUMENT... WHAT : readelf's output has a line that matches
shows() {
  local what=${*: -1}
  readelf --wide "${@:1:$#-1}" >"$dir/out" 2>/dev/null
  grep -qE -- "$what" "$dir/out"
}
echo "# the tool"
shows --file-header "$tool" 'Type: +DYN' || fail "it is no position-independent executable"
shows --dynamic "$tool" 'FLAGS_1.* PIE' || fail "it is a shared object, and no PIE"
shows --program-headers "$tool" 'GNU_RELRO' || fail "no RELRO"
shows --dynamic "$tool" '\(FLAGS\).*BIND_NOW|FLAGS_1.*NOW' || fail "RELRO is not full: calls are bound late"
shows --program-headers "$tool" 'GNU_STACK .* RW ' || fail "its stack is executable"
! shows --program-headers "$tool" ' RWE ' || fail "it has memory that is writable and executable"
! shows --dynamic "$tool" 'TEXTREL' || fail "its code is written to as it starts"
! shows --dynamic "$tool" '(RPATH|RUNPATH)' || fail "it looks for libraries where somebody else may put some"
shows --symbols "$tool" '__stack_chk_fail' || fail "no stack protector"
shows --symbols "$tool" ' UND .*__[a-z]+_chk(@|$)' || fail "nothing is fortified"

echo "# the library"
shows --symbols "$library" '__stack_chk_fail' || fail "no stack protector"
shows --symbols "$library" ' UND +__[a-z]+_chk$' || fail "nothing is fortified"
case $(uname -m) in
  x86_64)
    objects=$(readelf --file-header "$library" 2>/dev/null | grep -c '^File:')
    marked=$(readelf --notes "$library" 2>/dev/null | grep -c 'x86 feature: IBT, SHSTK')
    [ "$marked" = "$objects" ] || fail "$marked of $objects objects have marks for indirect jumps (CET)"
    # The linker marks what is marked throughout, and the C library's start files come from where libc.so.6 does.
    libc=$(ldd "$tool" | awk '$1 == "libc.so.6" { print $3 }')
    [ -r "$libc" ] || fail "the tool's C library is not found"
    if shows --notes "$libc" 'x86 feature: IBT, SHSTK'; then
      shows --notes "$tool" 'x86 feature: IBT, SHSTK' || fail "the C library is for CET, and the tool is not"
    else
      ! shows --notes "$tool" 'x86 feature: .*(IBT|SHSTK)' || fail "the tool says that it is for CET, and $libc is not"
      echo "  $libc is not for CET, so the tool cannot be"
    fi
    ;;
  *) echo "  CET is of x86_64" ;;
esac
echo "all is well"
