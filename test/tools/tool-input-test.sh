#!/usr/bin/env bash
# What no option may read: each value that is not exactly one of the option's own is refused with exit code 2, in one
# line that names the option, before anything is opened, bound or sent. The parsers themselves are tested in
# test/load/quantity-test.cpp; here, that every option of every command goes through them.
#
# usage: tool-input-test.sh UDPPUMP [few]
# With "few", each option is given every fourth of the values only, in turn: a sanitizer's program starts slowly.
# shellcheck disable=SC2034,SC2054  # check() reads the arrays by name
# shellcheck source=test/support/script.sh
source "$(dirname -- "$0")/../support/script.sh" || exit 1

tool=$1 apart=1 given=0
[ "${2-}" != few ] || apart=4
refused=0 accepted=0

# refuse OPTION VALUE COMMAND... : COMMAND with that option and value
refuse() {
  local option=$1 value=$2 code=0 said
  shift 2
  local arguments=("$@")
  if [ "$1" = exec ]; then
    said=$("$tool" "${arguments[@]}" "$option" "$value" -- true 2>&1 </dev/null) || code=$?
  else
    said=$("$tool" "${arguments[@]}" "$option" "$value" 2>&1 </dev/null) || code=$?
  fi
  [ "$code" = 2 ] || fail "$* $option '$value': exit code $code, not 2: $said"
  echo "$said" >"$dir/refused.err"
  ! ends_with_reason "$dir/refused.err" || fail "$* $option '$value': the cure does not come last: $said"
  [[ $said == 'udppump: '*"$option"* && $said != *$'\n'* ]] || fail "$* $option '$value': it says: $said"
  ((++refused))
}

# A few of what the parsers refuse, and bytes that are no text.
never=('' ' ' x 1x '1 ' ' 1' 1e3 1e400 inf nan 0x10 "1'000" $'1\n' $'\xff' $'1\xff')
counts=("${never[@]}" -1 -0 +1 1.5 18446744073709551616 99999999999999999999999)
times=("${never[@]}" -1s -0s 1e3s 10S '1 s' ' 1s' '1s ' 0x1s s 10080.1min 169h 9999999999h)
shares=("${never[@]}" 0 0% -1 -70% % 70%% ' 70%' '70% ' 1e1% 0x10% 100.1% 101% 150% 500% 1.1 2 10000000)

# check NAME-OF-ARRAY COMMAND... -- OPTION...
check() {
  local -n values=$1
  local command=() option value
  shift
  while [ "$1" != -- ]; do command+=("$1") && shift; done
  shift
  for option; do
    for value in "${values[@]}"; do
      ((given++ % apart != 0)) || refuse "$option" "$value" "${command[@]}"
    done
  done
}

# accept COMMAND LAST OPTION VALUE... : COMMAND takes each value of OPTION, and complains of LAST alone, its last option,
# which is given without a value.
accept() {
  local words=$1 last=$2 option=$3 value said code
  shift 3
  for value; do
    code=0
    # shellcheck disable=SC2086  # COMMAND may be several words
    said=$("$tool" $words "$option" "$value" "$last" '' 2>&1 </dev/null) || code=$?
    [[ $code = 2 && $said == "udppump: $last: is empty"* ]] || fail "$words $option '$value' is refused: $said"
    ((++accepted))
  done
}

echo "# load"
load=(load 127.0.0.1:9)
check counts "${load[@]}" -- --seed --size --flows
check times "${load[@]}" -- --duration --warmup --timeout --spin
check times "${load[@]}" --ramp -- --slo
check shares "${load[@]}" -- --lag-limit --offered-limit
rates=("${never[@]}" 0 -1 1K 2000M 99999999999999999999)
check rates "${load[@]}" -- --rate
patterns=('' poisson: Poisson bursts bursts: bursts:0 bursts:-1 bursts:1e3 bursts:1.5 bursts:99999999999 $'bursts:1\n')
check patterns "${load[@]}" -- --arrivals
nothing=('')
check nothing "${load[@]}" -- --work --dns --payloads --json --plot --realtime --encoding
refuse --flows 0 "${load[@]}"
refuse --flows 1000001 "${load[@]}"
refuse --size 65508 "${load[@]}"
refuse --realtime yes "${load[@]}"
refuse --duration 0 "${load[@]}"
refuse --timeout 0 "${load[@]}"
refuse --slo 0 "${load[@]}" --ramp
refuse --spin 1001ms "${load[@]}"
refuse --spin 1h "${load[@]}"

echo "# compare"
check counts compare -- --workers --flows --repetitions --seed --reserve
check times compare -- --duration --warmup --timeout
check shares compare -- --load --lag-limit --offered-limit
check patterns compare -- --arrivals
works=('' 1ms constant constant: constant:-1ms exponential:1 bimodal:1ms,2ms bimodal:1ms,2ms,3ms bimodal:1ms,2ms,101%
  bimodal:1ms,2ms,1%,1 uniform:1ms constant:61s)
check works compare -- --work
check nothing compare -- --json --plot --realtime --service --waiter
for option in --workers --flows --repetitions; do refuse "$option" 0 compare; done
refuse --workers 1025 compare
refuse --load 100% compare
refuse --load 1 compare
refuse --load 99% compare --work constant:1ns --workers 1024
for option in --duration --timeout; do refuse "$option" 0 compare; done
# Too short for five requests: with the work that is given, and with the shortest that is taken by itself.
refuse --duration 1us compare
refuse --duration 1ms compare --workers 4 --load 70%
refuse --duration 29ms compare --workers 1 --load 50% --work constant:3ms

echo "# work"
check counts work -- --workers --reserve
addresses=('' 127.0.0.1 127.0.0.1: 127.0.0.1:-1 127.0.0.1:65536 127.0.0.1:1e3 127.0.0.1:0x35 '[::1' '127.0.0.1:53 ' unix:)
check addresses work -- --bind
check times work -- --short --max-age
check nothing work -- --queue --service --waiter
limits=(0 -1 1x 0.0001 2M 10, 10,burst 10,burst= 10,burst=0 10,burst=1.5 10,burst=1000001 0.01,burst=1000 10,v4=/0 10,v4=/33
  10,burst=2,burst=3 10,v6=/129 10,v6=// 10,v5=/24 10,=24 ,burst=3)
check limits work -- --client-limit
accept work --bind --client-limit 10 0.5 10k 100,burst=200 100,v4=/24 100,v6=/64,v4=24,burst=1
for option in '--client-limit=10' --client-share; do
  refuse --queue herd work "$option"
done
refuse --short 1ms work
refuse --reserve 1 work
refuse --reserve 4 work --queue lanes --workers 4
refuse --queue lanes work --bind unix:/nowhere/socket

echo "# exec"
exec=(exec --bind 127.0.0.1:0)
check counts "${exec[@]}" -- --workers --crash-limit
pool_times=("${never[@]}" -1 -1s 1e3s 10S '1 s' ' 1s' '1s ' 0x1s 169h 9999999999)
check pool_times "${exec[@]}" -- --ready-after --stop-timeout --healthy-after --restart-delay
sizes=("${never[@]}" 0 0K -1 1.5M 1G 1048576K 1T ' 4K' '4K ' 1e3K 0x10K 4Q 4KK 18446744073709551616 16777216T)
check sizes "${exec[@]}" -- --receive-buffer --send-buffer
levels=("${never[@]}" -21 20 +1 1.5)
check levels "${exec[@]}" -- --nice
limits=('' nofile nofile= nofile=-1 nofile=1e3 nofile=1: nofile=:1 nofile=2:1 nofile=1:2:3 files=1 NOFILE=1 '=1')
check limits "${exec[@]}" -- --limit
for zero in 0 0s 0ms; do refuse --healthy-after "$zero" "${exec[@]}"; done
delays=(: 20: :20 20:-1 500:20 20:30:40)
check delays "${exec[@]}" -- --restart-delay
groups=('' 127.0.0.1 239.1.2.3% ff02::fb% 239.1.2.3:53 name)
check groups "${exec[@]}" -- --join
check nothing "${exec[@]}" -- --device --path-mtu --take-over --user --group --pid-file --log --reload-on-change

echo "# the least and the most that each takes"
asks='load 127.0.0.1:9' runs='exec --bind 127.0.0.1:0'
# What is refused is complained of before what is missing: else nothing of this would be tried.
for wrong in "$asks --rate 0 --plot" 'compare --load 2 --plot' "$runs --workers 0 --pid-file"; do
  # shellcheck disable=SC2086  # words
  said=$("$tool" $wrong '' 2>&1 </dev/null) && fail "$wrong is taken"
  [[ $said != *' is empty;'* ]] || fail "$wrong: the last option is looked at first: $said"
done
for option in --lag-limit --offered-limit; do
  accept "$asks" --plot $option 0.01% 1 100% none
  accept compare --plot $option 0.01% 1 100% none
done
for option in --duration --warmup --timeout; do
  accept "$asks" --plot $option 1ns 168h 10080min
  accept compare --plot $option 1ns 168h
done
accept "$asks" --plot --spin 0 1s
accept "$asks" --plot --rate 0.001 1000M
accept "$asks" --plot --seed 0 18446744073709551615
accept "$asks" --plot --size 0 65507
accept "$asks" --plot --flows 1 1000000
accept compare --plot --load 0.1% 99.9% 0.999
accept compare --plot --workers 1 1024
accept compare --plot --repetitions 1 10000
for option in --receive-buffer --send-buffer; do accept "$runs" --pid-file $option 1 1073741823 1023M; done
for option in --ready-after --stop-timeout; do accept "$runs" --pid-file $option 0 168h; done
accept "$runs" --pid-file --healthy-after 1 0.1us 168h
accept "$runs" --pid-file --workers 1 4096
accept "$runs" --pid-file --crash-limit 1 1000000
accept "$runs" --pid-file --nice -20 0 19
accept "$runs" --pid-file --restart-delay 0 0:0 168h
accept "$runs" --pid-file --limit core=0 nofile=1:2 nofile=unlimited as=1G

echo "# what CLI11 refuses is told in words of this tool, with the cure"
complaints=0
# says TEXT ARGUMENT... : exit code 2, and exactly this line
says() {
  local expected="udppump: $1" code=0 said
  shift
  said=$("$tool" "$@" 2>&1 </dev/null) || code=$?
  [ "$code" = 2 ] || fail "$*: exit code $code, not 2: $said"
  [ "$said" = "$expected" ] || fail "$*: it says \"$said\", and not \"$expected\""
  ((++complaints))
}
see='see udppump load --help' lists='udppump load --help lists the options'
# ExtrasError, and what was taken for an option's value or for the missing TARGET because of it.
says "unknown option \"--foo\"; $lists" load "${load[1]}" --foo
says "unknown option \"--foo\"; $lists" load "${load[1]}" -- --foo
says "unknown option \"-5\"; $lists" load "${load[1]}" -5
says "unknown option \"--rat\"; did you mean --rate? $lists" load "${load[1]}" --rat 5
says "unknown option \"--rat\"; did you mean --rate? $lists" load "${load[1]}" --rat=5
says "unknown option \"-rate\"; did you mean --rate? $lists" load -rate 5
says "unknown option \"--tiemout\"; did you mean --timeout? $lists" load --tiemout --rate
says 'unknown option "--bind"; name the command first, as in udppump exec --bind; udppump --help lists the options' \
  --bind :0
says 'unknown option "--nothing"; udppump --help lists the options' --nothing
says 'unknown option "--agemax"; udppump exec --help lists the options' exec --agemax 3 -- true
says "\"two\" is one argument too many: there is one TARGET; omit it; $see" load one:1 two three
says "\"\" is one argument too many: there is one TARGET; omit it; $see" load one:1 ''
says '"x" belongs to no option; omit it, or name its option before it; see udppump work --help' work x
says 'put "--" before the program, as in -- perl; see udppump exec --help' exec --bind :0 perl x.pl
# RequiredError
says "no TARGET is given; name the address to ask: 192.0.2.1:53, [2001:db8::1]:53, name:53; $see" load
says 'no program is given; write it after "--"; see udppump exec --help' exec --bind :0 --
says 'no command is named; there are: compare, doctor, exec, load, metrics, scale, stat, top, work; see udppump --help'
says 'no command "serve"; there are: compare, doctor, exec, load, metrics, scale, stat, top, work; see udppump --help' serve
# ArgumentMismatch, ConversionError
says "--rate: its value is missing; write --rate RATE; $see" load "${load[1]}" --rate
says '--queue: its value is missing; write --queue NAME NAME...; see udppump compare --help' compare --queue
says '--bind: its value is missing; write --bind [NAME=]ADDR; see udppump exec --help' exec --bind -- true
for value in 0 1 no false x --ramp; do
  says "--quiet takes no value; write --quiet alone; $see" load "${load[1]}" "--quiet=$value"
  says '--v6only takes no value; write --v6only alone; see udppump exec --help' exec "--v6only=$value" -- true
  says '--version takes no value; write --version alone; see udppump --help' "--version=$value"
  says '--help takes no value; write --help alone; see udppump work --help' work "--help=$value"
done
# RequiresError, ExcludesError
says "--slo has an effect only with --ramp; add that, or omit --slo; $see" load "${load[1]}" --slo 1ms
says "--work and --dns do not go together; omit one of the two; $see" load "${load[1]}" --dns x --work constant:1ms
says '--no-new-privs and --new-privs do not go together; omit one of the two; see udppump exec --help' \
  exec --new-privs --no-new-privs -- true
# ValidationError, and a value that CLI11 would take from the next word.
says "--plot: is empty; omit the option, or give it a value; $see" load "${load[1]}" --plot= x.svg
says '--workers: "" is no whole number from 1 to 1024; see udppump work --help' work --workers= 3
says '--queue: "heap" is none of: shared, lanes, sharded, herd' compare --queue shared heap
((complaints >= 50)) || fail "only $complaints complaints were looked at"

echo "# whatever is wrong with what was given, it commands no terminal when it is told"
hostile=$'no\e[2J\nudppump: forged\u009b31m\u202e'
# tells ARGUMENT... : a complaint, all of it printable
tells() {
  "$tool" "$@" >"$dir/told" 2>&1 </dev/null && fail "$* is taken"
  [ "$(wc -l <"$dir/told")" = 1 ] || fail "$*: not one line: $(cat -v "$dir/told")"
  ! LC_ALL=C grep -q '[^ -~]' "$dir/told" || fail "$*: it says $(cat -v "$dir/told")"
}
tells "$hostile"
tells "--$hostile"
for command in load work compare exec; do
  tells $command "--$hostile"
  tells $command --workers "$hostile"
done
tells load "$hostile"
for option in --dns --payloads --work; do tells load 127.0.0.1:9 $option "$dir/$hostile"; done
brief=(load 127.0.0.1:9 --rate 10 --duration 100ms --warmup 0s --timeout 1ms --quiet)
for option in --json --plot; do tells "${brief[@]}" $option "$dir/$hostile/x.svg"; done
tells "${exec[@]}" -- "$hostile"
tells "${exec[@]}" -- "$dir/$hostile"
for option in --user --group --groups --take-over --pid-file --reload-on-change --device --join; do
  tells "${exec[@]}" $option "$dir/$hostile/x" -- true
done
printf 'a AAAA\n\e[2J\x9b\xe2\x80\xae !\n' >"$dir/queries"
tells load 127.0.0.1:9 --dns "$dir/queries"
printf '00\n\e[2J\x9b\n' >"$dir/payloads"
tells load 127.0.0.1:9 --payloads "$dir/payloads"

echo "# once means once"
for option in --rate --duration --seed --json; do
  said=$("$tool" "${load[@]}" "$option" 1 "$option" 1 2>&1) && fail "$option is taken twice"
  [[ $said == "udppump: $option"*'more than once'* ]] || fail "$option twice: it says: $said"
done
echo "all is well: $refused values were refused, and $accepted taken"
