#!/usr/bin/env bash
# Shows the example DNS server at work: four processes answer on one UDP port, and are killed and reloaded while they do.
# Ends by itself, within about ten seconds; exit code 0 only if every answer was right and none was lost.
#
# usage: dns_demo.sh DNS_SERVER EXAMPLES_DIR
set -euo pipefail

server=$1
examples=$2
seconds=8
dir=$(mktemp -d)
wrong=0

"$server" --zone "$examples/example.com.zone" --bind 127.0.0.1:0 --workers 4 >"$dir/out" 2>"$dir/err" &
pid=$!
trap 'kill "$pid" 2>/dev/null || true; rm -rf "$dir"' EXIT

for ((i = 0; i < 500; ++i)); do
  if grep -q 'waiting by' "$dir/out"; then break; fi
  kill -0 "$pid" 2>/dev/null || { cat "$dir/err" >&2 && exit 1; }
  sleep 0.02
done
port=$(sed -n 's/^listening on .*:\([0-9]*\)$/\1/p' "$dir/out")
[ -n "$port" ] || { echo 'the server did not start within 10 seconds' >&2 && exit 1; }
waiter=$(sed -n 's/.*waiting by //p' "$dir/out")

echo "A DNS server for example.com: 4 processes, one socket, 127.0.0.1:$port, waiting by $waiter"
echo
printf '  %-32s %s\n' 'dig asks for' 'and gets'

# check NAME TYPE EXPECTED
check() {
  local got
  got=$(dig -r @127.0.0.1 -p "$port" +tries=3 +time=5 +norecurse +ignore +short "$1" "$2" | paste -sd ' ')
  if [ -z "$got" ]; then
    got=$(dig -r @127.0.0.1 -p "$port" +tries=3 +time=5 +norecurse "$1" "$2" | sed -n 's/.*status: \([A-Z]*\),.*/\1/p')
  fi
  if [ "$got" = "$3" ]; then
    printf '  %-26s %-5s %-46s right\n' "$1" "$2" "$got"
  else
    printf '  %-26s %-5s %-46s WRONG, expected: %s\n' "$1" "$2" "$got" "$3"
    wrong=1
  fi
}

check www.example.com A '192.0.2.80 192.0.2.81'
check www.example.com AAAA '2001:db8::80'
check example.com MX '10 mail1.example.com. 20 mail2.example.com.'
check web.example.com A 'www.example.com. 192.0.2.80 192.0.2.81'
check example.com TXT '"v=spf1 mx -all"'
check anyone.users.example.com A '192.0.2.99'
check nothing.example.com A 'NXDOMAIN'
check example.org A 'REFUSED'

echo
echo "  dnsperf asks for $seconds seconds, as fast as it can. Meanwhile a worker is killed (SIGKILL) every 200 ms,"
echo "  and every 2 seconds all are replaced, one by one (SIGHUP)..."
dnsperf -s 127.0.0.1 -p "$port" -d "$examples/example.com.queries" -l $seconds >"$dir/dnsperf" 2>&1 &
client=$!
kills=0
for ((tick = 1; tick <= 5 * (seconds - 1); ++tick)); do
  sleep 0.2
  victim=$(tr ' ' '\n' <"/proc/$pid/task/$pid/children" | sed '/^$/d' | shuf -n 1)
  if [ -n "$victim" ] && kill -KILL "$victim" 2>/dev/null; then kills=$((kills + 1)); fi
  if ((tick % 10 == 0)); then kill -HUP "$pid"; fi
done
wait "$client" || { cat "$dir/dnsperf" "$dir/err" >&2 && exit 1; }
lost=$(awk '/Queries lost:/ { print $3 }' "$dir/dnsperf")
rate=$(awk '/Queries per second:/ { printf "%d", $4 }' "$dir/dnsperf")
reloads=$(grep -c ': reloaded 4 workers' "$dir/err" || true)
printf '  %-20s %9s\n' 'queries per second' "$rate" 'workers killed' "$kills" 'reloads' "$reloads" 'queries lost' "$lost"

kill "$pid"
wait "$pid" || wrong=1
echo
echo '  answered by'
awk '/^worker / { name[++n] = $1 " " $2; count[n] = $5; sum += $5 }
     END { for (i = 1; i <= n; ++i) {
             bar = ""
             for (k = 0; k < 40 * count[i] / sum; ++k) bar = bar "#"
             printf "  %-22s %7d  %s\n", name[i], count[i], bar } }' "$dir/out"
echo
if [ "$wrong" = 0 ] && [ "$lost" = 0 ] && [ "$kills" -gt 0 ] && [ "$reloads" -gt 0 ]; then
  echo "$kills workers were killed and $reloads times all were replaced. Every answer was right, and none was lost."
else
  echo 'Not every answer was right, or some were lost.'
  exit 1
fi
