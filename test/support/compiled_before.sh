#!/usr/bin/env bash
# A compiler launcher, for builds that compile again what another build has: it copies the object from there if the
# command is the same but for where the object goes, and nothing that the object is made of has changed since. Anything
# else is compiled.
#
#   compiled_before.sh BUILD [another launcher] COMPILER OPTION... -o OBJECT -c FILE
#
# BUILD is Ninja's, which knows what each object is made of.
set -euo pipefail

build=$1
shift

# is_fresh OBJECT : of BUILD, by BUILD's own notes of what it was made of
is_fresh() {
  local made_of
  mapfile -t made_of < <(ninja -C "$build" -t deps "$1" 2>/dev/null)
  [[ -f $build/$1 && ${made_of[0]:-} == *'(VALID)' ]] || return 1
  made_of=("${made_of[@]/#    /}")
  [[ -z $(cd "$build" && find "${made_of[@]:1:${#made_of[@]}-2}" -newer "$1" 2>&1) ]]  # what is gone is an error
}

# Looks for the object in BUILD; sets `found`.
look() {
  local options='' object='' file='' line
  while (($#)); do
    case $1 in
      -MD) ;;
      -MT | -MF) shift ;;
      -o) object=$2 && shift ;;
      -c) file=$2 && shift ;;
      -*) options+=" $1" ;;
      *) [[ -z $options ]] || return 0 ;;  # an option with an argument: none of the library's objects has one
    esac
    shift
  done
  [[ -n $object && -n $file ]] || return 0
  while IFS= read -r line; do
    line=" -${line#* -}"  # without the compiler, which is the same
    [[ $line == "$options -o "* ]] || continue
    line=${line#"$options -o "}
    line=${line%% -c *}
    if is_fresh "$line"; then
      found=$build/$line
      return
    fi
  done < <(grep -sF -- " -c $file\"," "$build/compile_commands.json")
}

found=''
look "$@"
[[ -n $found ]] || exec "$@"
for ((at = 1; at < $#; ++at)); do
  if [[ ${!at} == -o ]]; then
    at=$((at + 1))
    exec cp -- "$found" "${!at}"
  fi
done
