# Completion of bash for udppump.
# shellcheck shell=bash

_udppump_exec() {
  local word=$1 before=$2 valued flags at
  valued='--bind --lane --receive-buffer --max-wait --send-buffer --join --device --path-mtu --workers --max-workers --ready
    --ready-after --start-timeout --stop-timeout --hang-timeout --max-lifetime --max-memory --max-jitter --kill-mode --drain
    --exclusive --crash-limit --healthy-after --restart-delay
    --reload-on-change --reload-width --prove-for --take-over --nice --limit --user --group --groups --log --stderr
    --name --status-group --pid-file --metrics'
  flags='--v6only --broadcast --reuse-port --pin --no-new-privs --new-privs --quiet --help'

  for ((at = 2; at < COMP_CWORD; ++at)); do
    [[ ${COMP_WORDS[at]} == -- ]] || continue
    # The program, and its arguments by its own completion if bash-completion can do that.
    if declare -F _command_offset >/dev/null; then
      _command_offset $((at + 1))
    elif ((at + 1 == COMP_CWORD)); then
      mapfile -t COMPREPLY < <(compgen -c -- "$word")
    else
      compopt -o default
    fi
    return
  done

  case $before in
    --bind)
      mapfile -t COMPREPLY < <(compgen -W '127.0.0.1: [::1]: [::]: 0.0.0.0: unix:' -- "$word")
      compopt -o nospace
      ;;
    --device) mapfile -t COMPREPLY < <(cd /sys/class/net 2>/dev/null && compgen -f -- "$word") ;;
    --path-mtu) mapfile -t COMPREPLY < <(compgen -W 'default omit interface dont want always probe' -- "$word") ;;
    --user) mapfile -t COMPREPLY < <(compgen -u -- "$word") ;;
    --group | --groups | --status-group) mapfile -t COMPREPLY < <(compgen -g -- "$word") ;;
    --kill-mode) mapfile -t COMPREPLY < <(compgen -W 'group process' -- "$word") ;;
    --exclusive) mapfile -t COMPREPLY < <(compgen -W 'auto on off' -- "$word") ;;
    --ready) mapfile -t COMPREPLY < <(compgen -W 'time notify' -- "$word") ;;
    --log) mapfile -t COMPREPLY < <(compgen -W 'auto text json journal' -- "$word") ;;
    --stderr) mapfile -t COMPREPLY < <(compgen -W 'log inherit' -- "$word") ;;
    --limit)
      mapfile -t COMPREPLY < <(compgen -S = -W 'as core cpu data fsize locks memlock msgqueue nice nofile nproc rss
        rtprio rttime sigpending stack' -- "$word")
      compopt -o nospace
      ;;
    --reload-on-change | --take-over | --pid-file)
      compopt -o filenames
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
      ;;
    *)
      # A value that nobody can guess is awaited.
      [[ " ${valued//$'\n'/ } " != *" $before "* ]] || return
      mapfile -t COMPREPLY < <(compgen -W "$valued $flags --" -- "$word")
      ;;
  esac
}

# The pools that this user may change.
_udppump_scale() {
  local word=$1
  if [[ $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W '--help' -- "$word")
  elif ((COMP_CWORD == 2)); then
    mapfile -t COMPREPLY < <(compgen -W "$(pgrep -x udppump 2>/dev/null)" -- "$word")
  fi
}

# Values that the measuring commands share. What only a person can choose has no completion, and awaits one.
_udppump_value() {
  local word=$1 option=$2
  case $option in
    --queue) mapfile -t COMPREPLY < <(compgen -W 'shared lanes sharded herd' -- "$word") ;;
    --service) mapfile -t COMPREPLY < <(compgen -W 'sleep spin' -- "$word") ;;
    --waiter) mapfile -t COMPREPLY < <(compgen -W 'auto epoll uring thread poll' -- "$word") ;;
    --realtime) mapfile -t COMPREPLY < <(compgen -W 'on off auto' -- "$word") ;;
    --encoding) mapfile -t COMPREPLY < <(compgen -W 'hex base64' -- "$word") ;;
    --json | --plot | --payloads | --dns)
      compopt -o filenames
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
      ;;
  esac
}

_udppump_measure() {
  local command=$1 word=$2 before=$3 valued flags
  case $command in
    compare)
      valued='--queue --reserve --workers --service --waiter --load --work --arrivals --flows --duration --warmup --repetitions
        --seed --timeout --realtime --lag-limit --offered-limit --json --plot'
      flags='--quiet --help'
      ;;
    load)
      valued='--rate --duration --warmup --arrivals --timeout --seed --slo --work --dns --payloads --encoding --size
        --flows --source --spin --realtime --lag-limit --offered-limit --json --plot'
      flags='--ramp --echo --quiet --help'
      ;;
    work)
      valued='--bind --queue --short --reserve --workers --service --waiter --max-age --client-limit'
      flags='--client-share --help'
      ;;
  esac
  if [[ " ${valued//$'\n'/ } " == *" $before "* ]]; then
    _udppump_value "$word" "$before"
  else
    mapfile -t COMPREPLY < <(compgen -W "$valued $flags" -- "$word")
  fi
}

_udppump() {
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W 'compare doctor exec load metrics scale stat top work --help --version' -- "$2")
    return
  fi
  case ${COMP_WORDS[1]} in
    doctor) mapfile -t COMPREPLY < <(compgen -W '--json --help' -- "$2") ;;
    exec) _udppump_exec "$2" "$3" ;;
    metrics) mapfile -t COMPREPLY < <(compgen -W '--help' -- "$2") ;;
    stat) mapfile -t COMPREPLY < <(compgen -W '--all --json --help' -- "$2") ;;
    top)
      [[ $3 == --interval ]] || mapfile -t COMPREPLY < <(compgen -W '--interval --help' -- "$2")
      ;;
    scale) _udppump_scale "$2" ;;
    compare | load | work) _udppump_measure "${COMP_WORDS[1]}" "$2" "$3" ;;
  esac
}
complete -F _udppump udppump
