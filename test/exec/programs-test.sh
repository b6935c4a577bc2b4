#!/usr/bin/env bash
# `udppump exec` with real programs as workers, each answered to a real client.
# shellcheck source=test/exec/stage.sh
source "$(dirname -- "$0")/stage.sh" || exit 1
needs perl socat

echo "# a Python worker, asked by Python and by socat"
start python --bind 127.0.0.1:0 --workers 3 -- "$python" "$examples/worker.py"
[ "$(children "$pid" | wc -l)" = 3 ] || fail "not 3 workers"
for text in one two three; do expect "${ports[0]}" $text $text; done
socat_answers() { [ "$(printf hello | socat -t 2 - "UDP:127.0.0.1:${ports[0]}")" = hello ]; }
await socat_answers || fail "socat got no answer"
finish "$pid"

echo "# a Perl worker"
start perl --bind 127.0.0.1:0 --workers 3 -- perl "$examples/worker.pl"
for text in one two three; do expect "${ports[0]}" $text $text; done
finish "$pid"

echo "# socat as the worker, which relays to another port"
cat >"$dir/sink.py" <<'END'
import socket, sys
sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sink.bind(("127.0.0.1", 0))
sink.settimeout(60)
print(sink.getsockname()[1], flush=True)
seen = [sink.recv(65535) for _ in range(int(sys.argv[1]))]
print(len(set(seen)), flush=True)
END
python3 "$dir/sink.py" 50 >"$dir/sink.log" &
started+=($!)
sink=$!
await_line sink '^[0-9]+$'
start relay --bind 127.0.0.1:0 --workers 2 -- socat -u STDIN "UDP-SENDTO:127.0.0.1:$(head -n 1 "$dir/sink.log")"
for number in {1..50}; do printf 'number %s' "$number" >"/dev/udp/127.0.0.1/${ports[0]}"; done
ended "$sink" 0
[ "$(tail -n 1 "$dir/sink.log")" = 50 ] || fail "not all 50 datagrams were relayed"
finish "$pid"

if command -v in.tftpd >/dev/null && grep -q atftp <<<"$(in.tftpd --version 2>&1)" && command -v curl >/dev/null; then
  echo "# a TFTP server that waits on its descriptor 0, as inetd starts it, asked by curl"
  mkdir "$dir/tftp"
  head -c 100000 /dev/urandom >"$dir/tftp/file"
  start tftp --bind 127.0.0.1:0 --workers 2 --stop-timeout 60 -- in.tftpd --tftpd-timeout 120 \
    --logfile "$dir/tftp.out" --user "$(id -un).$(id -gn)" "$dir/tftp"
  for round in {1..6}; do
    curl -sS --max-time 30 -o "$dir/got.$round" "tftp://127.0.0.1:${ports[0]}/file" &
    clients[round]=$!
  done
  wait "${clients[@]}" || fail "curl got no file"
  for round in {1..6}; do cmp "$dir/got.$round" "$dir/tftp/file" || fail "curl got another file"; done
  finish "$pid"
else
  leave_out "no atftpd or no curl: the TFTP server"
fi

echo "# what a worker is given: several sockets, names, a clean environment, its arguments, no other descriptor"
NOTIFY_SOCKET=/nowhere LISTEN_PID=1 LISTEN_FDS=7 start given --bind main=127.0.0.1:0 --bind 127.0.0.1:0 \
  --bind side=127.0.0.1:0 --receive-buffer 64K --broadcast --workers 2 \
  -- "$python" "$here/report.py" "$dir" '[a,b]' '' --bind -- '%%' $'two\nlines'
for at in 0 1 2; do
  names=(main udppump side)
  expect "${ports[at]}" who "${names[at]}"
done
python3 - "$dir" "${ports[@]}" <<'END' || fail "a worker was given something else"
import json, sys
for number in (0, 1):
    told = json.load(open(f"{sys.argv[1]}/{number}.json"))
    ports = [int(one) for one in sys.argv[2:]]
    assert told["listen_pid"] == told["pid"], told
    assert told["names"] == ["main", "udppump", "side"], told
    assert told["ports"] == ports and told["port_of_0"] == ports[0], told
    assert told["arguments"] == ["[a,b]", "", "--bind", "--", "%%", "two\nlines"], told
    others = [to for at, to in told["descriptors"].items() if int(at) > 5]
    assert not [to for to in others if to.startswith(("socket:", "anon_inode:", "/memfd:"))], told
    assert told["environment"]["UDPPUMP_WORKER"] == str(number), told
    assert told["receive_buffer"] == 64 * 1024 and told["broadcast"] == 1, told
    assert "NOTIFY_SOCKET" not in told["environment"], told
END
finish "$pid"

echo "# --path-mtu is in force on the worker's descriptors"
# The values of IP_MTU_DISCOVER (linux/in.h).
for choice in dont=0 want=1 always=2 probe=3 interface=4 omit=5; do
  rm -f "$dir/0.json"
  start "path_mtu_${choice%=*}" --bind 127.0.0.1:0 --workers 1 --path-mtu "${choice%=*}" -- "$python" "$here/report.py" "$dir"
  expect "${ports[0]}" who udppump
  python3 -c 'import json, sys
told = json.load(open(sys.argv[1]))["path_mtu"]
assert told == 2 * [int(sys.argv[2])], told' "$dir/0.json" "${choice#*=}" || fail "--path-mtu ${choice%=*} is not in force"
  finish "$pid"
done
echo "all is well"
