#!/usr/bin/env bash
# Runs `udppump compare` as its users would, briefly. How fast anything is does not matter here.
#
# usage: tool-compare-test.sh UDPPUMP
# shellcheck source=test/support/script.sh
source "$(dirname -- "$0")/../support/script.sh" || exit 1

tool=$1

# compare CODE ARGUMENT...
compare() {
  local expected=$1 code=0
  shift
  timeout 100 "$tool" compare "$@" >"$dir/out" 2>"$dir/err" </dev/null || code=$?
  [[ " $expected " == *" $code "* ]] || fail "$*: exit code $code, not $expected"
}
short=(--workers 2 --load 50% --work exponential:2ms --flows 16 --duration 200ms --warmup 50ms --repetitions 2
  --timeout 10s)
# As brief, but with the thousand requests a run that a 99th percentile takes.
enough=(--workers 2 --load 50% --work exponential:200us --flows 16 --duration 300ms --warmup 50ms --repetitions 2
  --timeout 10s)
# How late requests leave, and how long services take, is the machine's affair if nothing else is said.
any_machine=(--lag-limit none --offered-limit none)

makes_a_table() {
  echo "# a table, a plot, a report, and a sentence at the end"
  plot=()
  if command -v gnuplot >/dev/null; then plot=(--plot "$dir/plot.svg"); fi
  compare 0 "${enough[@]}" "${any_machine[@]}" --json "$dir/report.json" ${plot[@]+"${plot[@]}"}
  printf '%s\n' 'looking at this machine' '1 of 2: shared' '1 of 2: sharded' '2 of 2: sharded' '2 of 2: shared' >"$dir/steps"
  diff "$dir/steps" "$dir/err" >&2 || fail "a log does not have one line for each run"
  for row in ideal shared sharded; do grep -qE "^$row +[0-9.]+ [mu]?s " "$dir/out" || fail "no row $row"; done
  [ "$(grep -c '^  lowest ' "$dir/out")" = 2 ] || fail "no spread"
  grep -qE '^this machine: [0-9]+ processors, [0-9]+% of their time stolen, [0-9]+% used by others; a sleep ends .* late \(p90 .*\), a wake-up takes' "$dir/out" ||
    fail "it does not say what it saw of the machine"
  grep -qE '^ +p50 .* load offered ' "$dir/out" || fail "the table does not name the load really offered"
  grep -qE '^With 2 workers at 50% load \([0-9]+% really offered\), 99 of 100 requests were answered within [0-9.]+ [mu]?s by shared \([0-9.]+ times the ideal queue.s\) and within [0-9.]+ [mu]?s by sharded \([0-9.]+ times as long\)\.$' <<<"$(tail -n 1 "$dir/out")" ||
    fail "the last line is not the sentence"
  if ((${#plot[@]})); then
    grep -qxF "drawn: $dir/plot.svg" "$dir/out" || fail "it does not say where the picture is"
    for curve in 'ideal queue' shared sharded; do grep -q ">$curve<\|>$curve *<" "$dir/plot.svg" || fail "no curve $curve"; done
  fi
  if command -v python3 >/dev/null; then
    python3 - "$dir/report.json" <<'END' || fail "the report is not as it should be"
import heapq, json, sys
report = json.load(open(sys.argv[1]))
assert report["valid"] and report["valid_repetitions"] == 2
machine = report["machine"]
assert machine["sleep"]["p90_ns"] >= machine["sleep"]["median_ns"] > 0 and machine["wake_up"]["median_ns"] > 0
assert [trial["service_ns"] for trial in machine["trials"]] == [200000]  # as --work says, and no other
runs = report["runs"]
for run in runs:
    trace = run["result"]["trace"]
    used = [u for u in trace["used_ns"] if u is not None]
    answered = [a for a, u in zip(trace["asked_ns"], trace["used_ns"]) if u is not None]
    length = trace["intended_ns"][-1] + trace["lag_ns"][-1]
    real = sum(trace["asked_ns"]) * sum(used) / sum(answered) / length / report["workers"]
    assert abs(run["real_load"] - real) < 1e-6, (run["real_load"], real)
assert [run["queue"] for run in runs] == ["shared", "sharded", "sharded", "shared"]
for run in runs:
    trace = run["result"]["trace"]
    free = [0] * report["workers"]  # the ideal queue once more, by somebody else
    ideal = []
    for intended, used, asked in zip(trace["intended_ns"], trace["used_ns"], trace["asked_ns"]):
        done = max(intended, heapq.heappop(free)) + (asked if used is None else used)
        heapq.heappush(free, done)
        if intended >= report["warmup_ns"]: ideal.append(done - intended)
    exact = sorted(ideal)[(len(ideal) * 99 + 99) // 100 - 1]
    assert exact <= run["ideal"]["p99_ns"] <= exact * 1.001
for one, other in (runs[0:2], runs[2:4]):
    for field in "intended_ns", "flow", "asked_ns":
        assert one["result"]["trace"][field] == other["result"]["trace"][field], field
END
  fi
}

tells_short_and_long_requests_apart() {
  echo "# lanes, beside the ideal ones; short and long requests apart"
  compare 0 --workers 2 --load 50% --work bimodal:100us,2ms,30% --flows 16 --duration 2s --warmup 50ms --repetitions 1 \
    --timeout 10s "${any_machine[@]}" --queue shared lanes --json "$dir/report.json"
  grep -qxF 'lanes: requests of 100 us before those of 2.00 ms; 1 of 2 workers kept for the former' "$dir/out" ||
    fail "it does not say what lanes are"
  for row in ideal 'ideal lanes' shared lanes; do
    grep -qE "^$row +[0-9.]+ [mu]?s " "$dir/out" || fail "no row $row"
    for class in short long all; do
      grep -qE "^$class, $row +[0-9.]+ [mu]?s +[0-9.]+ [mu]?s +[0-9.]+ [mu]?s +[0-9.]+ *" "$dir/out" ||
        fail "no row $class, $row"
    done
  done
  grep -qE '^Of the short requests, 99 of 100 were answered within [0-9.]+ [mu]?s by shared \([0-9.]+ times the ideal queue.s\) and [0-9.]+ [mu]?s by lanes' "$dir/out" ||
    fail "no sentence about the short requests"
  if command -v python3 >/dev/null; then
    python3 - "$dir/report.json" <<'END' || fail "the report is not as it should be"
import json, sys
report = json.load(open(sys.argv[1]))
assert report["reserve"] == 1
for run in report["runs"]:
    trace, classes = run["result"]["trace"], run["result"]["classes"]
    asked = [asked for asked, due in zip(trace["asked_ns"], trace["intended_ns"]) if due >= report["warmup_ns"]]
    assert set(asked) == {100000, 2000000}
    for name, time in ("short", 100000), ("long", 2000000):
        for each in (classes, run["ideal_classes"], run["ideal_lanes_classes"]):
            latency = each[name]["latency"]
            assert latency["count"] + latency["missing"] == asked.count(time), (name, latency["count"])
    if run["queue"] == "lanes":
        by = {worker for worker, time in zip(trace["worker"], trace["asked_ns"]) if time == 2000000}
        assert by <= {1, None}, by  # worker 0 is kept for the short ones
END
  fi
}

compares_three_queues() {
  echo "# three queues; and in brief runs nothing is said of 99 in 100"
  compare 0 "${short[@]}" "${any_machine[@]}" --queue shared sharded herd
  grep -q '^herd ' "$dir/out" || fail "no row herd"
  last=$(tail -n 1 "$dir/out")
  [[ $last =~ ^'Nothing is said of 99 in 100 requests: a run had only '[0-9]+', and 1000 are needed, '.*'a longer --duration' ]] ||
    fail "the last line does not say why there is no sentence"
  grep -qE '^note: runs of [0-9]+ requests: fewer than ten of them exceed p99, p99.9, ' "$dir/out" ||
    fail "the table does not say which percentiles are chance"
}

says_nothing_of_late_requests() {
  echo "# if requests leave late, there is a table but no sentence"
  compare 3 "${short[@]}" --offered-limit none --lag-limit 0.000001 --quiet
  grep -q '^shared ' "$dir/out" || fail "no table"
  if grep -q '^With ' "$dir/out"; then fail "a sentence about what is not valid"; fi
  grep -q '^udppump: not valid: 0 of 2 repetitions are valid, and 2 were wanted: in 2 requests left late; .* Quiet the machine' "$dir/err" ||
    fail "it does not say why"
  [ "$(grep -vc 'this machine offered' "$dir/err")" = 1 ] || fail "--quiet leaves more than the reason"
}

says_nothing_of_another_load() {
  echo "# if more load was offered than asked for, the same"
  compare 3 "${short[@]}" --lag-limit none --offered-limit 0.000001 --quiet --json "$dir/report.json"
  if grep -q '^With ' "$dir/out"; then fail "a sentence about what is not valid"; fi
  grep -qE '^udppump: not valid: 0 of 2 .*really offered was [0-9]+% to [0-9]+% \(asked for: 50%\).*lower --load' "$dir/err" ||
    fail "it does not say why"
  grep -q '"valid":false,"valid_repetitions":0' "$dir/report.json" || fail "the report calls it valid"
}

chooses_a_service_time() {
  echo "# without --work it takes the shortest service time at which the load can be offered, and says so"
  compare '0 3' "${short[@]:0:4}" --duration 200ms --warmup 0 --repetitions 1 --quiet
  if grep -q '^service time: ' "$dir/out"; then
    grep -qE '^service time: (1.00|2.00|5.00|10.0|20.0) ms in the mean, the shortest of 1, 2, 5, 10 and 20 ms at which 50% load can really be offered here \(1.00 ms: ' "$dir/out" ||
      fail "it does not say which and why"
    chosen=$(sed -n 's/^service time: \([0-9.]* ms\) .*/\1/p' "$dir/out")
    grep -qF "exponential around $chosen; 50% load" "$dir/out" || fail "it takes another service time than it says"
  else
    grep -q '^udppump: not valid: with no service time of 1 to 20 ms can 50% load really be offered here' "$dir/err" ||
      fail "it neither says which service time it takes nor why none"
  fi
}

measures_nothing_if_none_will_do() {
  echo "# if no service time will do, nothing is measured"
  compare 3 --offered-limit 0.000001 --quiet --json - --duration 200ms
  [ "$(wc -l <"$dir/err")" = 2 ] || fail "it says more than what it saw, and why that ends it"
  grep -q '^{.*"valid":false}$' "$dir/out" || fail "the report is not clean: $(cat "$dir/out")"
}

tells_the_truth_beside_busy_loops() {
  echo "# beside busy loops it says the truth, or that it cannot be measured"
  # Two for each processor, at another user's priority: what steals time from workers, and they are not to blame.
  for ((i = 0; i < 2 * $(nproc); ++i)); do
    sh -c 'while :; do :; done' &
    started+=("$!")
  done
  compare '0 3' --duration 300ms --warmup 100ms --repetitions 3 --json "$dir/report.json" --quiet
  for each in "${started[@]}"; do
    kill -KILL "$each"
    wait "$each" 2>/dev/null || true
  done
  started=()
  if command -v python3 >/dev/null; then
    python3 - "$dir/report.json" "$(tail -n 1 "$dir/out")" <<'END' || fail "it does not tell the truth"
import json, sys
report, sentence = json.load(open(sys.argv[1])), sys.argv[2]
valid = [run for run in report.get("runs", []) if run["valid"]]
assert all(0.9 <= run["real_load"] / report["load"] <= 1.1 for run in valid), [run["real_load"] for run in valid]
said = "With 8 workers at 70% load (", "Nothing is said of 99 in 100 requests: "
assert report["valid"] == sentence.startswith(said), sentence
enough = all(run["result"]["latency"]["count"] >= 1000 for run in valid)
assert not report["valid"] or not enough or sentence.startswith(said[0]), sentence
assert len(valid) >= 4 or not report["valid"]
END
  fi
}

draws_progress_on_a_terminal() {
  if command -v python3 >/dev/null; then
    echo "# on a terminal there is one line, and it fits"
    TERM=xterm timeout 100 python3 - "$tool" compare "${short[@]}" "${any_machine[@]}" >"$dir/out" 2>"$dir/err" <<'END' ||
import concurrent.futures, fcntl, os, pty, re, struct, subprocess, sys, termios
step = r" *\d+%  [12] of 2: (shared|sharded)"
def shown_on(columns):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    tool = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 65536): shown += part
    except OSError: pass  # EIO: nobody has the other end any more
    assert tool.wait() == 0, tool.returncode
    return shown.decode()
cases = (200, r"\[#*\.*\] "), (40, r"\[#*\.*\] "), (24, ""), (8, None)
with concurrent.futures.ThreadPoolExecutor() as all:
    for (columns, bar), shown in zip(cases, all.map(shown_on, [columns for columns, _ in cases])):
        lines = shown.replace("\033[K", "").split("\r")
        print(columns, *lines, sep="\n")
        assert len(lines) > 4
        for line in lines:
            assert len(line) < columns and "\n" not in line, line
            assert not line or bar is None or re.fullmatch(bar + step + "|looking at this machine", line), line
END
      fail "the progress bar is not as it should be"
  fi
}

# Most wait nearly all of their time, and do that all at once. What a quiet machine shows more of is by itself.
chooses_a_service_time
waiting=(makes_a_table tells_short_and_long_requests_apart compares_three_queues says_nothing_of_late_requests says_nothing_of_another_load
  measures_nothing_if_none_will_do draws_progress_on_a_terminal)
for each in "${waiting[@]}"; do beside "$each"; done
await_beside "${waiting[@]}"
tells_the_truth_beside_busy_loops

echo "# what is wrong is said in one line"
refuse() {
  local expected=$2
  compare "$1" "${@:3}"
  [ "$(wc -l <"$dir/err")" = 1 ] || fail "${*:3}: not one line"
  grep -q -- "^udppump: .*$expected" "$dir/err" || fail "${*:3}: no '$expected'"
}
refuse 2 '--load: "heavy" is no share' --load heavy
refuse 2 '"heap" is none of: shared, lanes, sharded, herd' --queue heap
refuse 2 '--queue: one cannot be compared; name two' --queue shared
refuse 2 '--queue: shared is named twice' --queue shared shared
refuse 2 '--reserve is of lanes: name these in --queue, or omit it' --reserve 1
refuse 2 '--reserve 2 of 2 workers leaves none for long requests' --queue shared lanes --workers 2 --reserve 2
refuse 2 '--queue: lanes tell short requests from long ones' --queue shared lanes --work exponential:1ms
refuse 2 '--work: a mean of 0 is no work; give more' --work constant:0
refuse 2 '--duration' --duration 0
refuse 2 'are no service times' --work 1ms
refuse 2 '.svg or .png' --plot "$dir/plot.txt"
refuse 2 "cannot write $dir/none/report.json" --json "$dir/none/report.json"
echo "all is well"
