#!/usr/bin/env bash
# The workers of examples/workers under `udppump exec`: each answers, wakes alone, and stops in good order.
# shellcheck source=test/exec/stage.sh
source "$(dirname -- "$0")/stage.sh" || exit 1
workers=$examples/workers

# works NAME WOKEN COMMAND... : with four workers, a datagram wakes WOKEN at most in the mean, with the library
works() {
  local name=$1 most=$2
  shift 2
  echo "# $name"
  "$workers/wakeups.py" --json --mode auto --datagrams 60 "$tool" -- "$@" >"$dir/$name.out" 2>"$dir/$name.err" || fail "$name"
  python3 -c 'import json, sys
for line in open(sys.argv[1]):
    told = json.loads(line)
    assert told["code"] == 0, told
    assert told["lost"] < 20, told
    assert told["preloaded"] == (sys.argv[3] == "yes"), told
    assert told["woken"] <= float(sys.argv[2]), told
' "$dir/$name.out" "$most" "${preloaded:-yes}" || fail "$name: $(cat "$dir/$name.out")"
}

by_asyncio() { works asyncio 2 "$python" "$workers/asyncio_worker.py"; }
by_uvloop() {
  if "$python" -c 'import uvloop' 2>"$dir/unused"; then
    works uvloop 2 "$python" "$workers/asyncio_worker.py" --uvloop
  else
    leave_out "no uvloop here"
  fi
}
by_node() {
  if command -v node >"$dir/unused"; then works node 2 node "$workers/node_worker.js"; else leave_out "no node here"; fi
}
by_ev() {
  if command -v perl >"$dir/unused" && perl -MEV -e 1 2>"$dir/unused"; then
    works ev 2 perl "$workers/ev_worker.pl"
  else
    leave_out "no EV for Perl here"
  fi
}
# From here on those that are there on some machines only.
by_ruby() {
  if command -v ruby >"$dir/unused"; then works ruby 2 ruby "$workers/worker.rb"; else leave_out "no ruby here"; fi
}
by_php() {
  if command -v php >"$dir/unused"; then works php 2 php "$workers/worker.php"; else leave_out "no php here"; fi
}
by_rust() {
  if command -v rustc >"$dir/unused" && rustc -o "$dir/rust" "$workers/worker.rs" 2>"$dir/rustc.log"; then
    works rust 2 "$dir/rust"
  else
    leave_out "no rustc here"
  fi
}
by_go() {
  if command -v go >"$dir/unused"; then
    GOCACHE=$dir/go-cache CGO_ENABLED=0 go build -o "$dir/go" "$workers/worker.go" || fail "worker.go does not compile"
    preloaded=no works go 2 "$dir/go"
  else
    leave_out "no go here"
  fi
}
by_java() {
  if command -v javac >"$dir/unused" && command -v java >"$dir/unused"; then
    javac -d "$dir" "$workers/Worker.java"
    works java 3 java -Xmx64m -cp "$dir" Worker # its own threads wake up now and then
  else
    leave_out "no java here"
  fi
}
all=(by_asyncio by_uvloop by_node by_ev by_ruby by_php by_rust by_go by_java)
for each in "${all[@]}"; do beside "$each"; done
await_beside "${all[@]}"
echo "all is well"
