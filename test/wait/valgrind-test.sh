#!/usr/bin/env bash
# Under valgrind, UDPPUMP_WAITER=thread serves (docs/limits.md): valgrind-test.sh WAIT_TEST
set -euo pipefail
command -v valgrind >/dev/null || { echo "skipped: valgrind is not installed"; exit 77; }
UDPPUMP_WAITER=thread exec valgrind --quiet --error-exitcode=9 "$1" --gtest_filter=surroundings.a_datagram_is_served
