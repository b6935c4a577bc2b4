#!/usr/bin/env bash
# Who speaks to the kernel. In src/ the files src/sys/sys*.hpp alone make system calls, and src/wait/uring_waiter.cpp
# those of io_uring, and in src/exclusive/, which is loaded into other people's programs, its own; what else is called by
# its global name there is no system call. And datagram_socket alone receives,
# in src, tools, examples, tests and benchmarks: who else calls one of the recv family is in the list below, with the
# reason; a line of it that nothing needs any more is an error too.
#
# usage: calls-test.sh SOURCE
set -euo pipefail
cd -- "$1"
wrong=0
complain() { printf '%s\n' "$@" && wrong=1; }

# called PATTERN DIRECTORY... : FILE:LINE: and the code, where a function is called; not comments
called() {
  local pattern=$1
  shift
  grep -rnE --include='*.hpp' --include='*.cpp' --include='*.h' --include='*.xs' --include='*.xsh' -- "$pattern" "$@" |
    sed -E 's#[[:space:]]//[^"]*$##' | grep -vE '^[^:]*:[0-9]*: *(//|\*|/\*)' | grep -E -- "$pattern" || true
}

# Of the C library, and of libpcap's compiler, without a call of the kernel's that could fail unseen: names of users,
# the environment, texts.
library='getgrnam|getgrouplist|getpwnam|getpwuid|setenv|unsetenv|strnlen|strsignal|gmtime_r|localtime_r|inet_pton|pcap_[a-z_]+'
seen=0
while IFS=: read -r file line text; do
  [[ $file =~ ^src/sys/sys[a-z_]*\.hpp$ ]] && seen=$((seen + 1)) && continue
  [[ $file != src/exclusive/exclusive.cpp ]] || continue
  while read -r name; do
    [[ $name =~ ^($library)$ ]] || complain "$file:$line: $name() is called beside src/sys/sys*.hpp:$text"
  done < <(grep -oE '(^|[^A-Za-z_0-9>.:])::[a-z_0-9]+\(' <<<"$text" | sed -E 's/.*::([a-z_0-9]+)\(/\1/')
done < <(called '(^|[^A-Za-z_0-9>.:])::[a-z_0-9]+\(' src)
((seen > 50)) || complain "only $seen calls were found in src/sys/sys*.hpp"

# FILE - WHY
receivers='
src/sys/sys.hpp - the calls themselves
src/socket/receive.cpp - datagram_socket, and what a pump receives by
src/socket/udp_list.cpp - a netlink socket, on which the kernel lists sockets: no datagram socket
src/socket/socket_state.cpp - empties the queue of errors, and takes no datagram
src/pool/notify_socket.cpp - what programs say of themselves (sd_notify): a Unix socket that the parent made
src/pool/status_visit.cpp - a connection (SOCK_SEQPACKET) that passes a descriptor: no datagram socket
src/pool/take_over_messages.cpp - a connection (SOCK_SEQPACKET) that passes descriptors: no datagram socket
test/address/address-test.cpp - what the kernel writes into an address, below datagram_socket
test/support/fault.cpp - puts faults into the calls, and makes them
test/fuzz/take-over-fuzz.cpp - a connection, as in take_over_messages.cpp
test/pool/take-over-messages-test.cpp - the same
test/pool/status-door-test.cpp - a connection, looked at without taking what came
test/socket/control-message-test.cpp - the control data as the kernel writes it, which datagram_socket reads
test/socket/send-test.cpp - what the error queue gives back of a payload, which datagram_socket throws away
bench/peers/recvfrom_loop.hpp - what is compared with: the bare call in a loop
bench/peers/recvmsg_loop.hpp - what is compared with
bench/peers/recvmmsg_loop.hpp - what is compared with
bench/peers/epoll_loop.hpp - what is compared with
bench/peers/libevent_loop.hpp - what is compared with
bench/peers/seed_2006_loop.hpp - what is compared with
bench/perl/seed_2006/Seed2006.xs - what is compared with
bench/support/echo_client.cpp - offers load to each contender; one call a batch leaves them the processors
bench/support/client.cpp - measures round trips: beside the blocking call itself nothing is to be in them
bench/support/queue_filler.cpp - empties the queue of any contender, by its descriptor
'
declare -A reason=() needed=()
while read -r file dash why; do
  [[ -n $file ]] || continue
  [[ $dash == - && -n $why ]] || complain "no reason for $file"
  reason[$file]=$why
done <<<"$receivers"
found=0
while IFS=: read -r file line text; do
  found=$((found + 1))
  [[ -n ${reason[$file]:-} ]] && needed[$file]=yes && continue
  complain "$file:$line: receives by itself; let datagram_socket do it, or give a reason in test/calls-test.sh:$text"
done < <(called '(^|[^A-Za-z_0-9>.])(__real_|::|sys::)?recv(from|msg|mmsg)?\(' src tools examples include bindings test bench)
((found > 20)) || complain "only $found calls of the recv family were found"
for file in "${!reason[@]}"; do
  [[ -n ${needed[$file]:-} ]] || complain "test/calls-test.sh: $file receives nothing any more"
done

((wrong == 0)) || exit 1
echo "$seen lines of the seam; ${#reason[@]} files that receive, each with its reason"
