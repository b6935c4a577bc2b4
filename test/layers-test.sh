#!/usr/bin/env bash
# Each folder of src/ includes only itself and those below it, and the headers of the pump none of the pool's.
# src/exclusive, which is loaded into other people's programs, includes nothing of udppump.
#
# usage: layers-test.sh SOURCE
set -euo pipefail
cd -- "$1"

declare -A below=([sys]="sys" [address]="address sys" [socket]="socket address sys" [lanes]="lanes socket address sys"
  [pcap]="lanes" [exclusive]="exclusive" [clients]="clients address sys" [wait]="wait address sys"
  [pump]="pump clients wait lanes socket address sys" [pool]="pool pump clients wait lanes socket address sys")
wrong=0
for folder in src/*/; do
  folder=$(basename -- "$folder")
  [[ -n ${below[$folder]:-} ]] || { echo "src/$folder has no place among the layers" && wrong=1; }
done
seen=0
while IFS=: read -r file line text; do
  seen=$((seen + 1))
  folder=${file#src/} folder=${folder%%/*} included=${text#*\"} included=${included%%/*}
  [[ " udppump ${below[$folder]:-} " == *" $included "* ]] || { echo "$file:$line: $text" && wrong=1; }
done < <(grep -rnE '^#include "' src --include='*.hpp' --include='*.cpp')
if grep -rnE '^#include ["<](udppump|[a-z]+)/?[a-z_]*\.hpp' src/exclusive; then wrong=1; fi
((seen > 100)) || { echo "only $seen includes were found" && wrong=1; }

of_the_pool='udppump/(worker|pool|log_writer|resource_limit)[a-z_]*\.hpp'
for header in include/udppump/*.hpp; do
  [[ ! $header =~ $of_the_pool ]] || continue
  if grep -nHE "#include [<\"]$of_the_pool" "$header"; then wrong=1; fi
done
# Nor do the sources that libudppump is made of.
if grep -rnE "#include [<\"]$of_the_pool" src/{sys,address,socket,lanes,pcap,clients,wait,pump}; then wrong=1; fi

((wrong == 0)) || exit 1
echo "$seen includes lead down"
