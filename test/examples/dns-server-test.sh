#!/usr/bin/env bash
# Runs the example DNS server as its users would: over IPv4 and IPv6, with proper and malformed queries, under load, and
# through every way of ending. UDPPUMP_WAITER chooses how its workers wait.
#
# usage: dns-server-test.sh DNS_SERVER EXAMPLES_DIR
# shellcheck source=test/support/script.sh
source "$(dirname -- "$0")/../support/script.sh" || exit 1
needs dig dnsperf
server=$1
zone=$2/example.com.zone
queries=$2/example.com.queries

children() { tr ' ' '\n' <"/proc/$pid/task/$pid/children"; }
has_line() { grep -q -- "$1" "$dir/$2"; }

has_started_or_ended() { has_line ' workers, waiting by ' out || gone "$pid"; }

# start ADDRESS... : sets pid, workers, and ports in the order of the addresses
start() {
  : >"$dir/out"
  : >"$dir/err"
  "$server" --zone "$zone" --bind "$@" --workers 4 >"$dir/out" 2>"$dir/err" &
  pid=$!
  started=("$pid")
  await has_started_or_ended || fail "it did not start within the deadline"
  if gone "$pid" && [ -n "${UDPPUMP_WAITER:-}" ] && has_line 'waiter\|io_uring' err; then
    echo "SKIPPED: $(cat "$dir/err")"
    exit 77
  fi
  gone "$pid" && fail "it did not start"
  mapfile -t ports < <(sed -n 's/^listening on .*:\([0-9]*\)$/\1/p' "$dir/out")
  mapfile -t workers < <(children)
  started=("$pid" "${workers[@]}")
  [ "${#workers[@]}" = 4 ] || fail "not 4 workers but: ${workers[*]}"
  if [ -n "${UDPPUMP_WAITER:-}" ]; then
    has_line "waiting by $UDPPUMP_WAITER\$" out || fail "the waiter is not $UDPPUMP_WAITER"
  fi
}

# finish SIGNAL EXIT_CODE : sends the signal to the parent; everything must end
finish() {
  local code=0
  kill "-$1" "$pid"
  { await all_gone "$pid" "${workers[@]}"; } 2>/dev/null || fail "still running after SIG$1"  # bash says "Killed"
  wait "$pid" || code=$?
  [ "$code" = "$2" ] || fail "exit code $code after SIG$1, not $2"
  started=()
}

# ask ADDRESS PORT DIG_ARGUMENT... : prints the status, the flags, the answers
ask() {
  local address=$1 port=$2
  shift 2
  dig -r "@$address" -p "$port" +tries=3 +time=5 +norecurse +ignore +nocmd +nostats "$@" | awk '
    /->>HEADER<<-/ { sub(/.*status: /, ""); sub(/,.*/, ""); printf "%s", $0; next }
    /^;; flags:/ { sub(/^;; flags: /, ""); sub(/;.*/, ""); printf " %s", $0; next }
    /^[^;]/ { $1 = $1; printf " | %s", $0 }
    /^;; (reply from|Warning|connection timed out|communications error)/ { printf " %s", $0 }'
}

# expect ADDRESS PORT EXPECTED DIG_ARGUMENT...
expect() {
  local address=$1 port=$2 expected=$3 got
  shift 3
  got=$(ask "$address" "$port" "$@") || got="$got (dig failed)"
  [ "$got" = "$expected" ] || fail "@$address $*: expected '$expected', got '$got'"
}

# send PORT HEX [SECONDS] : the bytes as one datagram; prints the answer in hex, where one comes in time
send() {
  printf '%b' "$(fold -w 2 <<<"$2" | sed 's/^/\\x/' | tr -d '\n')" >"$dir/packet"
  exec 3<>"/dev/udp/127.0.0.1/$1"
  cat "$dir/packet" >&3
  timeout "${3:-5}" dd bs=4096 count=1 <&3 2>/dev/null | od -An -v -tx1 | tr -d ' \n'
  exec 3>&-
}

has_ipv6() { grep -qs '^0\{31\}1 ' /proc/net/if_inet6; }

soa='example.com. 300 IN SOA ns1.example.com. hostmaster.example.com. 2024010101 7200 3600 1209600 300'
www='www.example.com. 3600 IN A 192.0.2.80 | www.example.com. 3600 IN A 192.0.2.81'

answers_are_right() {
  expect "$1" "$2" "NOERROR qr aa | $www" www.example.com A
  expect "$1" "$2" "NOERROR qr aa | www.example.com. 3600 IN AAAA 2001:db8::80" www.example.com AAAA
  expect "$1" "$2" "NOERROR qr aa | site.example.com. 3600 IN CNAME web.example.com.$(
    ) | web.example.com. 3600 IN CNAME www.example.com. | $www" site.example.com A
  expect "$1" "$2" "NOERROR qr aa | bob.users.example.com. 3600 IN A 192.0.2.99" bob.users.example.com A
  expect "$1" "$2" "NOERROR qr aa | example.com. 3600 IN MX 10 mail1.example.com.$(
    ) | example.com. 3600 IN MX 20 mail2.example.com. | mail1.example.com. 3600 IN A 192.0.2.25$(
    ) | mail1.example.com. 3600 IN AAAA 2001:db8::25 | mail2.example.com. 3600 IN A 192.0.2.26" example.com MX
  expect "$1" "$2" "NOERROR qr aa | $soa" _tcp.example.com A
  expect "$1" "$2" "NXDOMAIN qr aa | $soa" nothing.example.com A
  expect "$1" "$2" "REFUSED qr" example.org A
  expect "$1" "$2" "NOERROR qr | dev.example.com. 86400 IN NS ns1.dev.example.com.$(
    ) | dev.example.com. 86400 IN NS ns2.example.com. | ns1.dev.example.com. 86400 IN A 192.0.2.201$(
    ) | ns1.dev.example.com. 86400 IN AAAA 2001:db8::201 | ns2.example.com. 3600 IN A 192.0.2.2$(
    ) | ns2.example.com. 3600 IN AAAA 2001:db8::2" host.dev.example.com A
  expect "$1" "$2" "NOERROR qr aa tc" long.example.com TXT
  expect "$1" "$2" "NOERROR qr aa tc" medium.example.com TXT +noedns
  expect "$1" "$2" "BADVERS qr" example.com SOA +edns=1 +noednsneg
  expect "$1" "$2" "NOTIMP qr" example.com SOA +opcode=NOTIFY
}

echo "# answers over IPv4 and IPv6"
addresses=(127.0.0.1)
if has_ipv6; then addresses+=(::1); else leave_out "no IPv6 on this machine's loopback"; fi
start 127.0.0.1:0 ${addresses[1]+'[::1]:0'}
for i in "${!addresses[@]}"; do answers_are_right "${addresses[i]}" "${ports[i]}"; done

echo "# malformed queries get FORMERR or silence, and it goes on answering"
port=${ports[0]}
two_questions='beef 0100 0002 0000 0000 0000 01 61 00 0001 0001 01 61 00 0001 0001'
own_pointer='beef 0100 0001 0000 0000 0000 c0 0c 0001 0001'
for hex in "$two_questions" "$own_pointer" 'beef 0100 0001 0000 0000 0000'; do
  got=$(send "$port" "$(tr -d ' ' <<<"$hex")")
  [ "$got" = beef81010000000000000000 ] || fail "the answer to $hex is '$got', not FORMERR"
done
for hex in beef01 beef8100000100000000000003777777076578616d706c6503636f6d0000010001; do
  got=$(send "$port" "$hex" 0.5) || true
  [ -z "$got" ] || fail "the answer to $hex is '$got', where there should be none"
done
for ((i = 0; i < 200; ++i)); do
  head -c $((RANDOM % 700)) /dev/urandom >"/dev/udp/127.0.0.1/$port" || true
done
answers_are_right 127.0.0.1 "$port"
[ "$(children)" = "$(printf '%s\n' "${workers[@]}")" ] || fail "a worker died of a malformed packet"

echo "# under load nothing is lost, and the workers share it"
dnsperf -s 127.0.0.1 -p "$port" -d "$queries" -l 2 >"$dir/dnsperf" 2>&1 || fail "dnsperf: $(cat "$dir/dnsperf")"
grep -q 'Queries lost: *0 ' "$dir/dnsperf" || fail "dnsperf lost queries: $(cat "$dir/dnsperf")"
completed=$(awk '/Queries completed:/ { print $3 }' "$dir/dnsperf")
finish TERM 0
counts=$(sed -n 's/^worker [0-9]* (pid [0-9]*): \([0-9]*\) queries$/\1/p' "$dir/out")
[ "$(wc -l <<<"$counts")" = 4 ] || fail "not one line for each worker"
served=$(awk -v completed="$completed" '($1 > completed / 100) { ++n } { sum += $1 } END { print n + 0, (sum >= completed) }' \
  <<<"$counts")
[ "${served% *}" -ge 2 ] || fail "only ${served% *} of the workers served"
[ "${served#* }" = 1 ] || fail "the workers' counts sum up to less than the $completed queries that were answered"
[ -s "$dir/err" ] && fail "there are messages"
echo "  $completed queries answered in 2 seconds by ${served% *} workers"

if has_ipv6; then
  echo "# on a wildcard it answers from the address that was asked"
  start '[::]:0'
  for address in 127.0.0.1 127.0.0.2 ::1; do expect "$address" "${ports[0]}" "NOERROR qr aa | $www" www.example.com A; done
  finish INT 0
fi
start 0.0.0.0:0
for address in 127.0.0.1 127.0.0.2; do expect "$address" "${ports[0]}" "NOERROR qr aa | $www" www.example.com A; done

echo "# a killed worker is reported and replaced, and the others go on meanwhile"
kill -KILL "${workers[1]}"
await has_line "worker [0-3] (pid ${workers[1]}) was killed by signal 9 (Killed) after .*; another is started" err ||
  fail "the death of a worker is not reported"
for ((i = 0; i < 20; ++i)); do expect 127.0.0.1 "${ports[0]}" "NOERROR qr aa | $www" www.example.com A; done
four_children() { [ "$(children | grep -c .)" = 4 ]; }
await four_children || fail "the killed worker is not replaced"
kill -KILL "${workers[@]}" 2>/dev/null || true
await four_children || fail "the killed workers are not replaced"
for ((i = 0; i < 20; ++i)); do expect 127.0.0.1 "${ports[0]}" "NOERROR qr aa | $www" www.example.com A; done
finish TERM 0
[ "$(grep -c '^worker [0-3] (pid [0-9]*): [0-9]* queries$' "$dir/out")" = 4 ] || fail "not a count for each worker"

echo "# under load, with workers killed and reloaded, nothing is lost"
start 127.0.0.1:0
dnsperf -s 127.0.0.1 -p "${ports[0]}" -d "$queries" -l 4 -Q 2000 -t 10 >"$dir/dnsperf" 2>&1 &
client=$!
for ((i = 0; i < 8; ++i)); do
  sleep 0.3
  kill -KILL "$(children | shuf -n 1)" || true
  if ((i % 4 == 3)); then kill -HUP "$pid"; fi
done
wait "$client" || fail "dnsperf: $(cat "$dir/dnsperf")"
grep -q 'Queries lost: *0 ' "$dir/dnsperf" || fail "dnsperf lost queries: $(cat "$dir/dnsperf" "$dir/err")"
await has_line 'reloaded 4 workers' err || fail "no reload is reported"

echo "# a reload reads the zone anew, and a zone that is broken changes nothing"
cp -- "$zone" "$dir/changing.zone"
finish TERM 0
good_zone=$zone zone=$dir/changing.zone
start 127.0.0.1:0
sed -i 's/192\.0\.2\.80/192.0.2.42/' "$zone"
kill -HUP "$pid"
await has_line 'reloaded 4 workers' err || fail "no reload is reported"
expect 127.0.0.1 "${ports[0]}" "NOERROR qr aa | ${www/192.0.2.80/192.0.2.42}" www.example.com A
echo 'nonsense 60 A 999' >>"$zone"
kill -HUP "$pid"
await has_line 'the reload was given up at worker 0' err || fail "the broken zone is not reported"
expect 127.0.0.1 "${ports[0]}" "NOERROR qr aa | ${www/192.0.2.80/192.0.2.42}" www.example.com A
finish TERM 0
zone=$good_zone

echo "# without their parent the workers end"
start 127.0.0.1:0
finish KILL 137

echo "# what is wrong at the start is said in one line"
start 127.0.0.1:0
refuse() {
  local expected=$1 code=0
  shift
  timeout 20 "$server" "$@" >"$dir/refused" 2>&1 || code=$?
  [ "$code" = 2 ] || fail "$*: exit code $code, not 2: $(cat "$dir/refused")"
  [ "$(wc -l <"$dir/refused")" = 1 ] || fail "$*: not one line: $(cat "$dir/refused")"
  grep -q -- "^dns_server: .*$expected" "$dir/refused" || fail "$*: no '$expected' in: $(cat "$dir/refused")"
}
cat >"$dir/bad.zone" <<'END'
$ORIGIN example.com.
@ 60 SOA ns h 1 2 3 4 5
@ 60 NS ns

www 60 A 192.0.2.300
END
refuse '--zone is required' --bind 127.0.0.1:0
refuse '--bind is required' --zone "$zone"
refuse 'bad.zone:5: Syntax error' --zone "$dir/bad.zone" --bind 127.0.0.1:0
refuse 'none.zone: No such file' --zone "$dir/none.zone" --bind 127.0.0.1:0
refuse 'address "127.0.0.1"' --zone "$zone" --bind 127.0.0.1
refuse '127.0.0.1:99999' --zone "$zone" --bind 127.0.0.1:99999
refuse '192.0.2.1:0' --zone "$zone" --bind 192.0.2.1:0
refuse "127.0.0.1:${ports[0]}.*in use" --zone "$zone" --bind 127.0.0.1:0 "127.0.0.1:${ports[0]}"
for number in 0 1025 -1 99999999999999999999 1e3 0x10 010 ' 5' '5 ' 1.5 +5 '' x; do
  refuse '--workers: .* is no whole number from 1 to 1024' --zone "$zone" --bind 127.0.0.1:0 --workers "$number"
done
refuse '--waiter: magic not in' --zone "$zone" --bind 127.0.0.1:0 --waiter magic
UDPPUMP_WAITER=magic refuse 'UDPPUMP_WAITER' --zone "$zone" --bind 127.0.0.1:0
finish TERM 0
grep -q 'Exit code:' <<<"$("$server" --help)" || fail "--help does not tell the exit codes"
echo "all is well"
