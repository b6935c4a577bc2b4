#!/usr/bin/env bash
# Runs `udppump load --dns` against a real name server, started here on a free port: what it counts, what it does while
# the server hangs, and what it makes of answers that the server holds back on purpose.
#
# usage: tool-load-server-test.sh UDPPUMP nsd|knot EXAMPLES_DIR
# shellcheck source=test/support/script.sh
source "$(dirname -- "$0")/../support/script.sh" || exit 1

tool=$1
kind=$2
examples=$3
PATH=$PATH:/usr/local/sbin:/usr/sbin  # not in everybody's
program=$kind
[ "$kind" != knot ] || program=knotd
needs "$program" dig
cp -- "$examples/example.com.zone" "$dir/zone"

# configure PORT LIMIT : the server's configuration; to one client it gives LIMIT like answers a second (0: all)
configure() {
  case $kind in
    nsd)
      cat <<END_OF_FILE
server:
  ip-address: 127.0.0.1@$1
  server-count: 2
  username: ""
  chroot: ""
  database: ""
  zonesdir: "$dir"
  xfrdir: "$dir"
  xfrdfile: ""
  zonelistfile: "$dir/zone.list"
  pidfile: "$dir/pid"
  logfile: "$dir/server.log"
  rrl-ratelimit: $2
  rrl-slip: 0
remote-control:
  control-enable: no
zone:
  name: example.com
  zonefile: "$dir/zone"
END_OF_FILE
      ;;
    knot)
      cat <<END_OF_FILE
mod-rrl:
  - id: limit
    rate-limit: $(($2 ? $2 : 1))
    slip: 0
server:
  rundir: "$dir"
  listen: 127.0.0.1@$1
  udp-workers: 2
  tcp-workers: 1
  background-workers: 1
control:
  listen: "$dir/control"
database:
  storage: "$dir"
log:
  - target: "$dir/server.log"
    any: info
zone:
  - domain: example.com
    file: "$dir/zone"
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
END_OF_FILE
      [ "$2" = 0 ] || echo '    module: mod-rrl/limit'
      ;;
  esac
}

# How late requests leave is the machine's affair here: what is tested is not how fast it is.
asking=(--dns "$examples/example.com.queries" --warmup 0 --lag-limit none --offered-limit none)

# load EXPECTED_CODE ARGUMENT...
load() {
  local expected=$1 code=0
  shift
  timeout 60 "$tool" load "127.0.0.1:$port" "${asking[@]}" "$@" >"$dir/load.out" 2>"$dir/load.err" </dev/null || code=$?
  [ "$code" = "$expected" ] || fail "load $*: exit code $code, not $expected"
}

# number NAME : of the line "sent N, answered N, ..."
number() { sed -n "/^sent /s/.*\b$1 \([0-9]*\).*/\1/p" "$dir/load.out"; }

# With the zone, not that it has none.
answers() {
  grep -qxF 2001:db8::80 <<<"$(dig -r @127.0.0.1 -p "$port" +norecurse +tries=1 +time=1 +short www.example.com AAAA 2>&1)"
}

# start LIMIT : sets group and port, when it answers
start() {
  local deadline
  for attempt in 1 2 3 4 5; do  # a port may be somebody else's
    port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
    configure "$port" "$1" >"$dir/conf"
    : >"$dir/server.log"
    # A session of its own, and so a group.
    case $kind in
      nsd) setsid "$program" -d -c "$dir/conf" >"$dir/server.out" 2>&1 </dev/null & ;;
      knot) setsid "$program" -c "$dir/conf" >"$dir/server.out" 2>&1 </dev/null & ;;
    esac
    group=$!
    started=("-$group")  # it has the server's own number, and all of its processes
    deadline=$((SECONDS + 10))
    while kill -0 "$group" 2>/dev/null && ((SECONDS < deadline)); do
      if answers; then return; fi
      sleep 0.05
    done
    stop
    echo "  attempt $attempt: no answer at port $port"
  done
  fail "$kind does not come to answer"
}

stop() {
  kill -TERM "$group" 2>/dev/null || true
  for ((i = 0; i < 500; ++i)); do
    kill -0 "$group" 2>/dev/null || break
    sleep 0.02
  done
  kill -KILL -- "-$group" 2>/dev/null || true
  wait "$group" 2>/dev/null || true
  started=()
}

echo "# every query is answered once, and the answer found"
start 0
# So few that its socket's buffer takes them all, should it have to wait for a processor.
for arrivals in poisson bursts:20; do
  load 0 --rate 300 --duration 500ms --flows 8 --timeout 10s --arrivals "$arrivals" --json "$dir/report.json"
  [ "$(number sent)" -gt 50 ] || fail "it sent $(number sent) queries of 150"
  grep -q "^sent \([0-9]*\), answered \1, late 0, lost 0, duplicates 0;" "$dir/load.out" || fail "not all were answered"
done
if command -v python3 >/dev/null; then
  python3 - "$dir/report.json" <<'END' || fail "the report is not as it should be"
import json, sys
result = json.load(open(sys.argv[1]))["result"]
latencies = result["trace"]["latency_ns"]
assert len(latencies) == result["sent"] == result["latency"]["count"] and min(latencies) > 0
END
fi

echo "# while it hangs nothing is answered, and then all is again"
kill -STOP -- "-$group"
load 1 --rate 200 --duration 300ms --timeout 300ms
grep -q 'answered none of' "$dir/load.err" || fail "it does not say that nothing was answered"
kill -CONT -- "-$group"
await answers || fail "it does not answer after it had hung"  # first what has been waiting, to nobody
load 0 --rate 300 --duration 300ms --timeout 10s
grep -q "^sent \([0-9]*\), answered \1, " "$dir/load.out" || fail "not all were answered after it had hung"
stop

echo "# answers that it holds back are lost, and the others are not"
start 5
load 0 --rate 1000 --duration 2s --flows 8 --timeout 1s
lost=$(number lost)
[ "$(number sent)" = "$(($(number answered) + $(number late) + lost))" ] || fail "the counts do not add up"
[ "$lost" -gt 0 ] || fail "nothing is lost where answers are limited"
[ "$(number answered)" -gt 0 ] || fail "nothing is answered where answers are limited"
((lost * 100 < $(number sent))) || grep -q '^latency .* lost' "$dir/load.out" ||
  fail "more than one in a hundred is lost, and the percentiles do not say so"
echo "  lost $lost of $(number sent)"
stop
echo "all is well"
