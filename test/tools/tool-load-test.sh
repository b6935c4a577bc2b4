#!/usr/bin/env bash
# Runs `udppump load` and `udppump work` as their users would: against each other, against the example DNS server, and
# with everything wrong that can be wrong on the command line.
#
# usage: tool-load-test.sh UDPPUMP DNS_SERVER EXAMPLES_DIR
# shellcheck source=test/support/script.sh
source "$(dirname -- "$0")/../support/script.sh" || exit 1

tool=$1
dns_server=$2
examples=$3

# serve NAME COMMAND... : sets pid and address when it listens
serve() {
  local name=$1
  shift
  rm -f "$dir/$name.out"  # that of an earlier one would be taken for this one's, until the new process empties it
  "$@" >"$dir/$name.out" 2>"$dir/$name.err" &
  pid=$!
  started+=("$pid")
  await grep -qs '^listening on ' "$dir/$name.out" || fail "$name does not listen"
  address=$(sed -n 's/^listening on //p' "$dir/$name.out")
}

# end NAME : asks the last server to end; it must do so in order
end() {
  local code=0
  kill -TERM "$pid"
  wait "$pid" || code=$?
  [ "$code" = 0 ] || fail "$1 ended with exit code $code"
}

# load EXPECTED_CODES ARGUMENT... : runs `udppump load` without a terminal
load() {
  local codes=$1 code=0
  shift
  timeout 60 "$tool" load "$@" >"$dir/load.out" 2>"$dir/load.err" </dev/null || code=$?
  [[ " $codes " == *" $code "* ]] || fail "load $*: exit code $code, not $codes"
}

# number NAME : of the line "sent N, answered N, ..."
number() { sed -n "s/.*\b$1 \([0-9]*\).*/\1/p" "$dir/load.out" | sed -n 1p; }

# How late requests leave is the machine's affair here: what is tested is not how fast it is.
any_lag=(--lag-limit none --offered-limit none)
short=(--duration 250ms --warmup 50ms --timeout 10s)

# How often the workers have gone to sleep: more and more often while requests come.
sleeps() {
  local each workers
  read -ra workers <"/proc/$pid/task/$pid/children" || true  # the kernel ends it with no newline
  for each in "${workers[@]}"; do cat "/proc/$each/status"; done |
    awk '/^voluntary/ { all += $2 } END { print all + 0 }'
}
have_slept() { [ "$(sleeps)" -gt "$1" ]; }
# ramp ARGUMENT... : begins a ramp, and returns when its first step is under way
ramp() {
  local before
  before=$(sleeps)
  "$tool" load "$address" --work constant:1ms --ramp --warmup 0 --json "$dir/ramp.json" "$@" >"$dir/load.out" 2>"$dir/load.err" &
  loading=$!
  started+=("$loading")
  await have_slept $((before + 50)) || fail "no requests are sent"
}

# What waits for seconds does so beside the rest.
finds_the_knee() {
  echo "# --ramp finds a known knee: one worker that takes 2 ms serves 500 a second"
  serve work "$tool" work --bind 127.0.0.1:0 --workers 1
  # Above it the queue grows by 2 ms for each request too many: 30 ms are not reached at 500, but are at 540. Below it a
  # busy machine may stumble, even twice at one rate; if at the first, then once more, for a hundred seconds. It looks at
  # 300, 600, 424, 504, 550 and 526.
  for ((attempt = 1, until = SECONDS + 100; attempt == 1 || SECONDS < until; ++attempt)); do
    load '0 3 4' "$address" --work constant:2ms --arrivals constant --ramp --slo 30ms --rate 300 --duration 400ms --warmup 0
    knee=$(sed -n 's/.* up to \([0-9]*\) requests a second.*/\1/p' "$dir/load.out")
    ((${knee:-0} < 300)) || break
    echo "  found ${knee:-none} at attempt $attempt"
  done
  # A busy machine that cannot offer the next rate says that instead.
  grep -q '^udppump: not valid: ' "$dir/load.err" ||
    grep -qE '^note: a step had only [0-9]+ requests, and a 99th percentile needs 1000, .* a longer --duration$' "$dir/load.out" ||
    fail "it does not say that the steps were too short for a 99th percentile"
  if ((${knee:-0} < 300 || knee > 540)); then fail "the knee is not 500 but ${knee:-none}"; fi
  echo "  found $knee"
  end work
}

finds_no_good_rate() {
  echo "# --ramp says so if no rate is good"
  serve work "$tool" work --bind 127.0.0.1:0 --workers 1
  # Of this seed a request is due within the 30 ms, though three a second are few.
  load 4 "$address" --work constant:4ms --ramp --slo 1ms --rate 3 --seed 6 --duration 30ms --warmup 0 "${any_lag[@]}"
  end work
}

asks_the_dns_server() {
  echo "# the example DNS server, matched by message id"
  if [ -x "$dns_server" ]; then
    serve dns "$dns_server" --zone "$examples/example.com.zone" --bind 127.0.0.1:0 --workers 4
    load 0 "$address" --dns "$examples/example.com.queries" --rate 4000 --flows 4 "${short[@]}" "${any_lag[@]}"
    [ "$(number sent)" -gt 500 ] || fail "it sent $(number sent) queries of 1000"
    [ "$(number sent)" = "$(number answered)" ] || fail "not all queries were answered"
    grep -qE '^response codes: NOERROR [0-9]+, NXDOMAIN [0-9]+; truncated [0-9]+$' "$dir/load.out" || fail "no response codes"
    if grep -q 'neither NOERROR' "$dir/load.out"; then fail "there is a note about answers that are well"; fi
    printf '%s\n' 'www.example.org A' 'www.example.com A' >"$dir/queries"
    load 0 "$address" --dns "$dir/queries" --rate 500 --duration 200ms --warmup 0 "${any_lag[@]}" --json "$dir/dns.json"
    grep -qE '^response codes: NOERROR [0-9]+, REFUSED [0-9]+; truncated 0$' "$dir/load.out" || fail "refusals are not counted"
    grep -qE '^note: [0-9]+ of [0-9]+ answers are neither NOERROR nor NXDOMAIN' "$dir/load.out" || fail "refusals are not told"
    grep -q '"response_codes":\[' "$dir/dns.json" || fail "the report has no response codes"
    for other in --payloads --work; do
      printf '%s\n' 'beef0100000100000000000003777777076578616d706c6503636f6d0000010001' >"$dir/queries.hex"
      if [ $other = --payloads ]; then
        load 0 "$address" --payloads "$dir/queries.hex" --rate 1000 "${short[@]}" "${any_lag[@]}"
        [ "$(number sent)" = "$(number answered)" ] || fail "not all payloads were answered"
      else
        load 1 "$address" --work constant:1ms --rate 50 --duration 300ms --warmup 0 --timeout 300ms
        grep -q 'answered none of' "$dir/load.err" || fail "a server of another protocol is not named"
      fi
    done
    end dns
  else
    leave_out "the example DNS server is not built"
  fi
}

# kill_server_in_the_middle COUNT : after so many more requests; then `loading` ends with 1
kill_server_in_the_middle() {
  before=$(sleeps)
  await have_slept $((before + $1)) || fail "no more requests are sent"
  kill -KILL "$pid"
  wait "$pid" 2>/dev/null || true
  code=0
  wait "$loading" || code=$?
  [ "$code" = 1 ] || fail "exit code $code after the death of the server, not 1"
}

survives_the_server() {
  echo "# a server that dies in the middle of a ramp leaves a whole report, and no bound"
  serve work "$tool" work --bind 127.0.0.1:0 --workers 1
  ramp --rate 300 --slo 1s --duration 400ms --timeout 300ms
  await grep -q 'a second: ' "$dir/load.out" || fail "no step of the ramp is reported"
  kill_server_in_the_middle 50
  grep -q "^udppump: the ramp ended early: $address" "$dir/load.err" || fail "it does not say that the server went away"
  grep -q '"failure":".*"lowest_bad_rate":null,.*"steps":\[{.*}\]' "$dir/ramp.json" || fail "the report is not whole, or has a bound"
}

loses_the_server() {
  echo "# a server that dies in the middle of a run is told of: what was measured is not the server"
  serve work "$tool" work --bind 127.0.0.1:0 --workers 1
  "$tool" load "$address" --work constant:1ms --rate 300 --duration 2s --warmup 0 --timeout 500ms "${any_lag[@]}" \
    --json "$dir/lost.json" >"$dir/load.out" 2>"$dir/load.err" &
  loading=$!
  started+=("$loading")
  kill_server_in_the_middle 100
  grep -qE "^udppump: $address was not there all the time: [0-9]+ ICMP errors; see" "$dir/load.err" || fail "it does not say so"
  grep -q '"icmp_errors":[1-9]' "$dir/lost.json" || fail "the report is not whole"
}

beside finds_the_knee
beside loses_the_server
beside finds_no_good_rate
beside asks_the_dns_server
beside survives_the_server

echo "# a server under test, shared, with lanes, sharded and as a herd"
for queue in shared lanes sharded herd; do
  serve work "$tool" work --bind 127.0.0.1:0 --workers 4 --queue "$queue"
  work=exponential:1ms
  [ "$queue" != lanes ] || work=bimodal:500us,1500us,50%
  load 0 "$address" --work "$work" --rate 2000 --flows 16 "${short[@]}" "${any_lag[@]}"
  grep -qE '^note: [0-9]+ requests: fewer than ten of them exceed p99, p99.9, ' "$dir/load.out" ||
    fail "it does not say which percentiles are chance"
  [ "$(number sent)" -gt 300 ] || fail "it sent $(number sent) requests of 500"
  [ "$(number sent)" = "$(number answered)" ] || fail "$queue: not all were answered"
  for class in short long all; do
    apart=no
    if grep -qE "^$class +[0-9.]+ [mu]s +[0-9.]+ [mu]s +[0-9.]+ [mu]s +[0-9.]+$" "$dir/load.out"; then apart=yes; fi
    [ "$queue $apart" = 'lanes yes' ] || [[ $queue != lanes && $apart == no ]] ||
      fail "$queue: short and long requests told apart: $apart"
  done
  grep -q '^service time used: mean ' "$dir/load.out" || fail "the service time used is missing"
  [ ! -s "$dir/load.err" ] || fail "there is a progress line without a terminal"
  end work
  grep -q '^served [0-9]* requests, by worker: [0-9]* [0-9]* [0-9]* [0-9]*$' "$dir/work.out" || fail "the counts are missing"
done

echo "# --json has everything, and the same seed the same trace"
serve work "$tool" work --bind 127.0.0.1:0 --workers 2
for run in 1 2; do
  load 0 "$address" --work exponential:1ms --rate 1000 "${short[@]}" "${any_lag[@]}" --seed 7 --json "$dir/$run.json"
done
if command -v python3 >/dev/null; then
  python3 - "$dir/1.json" "$dir/2.json" <<'END' || fail "the reports are not as they should be"
import json, sys
one, two = (json.load(open(name)) for name in sys.argv[1:])
result, trace = one["result"], one["result"]["trace"]
assert result["sent"] == result["answered"] + result["late"] + result["lost"]
counted = [l for l, i in zip(trace["latency_ns"], trace["intended_ns"]) if i >= one["warmup_ns"]]
assert len(counted) == result["sent"] and sum(c for _, _, c in result["latency"]["cells_ns"]) == result["latency"]["count"]
exact = sorted(counted)[(len(counted) * 99 + 99) // 100 - 1]
assert exact <= result["latency"]["p99_ns"] <= exact * 1.001, (exact, result["latency"]["p99_ns"])
assert all(u >= a for u, a in zip(trace["used_ns"], trace["asked_ns"]))
for field in "intended_ns", "flow", "asked_ns":
    assert trace[field] == two["result"]["trace"][field], field
END
fi

echo "# --plot draws"
if command -v gnuplot >/dev/null; then
  load 0 "$address" --work constant:1ms --rate 500 "${short[@]}" "${any_lag[@]}" --plot "$dir/plot.svg"
  grep -q '<svg' "$dir/plot.svg" || fail "no SVG was drawn"
else
  load 1 "$address" --work constant:1ms --plot "$dir/plot.svg"
  grep -q 'install it' "$dir/load.err" || fail "a missing gnuplot is not named"
fi

echo "# a run whose requests leave late is not valid"
load 3 "$address" --work constant:0 --rate 500 "${short[@]}" --lag-limit 0.000001
grep -q '^udppump: not valid: requests left late' "$dir/load.err" || fail "it does not say why"

echo "# an interrupt ends a run early, and it is reported"
for signal in INT TERM; do
  before=$(sleeps) began=$SECONDS code=0
  # A shell starts its background jobs with SIGINT ignored; env undoes that.
  env --default-signal=INT "$tool" load "$address" --work constant:1ms --duration 60s --warmup 0 "${any_lag[@]}" \
    >"$dir/load.out" 2>"$dir/load.err" &
  loading=$!
  started+=("$loading")
  await have_slept $((before + 50)) || fail "no requests are sent"
  kill "-$signal" "$loading"
  wait "$loading" || code=$?
  [ "$code" = 0 ] || fail "exit code $code after SIG$signal, not 0"
  ((SECONDS - began < 30)) || fail "SIG$signal does not end the run early"
  [ "$(number answered)" -gt 0 ] || fail "nothing is reported after SIG$signal"
  grep -qE '^interrupted after [0-9.]+ m?s of measuring$' "$dir/load.out" || fail "it does not say that it was interrupted"
done

echo "# an interrupt of a ramp leaves a whole report, and no bound"
ramp --rate 500 --duration 60s
code=0
kill -TERM "$loading"
wait "$loading" || code=$?
[ "$code" = 1 ] || fail "exit code $code after an interrupt of the first step, not 1"
grep -q 'a second: .*: interrupted$' "$dir/load.out" || fail "the step under way is not called interrupted"
grep -q '"highest_good_rate":null,"interrupted":true.*"lowest_bad_rate":null' "$dir/ramp.json" || fail "a bound was invented"
grep -q '^udppump: interrupted before a rate was found to be good; let' "$dir/load.err" || fail "it does not say what is known"

echo "# also one that comes after good rates: what was found is no answer yet"
"$tool" load "$address" --work constant:0 --ramp --warmup 0 --rate 1 --duration 1s --slo 10s --json "$dir/ramp.json" "${any_lag[@]}" \
  >"$dir/load.out" 2>"$dir/load.err" &
loading=$!
started+=("$loading")
await grep -q ': good' "$dir/load.out" || fail "no rate is good"
code=0
kill -TERM "$loading"
wait "$loading" || code=$?
[ "$code" = 1 ] || fail "exit code $code after an interrupt of a ramp that had found good rates, not 1"
grep -q 'up to [0-9]* requests a second, as far as was tried: interrupted$' "$dir/load.out" || fail "what was found is not told"
grep -q '^udppump: interrupted before the highest rate was found; let' "$dir/load.err" || fail "it does not say what is missing"
grep -q '"highest_good_rate":[0-9.]*,"interrupted":true' "$dir/ramp.json" || fail "the report says nothing of it"

echo "# a run that ends before anything is measured leaves no empty report, and the old one as it was"
mkdir "$dir/reports"
for old in '' '{"old": true}'; do
  [ -z "$old" ] || echo "$old" >"$dir/reports/run.json"
  before=$(sleeps)
  "$tool" load "$address" --work constant:1ms --rate 500 --warmup 60s --json "$dir/reports/run.json" "${any_lag[@]}" \
    >"$dir/load.out" 2>"$dir/load.err" &
  loading=$!
  started+=("$loading")
  await have_slept $((before + 10)) || fail "no requests are sent"
  code=0
  kill -TERM "$loading"
  wait "$loading" || code=$?
  [ "$code" = 1 ] || fail "exit code $code after an interrupt of the warm-up, not 1"
  [ "$(cat "$dir/reports/run.json" 2>/dev/null)" = "$old" ] || fail "the report is: $(head -c 99 "$dir/reports/run.json")"
  [ -n "$old" ] || [ ! -e "$dir/reports/run.json" ] || fail "an empty report is left"
done

echo "# a report is replaced at once, and keeps its mode; a link still leads where it led"
chmod 640 "$dir/reports/run.json"
ln "$dir/reports/run.json" "$dir/second-name"
ln -s run.json "$dir/reports/link"
: >"$dir/reports/alone.json" && chmod 604 "$dir/reports/alone.json"
for name in run.json link alone.json; do
  load 0 "$address" --work constant:0 --rate 200 --duration 100ms --warmup 0 "${any_lag[@]}" --json "$dir/reports/$name"
  grep -q '^{.*}$' "$dir/reports/$name" || fail "$name is no whole report"
done
[ "$(stat -c %a "$dir/reports/run.json") $(stat -c %a "$dir/reports/alone.json")" = '640 604' ] || fail "a mode was changed"
if [ ! -L "$dir/reports/link" ] || ! cmp -s "$dir/reports/run.json" "$dir/second-name"; then fail "a link was replaced"; fi
[ "$(cd "$dir/reports" && echo *)" = 'alone.json link run.json' ] || fail "more is left: $(ls "$dir/reports")"

echo "# a report on standard output is clean, whatever its name; text goes elsewhere"
for name in - /dev/stdout /dev/fd/1; do
  load 0 "$address" --work constant:0 --rate 200 --duration 100ms --warmup 0 "${any_lag[@]}" --json "$name"
  [ "$(wc -l <"$dir/load.out")" = 1 ] || fail "--json $name: more than the report is there"
  grep -q '^{.*"valid":true.*}$' "$dir/load.out" || fail "--json $name: the report is not there"
  grep -q '^sent ' "$dir/load.err" || fail "--json $name: the text is not there"
done
end work

echo "# services that take longer than asked for make the load larger, and that is said"
serve work "$tool" work --bind 127.0.0.1:0 --workers 1
load 0 "$address" --work constant:1ns --rate 200 --duration 100ms --warmup 0 "${any_lag[@]}"
end work
grep -qE '^udppump: services took [0-9]+ times as long as was asked for' "$dir/work.err" || fail "it is not said"

echo "# a client that asks for more than its limit gets no more, from all workers together, and how much is told"
serve work "$tool" work --bind 127.0.0.1:0 --workers 2 --client-limit 0.01,burst=5 --client-share
load '0 1 3' "$address" --work constant:1us --rate 300 --duration 100ms --warmup 0 --timeout 100ms --flows 4 "${any_lag[@]}"
[ "$(number answered)" = 5 ] || fail "not 5 are answered: $(cat "$dir/load.out")"
end work
grep -qE '^dropped [1-9][0-9]* requests of clients that sent too many$' "$dir/work.out" || fail "it is not told"

echo "# what is wrong is said in one line, with cause and cure"
# refuse CODE EXPECTED SUBCOMMAND ARGUMENT...
refuse() {
  local expected_code=$1 expected=$2 code=0
  shift 2
  timeout 20 "$tool" "$@" >"$dir/refused.out" 2>"$dir/refused.err" </dev/null || code=$?
  [[ " $expected_code " == *" $code "* ]] || fail "$*: exit code $code, not $expected_code"
  [ ! -s "$dir/refused.out" ] || fail "$*: there is output"
  [ "$(wc -l <"$dir/refused.err")" = 1 ] || fail "$*: not one line"
  grep -q -- "^udppump: .*$expected" "$dir/refused.err" || fail "$*: no '$expected'"
  ! ends_with_reason "$dir/refused.err" || fail "$*: the cure does not come last"
}
target=127.0.0.1:9
refuse 2 'no TARGET is given; name' load
refuse 2 'udppump load --help' load "$target" --no-such-option
refuse 2 '--rate: "fast" is no rate; write' load "$target" --rate fast
refuse 2 '--rate: "0" is no rate' load "$target" --rate 0
refuse 2 '--duration: "10" is no time; write' load "$target" --duration 10
refuse 2 '--timeout: 0 waits for no answer; give more' load "$target" --timeout 0
refuse 2 '--arrivals: "normal" is no pattern' load "$target" --arrivals normal
refuse 2 'are no service times; write' load "$target" --work 1ms
refuse 2 '--lag-limit' load "$target" --lag-limit much
refuse 2 '--flows' load "$target" --flows 0
refuse 2 '--encoding: "octal" is none of: hex, base64' load "$target" --encoding octal
refuse 2 'do not go together; omit one' load "$target" --work constant:1ms --dns "$examples/example.com.queries"
refuse 2 '--size 7' load "$target" --echo --size 7
refuse 2 '--size: "70000" is no whole number' load "$target" --size 70000
refuse 2 '.svg or .png' load "$target" --plot "$dir/plot.pdf"
refuse 2 '--ramp' load "$target" --ramp --plot "$dir/plot.svg"
refuse 2 "cannot read $dir/none: No such file or directory; name a file that is there" load "$target" --payloads "$dir/none"
printf '%s\n' 00 0g >"$dir/bad.hex"
refuse 2 'bad.hex:2: not hexadecimal' load "$target" --payloads "$dir/bad.hex"
printf '%s\n' 'example.com A' 'example.com' >"$dir/bad.dns"
refuse 2 'bad.dns:2: there is no type' load "$target" --dns "$dir/bad.dns"
refuse 2 'TARGET: address "127.0.0.1": no port' load 127.0.0.1
refuse '1 2' 'name.invalid' load name.invalid:53  # 1 if the resolver does not answer
refuse 2 "cannot write $dir/none/report.json: No such file or directory; its directory must exist" load "$target" --json "$dir/none/report.json"
refuse 2 "cannot write $dir: Is a directory; name a file in it" load "$target" --json "$dir"
refuse 2 '--json and --plot name the same file; name two' load "$target" --json "$dir/a.svg" --plot "$dir/./a.svg"
[ ! -e "$dir/a.svg" ] || fail "an empty file is left"
refuse 2 "cannot write $dir/none/plot.svg: No such file or directory; its directory must exist" load "$target" --plot "$dir/none/plot.svg"
refuse 2 '192.0.2.1' load "$target" --source 192.0.2.1
refuse 1 "$target: Connection refused; nothing listens there: start the server" load "$target" --duration 60s
refuse 2 'no port; name the server.s' load 127.0.0.1:0 # port 0
refuse 2 'the same family' load "$target" --source ::1
refuse 2 '--source: 127.0.0.1:9 is the target: it would answer itself' load "$target" --source "$target"
# refuse_itself TARGET SOURCE OPTION... : each without its port; one that is taken by somebody is not taken again
refuse_itself() {
  local target=$1 source=$2 port
  shift 2
  for ((attempt = 0; attempt < 10; ++attempt)); do
    port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
    timeout 20 "$tool" load "$target:$port" --source "$source:$port" --echo "$@" >/dev/null 2>"$dir/itself.err" </dev/null || true
    grep -q 'in use' "$dir/itself.err" || break
  done
  refuse 2 '--source: .* is the target .*: it would answer itself; omit the port' \
    load "$target:$port" --source "$source:$port" --echo "$@"
}
# An address that is everything here is this machine to whoever sends there.
for option in '' --ramp; do
  refuse_itself 0.0.0.0 127.0.0.1 $option
  refuse_itself 127.0.0.1 0.0.0.0 $option
  if grep -qs '^0\{31\}1 ' /proc/net/if_inet6; then
    refuse_itself '[::]' '[::1]' $option
    refuse_itself '[::1]' '[::]' $option
    refuse_itself '[::ffff:127.0.0.1]' '[::]' $option
  else
    leave_out "no IPv6 on this machine's loopback"
  fi
done
refuse 2 '--source: 127.0.0.2:0 is named twice' load "$target" --source 127.0.0.2 --source 127.0.0.2:0
refuse 2 '--source: 2 sources, and 1 client socket to send from, .* take --flows 2' \
  load "$target" --source 127.0.0.2 --source 192.0.2.77
refuse 2 'one flow only; omit the port, or take --flows 1' load "$target" --source 127.0.0.1:5999 --flows 2
refuse 1 "unix:$dir/none" load "unix:$dir/none" # no server there, as above
refuse 2 '--source: .*wrong port' load "$target" --source 127.0.0.1:x
refuse 2 '--source: is empty' load "$target" --source ''
refuse 2 'the short time is longer' load "$target" --work bimodal:2ms,1ms,1%
refuse 2 'a server works 60.0 s at most' load "$target" --work exponential:61s
refuse 2 'a server works 60.0 s at most' load "$target" --work bimodal:100h
refuse 2 'is too long; give a week at most' load "$target" --work bimodal:200000h
refuse 2 '--size 47' load "$target" --work constant:1ms --size 47
printf '\xef\xbb\xbfexample.com A\n' >"$dir/bom"
refuse 2 'bom:1: it begins with a byte-order mark; save' load "$target" --dns "$dir/bom"
refuse 2 'bom:1: it begins with a byte-order mark; save' load "$target" --payloads "$dir/bom"
for option in --dns --payloads; do
  refuse 2 "cannot read $dir: Is a directory; name a file in it" load "$target" "$option" "$dir"
  refuse 2 "cannot read /nonexist: No such file or directory; name a file that is there" load "$target" "$option" /nonexist
  refuse 2 "cannot read $dir/bad.dns/of: Not a directory; name a file that is there" load "$target" "$option" "$dir/bad.dns/of"
done
refuse 2 '/dev/zero:1: the line is too long' load "$target" --payloads /dev/zero
refuse 2 'there is no query in it' load "$target" --dns /dev/null
printf '%s\n' 'example.com A' >"$dir/both.dns"
refuse 2 'would be written over, and is read' load "$target" --dns "$dir/both.dns" --json "$dir/both.dns"
[ "$(cat "$dir/both.dns")" = 'example.com A' ] || fail "what is read was written over"
if [ "$EUID" != 0 ]; then
  (umask 777 && : >"$dir/mine")
  refuse 2 "cannot read $dir/mine: Permission denied; name a file that this user may read" load "$target" --dns "$dir/mine"
  refuse 1 "cannot write $dir/mine: Permission denied; name a file that this user may write" load "$target" --json "$dir/mine"
fi
# Options that would have no effect.
refuse 2 '--slo has an effect only with --ramp; add that, or omit --slo' load "$target" --slo 1ms
refuse 2 '--encoding has an effect only with --payloads' load "$target" --encoding hex
refuse 2 '--work and --echo do not go together' load "$target" --echo --work constant:1ms
refuse 2 'do not go together; omit one' load "$target" --size 9 --dns "$dir/both.dns"
refuse 2 '--queue: "heap" is none of: shared, lanes, sharded, herd' work --queue heap
refuse 2 '--workers' work --workers 0
refuse 2 '--waiter: "magic" is none of' work --waiter magic
refuse 2 '--waiter is of pumps, and --queue herd has none; omit' work --queue herd --waiter poll
refuse 2 '--queue: sharded needs an address of IP' work --queue sharded --bind "unix:$dir/sharded"
UDPPUMP_WAITER=kq refuse 1 'UDPPUMP_WAITER.*"kq"' work --bind 127.0.0.1:0
UDPPUMP_WAITER=kq refuse 1 'UDPPUMP_WAITER.*"kq"' compare --quiet
refuse 2 '--bind: .*127.0.0.1:99999' work --bind 127.0.0.1:99999
for queue in shared sharded herd; do
  refuse 2 '192.0.2.1:0.* no interface here has that address' work --bind 192.0.2.1:0 --queue $queue
done
refuse 2 '2001:db8::1.* no interface here has that address' work --bind '[2001:db8::1]:0'
serve work "$tool" work --bind 127.0.0.1:0
refuse 1 "$address.*in use" work --bind "$address"

echo "# ports that are used up are named, with the cure"
if unshare -Urn true 2>/dev/null; then
  for from in '' '--source 127.0.0.1'; do
    code=0
    # shellcheck disable=SC2016,SC2086  # the inner shell's own; a word or two
    unshare -Urn sh -c 'ip link set lo up && echo 40000 40009 >/proc/sys/net/ipv4/ip_local_port_range && exec "$@"' - \
      "$tool" load 127.0.0.1:9 --flows 20 $from >"$dir/load.out" 2>"$dir/load.err" || code=$?
    [ "$code" = 1 ] || fail "exit code $code, not 1"
    grep -qE '^udppump: flow 1[01] to 127.0.0.1:9: no port is free; take fewer --flows or more --source.* widen net.ipv4.ip_local_port_range' "$dir/load.err" ||
      fail "ports that are used up are not named"
  done
  echo "# an address that a route forbids is not only called a broadcast one"
  code=0
  # shellcheck disable=SC2016  # the inner shell's own
  unshare -Urn sh -c 'ip link set lo up && ip route add prohibit 192.0.2.0/24 && exec "$@"' - \
    "$tool" load 192.0.2.1:9 >"$dir/load.out" 2>"$dir/load.err" || code=$?
  [ "$code" = 1 ] || fail "exit code $code, not 1"
  grep -qE '^udppump: connect 192.0.2.1:9: Permission denied; .*or a route forbids it: see .ip route get ADDRESS' "$dir/load.err" ||
    fail "the route is not named"
else
  echo "  no network namespaces here: left out"
fi

echo "# a report that does not fit is an error too"
if [ -c /dev/full ]; then
  brief=(--work constant:0 --rate 100 --duration 100ms --warmup 0)
  load 1 "$address" "${brief[@]}" "${any_lag[@]}" --json /dev/full
  grep -q '^udppump: cannot write /dev/full: No space left on device; make room there, or name another file' "$dir/load.err" || fail "a full device is not named"
  code=0
  timeout 60 "$tool" load "$address" "${brief[@]}" "${any_lag[@]}" >/dev/full 2>"$dir/load.err" || code=$?
  [ "$code" = 1 ] || fail "exit code $code where the output cannot be written, not 1"
  grep -q '^udppump: cannot write the output: No space left on device; make room there' "$dir/load.err" || fail "a full output is not named"
else
  leave_out "no /dev/full here"
fi

await_beside finds_the_knee loses_the_server finds_no_good_rate asks_the_dns_server survives_the_server

echo "# a worker that ends is reported, and the others end with it"
read -r victim rest <"/proc/$pid/task/$pid/children" || true  # the kernel ends it with no newline
kill -KILL "$victim"
code=0
wait "$pid" || code=$?
[ "$code" = 1 ] || fail "exit code $code after the death of a worker, not 1"
grep -q "^udppump: worker 0 (pid $victim) ended: killed by signal: Killed$" "$dir/work.err" || fail "it is not reported"
for each in $rest; do await test ! -e "/proc/$each" || fail "a worker is left behind"; done
echo "all is well"
