#!/usr/bin/env bash
# `udppump metrics` beside a real Prometheus: a query answers with the exact count, the alerts that are shipped fire in
# an overload, and each panel of the dashboard shows something.
#
# usage: tool-metrics-test.sh UDPPUMP EXAMPLES_DIR POOL METRICS_DIR
# shellcheck source=test/exec/stage.sh
source "$(dirname -- "$0")/../exec/stage.sh" || exit 1
example=$3
shipped=$4
needs curl promtool prometheus

# refuse CODE TEXT ARGUMENT...
refuse() {
  local expected=$1 text=$2 code=0
  shift 2
  timeout 20 "$tool" metrics "$@" >"$dir/refused.log" 2>&1 || code=$?
  [ "$code" = "$expected" ] || fail "metrics $*: exit code $code, not $expected"
  said refused "$text" || fail "metrics $*: it does not say: $text"
}
free_tcp_port() {
  python3 -c 'import socket
s = socket.create_server(("127.0.0.1", 0))
print(s.getsockname()[1])'
}
if "$tool" metrics 127.0.0.1:1x 2>&1 | grep 'built without prometheus-cpp' >/dev/null; then
  echo "SKIPPED: built without prometheus-cpp"
  exit 77
fi

echo "# a pool of handlers, which answers 500 datagrams"
port=$(free_port)
"$example" "127.0.0.1:$port" 2>"$dir/pool.log" &
handlers=$!
started+=("$handlers")
cat >"$dir/ask.py" <<'END'
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(0.2)
answered = 0
# Until it serves, nobody is there: ICMP says so, and nothing is counted.
client.connect(("127.0.0.1", int(sys.argv[1])))
while answered < int(sys.argv[2]):
    try:
        client.send(b"12345")
        client.recv(100)
        answered += 1
    except ConnectionRefusedError:
        pass
END
timeout 60 python3 "$dir/ask.py" "$port" 500 || fail "the pool does not answer"

echo "# a pool of programs, which takes nothing"
start slow --bind 127.0.0.1:0 --workers 1 --receive-buffer 4K -- sleep 600
slow=$pid slow_port=${ports[0]}

echo "# its metrics"
"$tool" metrics 127.0.0.1:0 "$handlers" "$slow" >"$dir/metrics.log" 2>&1 & # others may have pools here
asked=$!
started+=("$asked")
await_line metrics '^metrics at http://127.0.0.1:[0-9]+/metrics$'
where=$(sed -n 's|^metrics at http://\(.*\)/metrics$|\1|p' "$dir/metrics.log")
curl -sS "http://$where/metrics" -D "$dir/head" >"$dir/told"
grep -i '^content-type: text/plain' "$dir/head" >/dev/null || fail "it is not plain text: $(cat "$dir/head")"
promtool check metrics <"$dir/told" >"$dir/check.log" 2>&1 || fail "promtool complains"
# has LINE : a regular expression of a whole line
has() { grep -xE -- "$1" "$dir/told" >/dev/null || fail "no line $1 in $(cat "$dir/told")"; }
has_not() { ! grep -E -- "$1" "$dir/told" >/dev/null || fail "a line $1"; }
has 'udppump_pools 2'
has 'udppump_datagrams_handled_total\{pool="pool"\} 500'
has 'udppump_received_bytes_total\{pool="pool"\} 2500'
has 'udppump_handler_seconds_count\{pool="pool"\} 500'
has 'udppump_handler_seconds_bucket\{pool="pool",le="\+Inf"\} 500'
has 'udppump_workers_wanted\{pool="pool"\} 4'
has 'udppump_kicks_total\{pool="pool"\} [0-9]+'
has "udppump_socket_queue_bytes\{pool=\"pool\",address=\"127.0.0.1:$port\"\} 0"
has "udppump_socket_drops_total\{pool=\"[^\"]*\",address=\"127.0.0.1:$slow_port\"\} 0"
has 'udppump_worker_cpu_seconds_total\{pool="pool",worker="3"\} .*'
# Of programs it is not known what they do with datagrams.
has 'udppump_pool_info\{pool="[^"]*",version="[^"]*",kind="programs",parent="'"$slow"'"\} 1'
programs=$(sed -n 's/^udppump_pool_info{pool="\([^"]*\)",.*kind="programs".*parent="'"$slow"'".*/\1/p' "$dir/told")
has_not "udppump_(datagrams_|handler_|received_|longest_|kicks_)[^{]*\{pool=\"$programs\""

echo "# connections that say nothing do not keep it from answering"
python3 - "$where" <<'END' || fail "it is held up"
import socket, sys, urllib.request
host, port = sys.argv[1].rsplit(":", 1)
silent = [socket.create_connection((host, int(port))) for _ in range(8)]
silent[0].send(b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 10)
silent[1].send(b"\0\xff" * 1000)
told = urllib.request.urlopen("http://%s/metrics" % sys.argv[1], timeout=20).read()
assert b"udppump_pools" in told
END

echo "# wrong addresses"
refuse 1 "metrics at $where: Address already in use; \"udppump \(pid $asked\)\" of user $(id -u) \(inode [0-9]+\) \
listens there: stop it, or give another port\$" "$where"
refuse 2 'is no address to listen at' frob
refuse 2 'is no address to listen at' unix:/tmp/x
refuse 2 'metrics at 192.0.2.1:9153: ' 192.0.2.1:9153

refuse 2 'POOL: an empty text names no pool; omit it to tell of all' 127.0.0.1:0 "$slow" ''

echo "# by name: all pools that have it, whose labels stay the same over take-overs and restarts"
start one --name twins --bind 127.0.0.1:0 --workers 1 -- sleep 600
one=$pid
start other --name twins --bind 127.0.0.1:0 --workers 1 -- sleep 600
other=$pid
"$tool" metrics 127.0.0.1:0 twins "$one" >"$dir/by-name.log" 2>&1 &
by_name=$!
started+=("$by_name")
await_line by-name '^metrics at '
named=$(sed -n 's|^metrics at http://\(.*\)/metrics$|\1|p' "$dir/by-name.log")
# labels_are "LABEL PARENT"... : these pools and no others are told of, and no series twice
labels_are() {
  curl -sS "http://$named/metrics" >"$dir/named"
  local twice
  twice=$(sed -nE 's/^([a-z].*) [^ ]+$/\1/p' "$dir/named" | sort | uniq -d)
  [ -z "$twice" ] || fail "twice: $twice"
  [ "$(sed -nE 's/^udppump_pool_info\{pool="([^"]*)",.*parent="([0-9]+)"\} 1$/\1 \2/p' "$dir/named" | sort)" = \
    "$(printf '%s\n' "$@" | sort)" ]
}
labels_are "twins $one" "twins#2 $other" || fail "they have other labels: $(cat "$dir/named")"
finish "$one"
labels_are "twins#2 $other" || fail "the end of the one changes the label of the other"
start one --name twins --bind 127.0.0.1:0 --workers 1 -- sleep 600
one=$pid
labels_are "twins $one" "twins#2 $other" || fail "after a restart they have other labels: $(cat "$dir/named")"
finish "$other"
# Scraped all the time; in each answer the label is there.
take_over_is_done() {
  curl -sS "http://$named/metrics" >"$dir/during"
  grep -E '^udppump_workers_wanted\{pool="twins"\} 1$' "$dir/during" >/dev/null || fail "twins: $(cat "$dir/during")"
  grep -E '^udppump_pools 2$' "$dir/during" >/dev/null && cp "$dir/during" "$dir/both"
  gone "$one"
}
kill -USR2 "$one"
await take_over_is_done || fail "the pool from before does not end"
ended "$one" 0
successor() { sed -nE 's/^udppump_pool_info\{pool="twins",.*parent="([0-9]+)"\} 1$/\1/p' "$dir/named"; }
has_successor() {
  labels_are none || true
  [ -n "$(successor)" ] && [ "$(successor)" != "$one" ]
}
await has_successor || fail "the pool that has taken over has another label"
next=$(successor)
started+=("$next")
labels_are "twins $next" || fail "there are others: $(cat "$dir/named")"
[ -e "$dir/both" ] || echo "  nobody looked while there were two"
kill "$next"
await gone "$next" || fail "it does not end"
labels_are '' || fail "it is told of after its end"
kill "$by_name"
ended "$by_name" 0

echo "# a process of the pool's own: exec --metrics"
own=127.0.0.1:$(free_tcp_port)
start told --bind 127.0.0.1:0 --workers 2 --take-over "$dir/socket" --metrics "$own" -- sleep 600
# answers PARENT : its metrics are of the pool with this parent, and it serves
answers() {
  curl -sS "http://$own/metrics" >"$dir/own" 2>/dev/null || return 1
  grep -E "^udppump_pool_info\{.*parent=\"$1\"\} 1$" "$dir/own" >/dev/null
}
await answers "$pid" || fail "the pool's own metrics do not answer"
grep -E '^udppump_pools 1$' "$dir/own" >/dev/null || fail "it tells of others, too"
# find_teller NAME : sets teller, once the log names one that runs
names_teller() {
  teller=$(sed -nE "s/.* process ([0-9]+) tells Prometheus of this pool at $own\$/\\1/p" "$dir/$1.log" | tail -n 1)
  [ -n "$teller" ] && ! gone "$teller"
}
find_teller() { await names_teller "$1" || fail "the log does not say which process it is"; }
find_teller told
if [ "$(id -u)" = 0 ]; then
  grep -E '^Uid:[[:space:]]+65534[[:space:]]+65534[[:space:]]+65534' "/proc/$teller/status" >/dev/null ||
    fail "it is still root"
  grep -E '^CapPrm:[[:space:]]+0+$' "/proc/$teller/status" >/dev/null || fail "it has capabilities"
  grep -E '^Groups:[[:space:]]*$' "/proc/$teller/status" >/dev/null || fail "it has root's groups"
fi
grep -E '^NoNewPrivs:[[:space:]]+1$' "/proc/$teller/status" >/dev/null || fail "it may gain privileges"
grep -E '^flags:[[:space:]]+0[0-9]*0$' "/proc/$teller/fdinfo/3" >/dev/null || fail "it may write to the pool's memory"
sockets_of() { find "/proc/$1/fd" -maxdepth 1 -lname 'socket:*' -printf '%l\n' | sort -u; }
[ -z "$(comm -12 <(sockets_of "$pid") <(sockets_of "$teller"))" ] || fail "it has sockets of the service"
[ "$(tr -d '\0' <"/proc/$teller/environ" | wc -c)" = 0 ] || fail "it has the service's environment"

echo "# it is killed, and another is started; the workers notice nothing"
before=$(children "$pid" | grep -vx "$teller")
kill -KILL "$teller"
await_line told 'the process that tells Prometheus of this pool was killed by signal 9; another is started in 500 ms'
await answers "$pid" || fail "no other one is started"
find_teller told
[ "$(children "$pid" | grep -vx "$teller")" = "$before" ] || fail "workers were replaced"

echo "# a reload leaves it alone; a take-over starts another, and the port passes over"
kill -HUP "$pid"
await_line told ' reloaded 2 workers'
reloaded() { answers "$pid" && grep -E '^udppump_reloads_total\{[^}]*\} 1$' "$dir/own" >/dev/null; }
await reloaded || fail "it does not know of the reload"
[ -e "/proc/$teller" ] || fail "a reload ended it"
old=$pid
start next --bind 127.0.0.1:0 --workers 2 --take-over "$dir/socket" --metrics "$own" -- sleep 600
ended "$old" 0
await answers "$pid" || fail "after a take-over nobody answers"
await gone "$teller" || fail "the old one is left"
! said next 'metrics-ended' || fail "the new one gave up"

echo "# it ends with the parent, however that ends"
find_teller next
kill -KILL "$pid"
await gone "$teller" || fail "it outlives its parent"
ended "$pid" 137
start again --bind 127.0.0.1:0 --workers 1 --metrics "$own" -- sleep 600
await answers "$pid" || fail "the port was not free"
finish "$pid"

echo "# the port is taken: that is told after a second, and when it is free, that it listens"
python3 - "${own##*:}" <<'END' &
import socket, sys, time
holder = socket.create_server(("127.0.0.1", int(sys.argv[1])))
time.sleep(600)
END
holder=$!
started+=("$holder")
holds() { ! python3 -c 'import socket, sys; socket.create_server(("127.0.0.1", int(sys.argv[1])))' "${own##*:}" 2>&-; }
await holds || fail "nobody takes the port"
start taken --log json --bind 127.0.0.1:0 --workers 1 --metrics "$own" -- sleep 600
await_line taken '"event":"metrics-says"'
! said taken '"event":"metrics",' || fail "it is said to listen while the port is taken"
kill -KILL "$holder"
{ wait "$holder" || true; } 2>/dev/null  # bash says "Killed"
await_line taken '"event":"metrics",'
python3 - "$dir/taken.log" "$own" "$holder" <<'END' || fail "the log is not as it should be"
import json, os, sys
events = [json.loads(line) for line in open(sys.argv[1])]  # each line is an event
told = {one["event"]: one for one in events if one["event"].startswith("metrics")}
says, listens = told["metrics-says"], told["metrics"]
assert says["level"] == "warning", says
start = "metrics at %s: Address already in use; " % sys.argv[2]
assert says["fields"]["line"].startswith(start), says
who = "a process" if os.getuid() == 0 else '"python3 (pid %s)"' % sys.argv[3]
assert who + " of user %d (inode " % os.getuid() in says["fields"]["line"], says
assert "stop it, or give another port" in says["text"], says
assert listens["level"] == "info" and listens["fields"]["address"] == sys.argv[2], listens
assert listens["fields"]["pid"] == says["fields"]["pid"], told
END
finish "$pid"

echo "# it cannot listen: the reason is an event, and the pool serves on"
start unable --log json --bind 127.0.0.1:0 --workers 1 --metrics 192.0.2.1:9153 -- sleep 600
await_line unable '"event":"metrics-ended"'
python3 - "$dir/unable.log" <<'END' || fail "the log is not as it should be"
import json, sys
told = [one for one in map(json.loads, open(sys.argv[1])) if one["event"].startswith("metrics")]
assert [one["event"] for one in told[:2]] == ["metrics-says", "metrics-ended"], told
assert told[0]["fields"]["line"].startswith("metrics at 192.0.2.1:9153: Cannot assign requested address; "), told
assert told[1]["fields"]["code"] == "2" and told[1]["level"] == "warning", told
END
finish "$pid"

echo "# addresses that nobody could use"
for each in 127.0.0.1:0 frob ''; do
  code=0
  "$tool" exec --metrics "$each" -- true >"$dir/refused.log" 2>&1 || code=$?
  [ "$code" = 2 ] || fail "exec --metrics \"$each\": exit code $code, not 2"
  said refused '^udppump: --metrics: ' || fail "exec --metrics \"$each\": it does not say what is wrong"
done

echo "# Prometheus"
cp "$shipped/alerts.yml" "$(dirname -- "$0")/alerts-test.yml" "$dir"
(cd "$dir" && promtool test rules alerts-test.yml) >"$dir/rules.log" 2>&1 || fail "the alerts are not as they should be"
mkdir "$dir/prometheus"
# The same alerts, without the time for which something must be so.
sed -E 's/^( *for:) .*/\1 0s/' "$shipped/alerts.yml" >"$dir/prometheus/alerts.yml"
cat >"$dir/prometheus/prometheus.yml" <<END
global: {scrape_interval: 250ms, scrape_timeout: 250ms, evaluation_interval: 250ms}
rule_files: [alerts.yml]
scrape_configs:
  - {job_name: udppump, static_configs: [{targets: ["$where"]}]}
END
web=127.0.0.1:$(free_tcp_port)
prometheus --config.file "$dir/prometheus/prometheus.yml" --storage.tsdb.path "$dir/prometheus/data" \
  --web.listen-address "$web" >"$dir/prometheus.log" 2>&1 &
started+=("$!")
cat >"$dir/query.py" <<'END'
"""query.py PROMETHEUS value EXPRESSION | alerts | panels DASHBOARD"""
import json, sys, urllib.parse, urllib.request

def get(path, **parameters):
    url = "http://%s/api/v1/%s?%s" % (sys.argv[1], path, urllib.parse.urlencode(parameters))
    return json.load(urllib.request.urlopen(url, timeout=20))["data"]

def query(expression):
    return get("query", query=expression)["result"]

if sys.argv[2] == "value":
    for one in query(sys.argv[3]):
        print(one["value"][1])
elif sys.argv[2] == "alerts":
    for one in get("alerts")["alerts"]:
        if one["state"] == "firing":
            print(one["labels"]["alertname"], one["labels"].get("pool", ""), one["annotations"]["summary"])
else:
    count = 0
    for panel in json.load(open(sys.argv[3]))["panels"]:
        for target in panel["targets"]:
            expression = target["expr"].replace("$pool", ".*").replace("$__rate_interval", "1m")
            assert "$" not in expression, expression
            if not query(expression):
                sys.exit("panel \"%s\" shows nothing: %s" % (panel["title"], expression))
            count += 1
    print(count)
END
# value_is EXPRESSION VALUE
value_is() { [ "$(python3 "$dir/query.py" "$web" value "$1" 2>/dev/null)" = "$2" ]; }
await value_is 'up{job="udppump"}' 1 || fail "the target is not up"
await value_is 'sum(udppump_datagrams_handled_total{pool="pool"})' 500 || fail "the count is not 500"
fires() { python3 "$dir/query.py" "$web" alerts >"$dir/alerts.log" && grep -E "^$1 " "$dir/alerts.log" >/dev/null; }
! fires '.*' || fail "an alert fires, though nothing is wrong"

echo "# an overload: the alerts fire"
python3 - "$slow_port" <<'END' &
import socket, sys, time
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    client.sendto(b"x" * 100, ("127.0.0.1", int(sys.argv[1])))
    time.sleep(0.002)
END
started+=("$!")
timeout 60 python3 "$dir/ask.py" "$port" 100 || fail "the pool does not answer"
await fires "UdppumpDrops $programs" || fail "no alert tells of drops"
await fires "UdppumpQueueBehind $programs" || fail "no alert tells of the queue"
grep -E "^UdppumpDrops .*127.0.0.1:$slow_port: the kernel drops [0-9.]+ datagrams a second" "$dir/alerts.log" \
  >/dev/null ||
  fail "the alert does not say where, and how many"
worker=none
# sets worker
another() {
  local now
  now=$(children "$slow")
  [ -n "$now" ] && [ "$now" != "$worker" ] && worker=$now
}
for _ in 1 2 3 4 5; do
  await another || fail "the worker is not replaced"
  kill -KILL "$worker"
done
await fires "UdppumpWorkersRestarting $programs" || fail "no alert tells of restarts"
! fires '[A-Za-z]* pool' || fail "an alert fires for the pool to which nothing was done"
await value_is 'sum(udppump_datagrams_handled_total{pool="pool"})' 600 || fail "the count is not 600"

echo "# the dashboard"
python3 "$dir/query.py" "$web" panels "$shipped/grafana.json" >"$dir/panels.log" 2>&1 || fail "a panel shows nothing"
echo "  $(cat "$dir/panels.log") expressions return series"

echo "# the end"
kill "$asked"
ended "$asked" 0
kill "$handlers"
wait "$handlers" || true
finish "$slow"
echo "all is well"
