#!/usr/bin/env bash
# Only src/sys/service_path.cpp opens, makes, changes, removes or looks at what has a name, as root may do it where
# others may write (docs/security.md). Who else calls one of the functions that could is in the list below, with the
# reason why it harms nobody; a line of the list that nothing needs any more is an error too.
#
# usage: files-test.sh SOURCE
set -euo pipefail
cd -- "$1"

# FILE CALLS - WHY
allowed='
src/sys/sys.hpp bind - the calls themselves, which others make
src/sys/sys_file.hpp open,openat,unlinkat,renameat,linkat,fchownat,fchmod,fchown,ftruncate - the calls themselves
src/sys/sys_file.hpp fstatat,stat,access,faccessat,readlink,readlinkat,getxattr,inotify_add_watch - the calls themselves
src/sys/sys_aio.hpp syscall - the calls themselves; none has to do with names
src/sys/sys_user.hpp syscall - capabilities and keys
src/sys/sys_process.hpp syscall - descriptors
tools/scale.cpp syscall - a signal to a process by its descriptor; none has to do with names
src/exclusive/exclusive.cpp syscall - epoll_ctl, and what it stands on; none has to do with names
src/sys/access_list.cpp attribute - of what service_path has opened, by its descriptor in /proc
src/sys/close_others.cpp directory_iterator - reads /proc
src/sys/numbers_in.cpp directory_iterator - reads /proc
src/sys/folder_trust.cpp ifstream - reads /proc
src/sys/process_status.cpp ifstream - reads /proc
src/socket/datagram_socket.cpp bind - never follows a link at the end; a pool has looked at the folders before
src/socket/interface_watch.cpp bind - of netlink
src/socket/socket_state.cpp bind - of IP, to the port that the socket had: a Unix socket never loses its name
src/socket/port_table.cpp ifstream - reads /proc
src/socket/address_owner.cpp ifstream,directory_iterator,read_symlink - reads /proc
src/socket/socket_error.cpp symlink_status,exists,is_socket - for the words of an error; nothing is decided by it
src/pool/socket_check.cpp status_at - looks by the folder of service_path whether a socket still has its name; removing and binding are left to that
src/pool/status_door.cpp bind - an abstract name, by chance
src/pool/status_visit.cpp ifstream - reads /proc
src/pool/notify_socket.cpp bind - an abstract name, which the kernel chooses
src/pool/service_manager.cpp status_of - whether there is a socket at NOTIFY_SOCKET, for the words of the log; sd_notify(3) decides anew
src/pool/pool_sockets.cpp set_owner - of a socket itself, by its descriptor: what a path names stays as it is
src/pool/own_command.cpp ifstream,read_link - reads /proc
src/pool/own_command.cpp canonical - of its own program, to look who may read it or put another there; if any but root may, less is handed on
src/pool/own_command.cpp status_of - looks whether its own program is the one that its command names
src/pool/worker_program.cpp status_of,may_execute - for an error before any worker starts; execve(2) decides anew, as whom the worker is
src/pool/exclusive_library.cpp status_of - whether the library is installed, for the words of the log; service_path looks whether it is to be trusted
src/pool/program_file.cpp open,status_of,attribute - reads what the command names, to tell what a preloaded library can do there; nothing else is decided by it
src/pool/file_watch.cpp exists,is_directory,watch_file - of files that only make it reload, and are not read; it never says what is in a folder
src/pool/own_terminal.cpp open - what this process has open already, by its descriptor, and /dev/null
src/pool/metrics_process.cpp open - /dev/null, for a process that is to have no other file
src/pool/log_writer.cpp open - a terminal that this process has open already, by its descriptor
src/pool/lock_holder.cpp ifstream,directory_iterator,status_of - reads /proc, and looks which file a descriptor there is of, for an error
src/pool/worker_processes.cpp ifstream - reads /proc
src/sys/process_tree.cpp open - reads /proc
src/pool/control_group.cpp ifstream - reads /proc
src/pool/granted_cores.cpp ifstream - reads control groups
src/pool/board.cpp open - its own memory, by its descriptor in /proc, for reading alone
src/pool/board.cpp set_mode - of a memfd, by its descriptor
src/pool/pool_memory.cpp ifstream,open,status_of - reads the memory of another process by /proc, and looks what it is (hostile-status-test)
src/pool/pool_memory.cpp directory_iterator,ifstream,read_symlink,status_of - reads /proc
src/pool/process_usage.cpp ifstream,status_of - reads /proc
src/pool/predecessor.cpp open - looks what is there before it connects, and opens nothing (O_PATH)
src/pool/peer.cpp open,read_link - reads what a process calls itself in /proc
src/pool/board.cpp truncate - of a memfd, by its descriptor
src/pool/pid_file.cpp truncate - of what service_path has opened, by its descriptor
tools/doctor/file_tree.cpp ifstream,read_symlink,directory_iterator - reads /proc, /sys and control groups
tools/doctor/pool_facts.cpp open - the pid file that a pool names: what is no plain file is not read, nor a link followed, and a number in it alone is told
tools/metrics/port_holder.cpp ifstream - reads /proc
tools/metrics/server.cpp bind - of TCP, for the words of an error
tools/load/report/output_file.cpp open - what the user names for himself (--json FILE, --plot FILE), as himself
tools/load/report/output_file.cpp stat,lstat - the same
tools/load/report/output_file.cpp fchmod,rename,unlink - of the file that it has made beside that one, as no other was there (O_EXCL)
tools/load/report/plot.cpp tmpfile - has no name
tools/load/plan/input_file.hpp ifstream - as in input_file.cpp
tools/load/plan/input_file.cpp ifstream,stat - reads what the user names for himself
tools/load/run/work_server.cpp ifstream,directory_iterator - reads /proc
tools/load/run/machine_look.cpp ifstream - reads /proc
tools/exec_worker_options.cpp access,stat - for the words of an error about the command line; what is there is used by others, who look anew
tools/exec.cpp read_symlink - its own program, in /proc
tools/main.cpp open - /dev/null, for the descriptors 0 to 2
'

calls='open(at2?|_at)?|creat|fopen(64)?|freopen|(f|l)?ch(mod|own)(at2?)?|set_(mode|owner|owner_of)|(un)?link(at|_at)?'
calls+='|symlink(at)?|re(name|move)|rename(at2?|_at)|(mk|rm)dir(at)?|mk(nod|fifo)(at)?|mko?stemps?|mkdtemp|tmpfile|tmpnam'
calls+='|truncate|ftruncate|bind|utimensat|acct|syscall'
# Those that only look tell root, who may look anywhere, what others must not know, or what is changed by the time of use.
calls+='|f?access(at2?)?|may_execute|l?stat(x|64)?|fstatat|status_(at|of)|readlink(at)?|read_link|inotify_add_watch|watch_file'
calls+='|l?getxattr|attribute'
pattern="(^|[^A-Za-z_:.>])(::|sys::|detail::sys::|std::)($calls)\("
pattern+='|[^<a-z][io]?fstream\b|(filesystem|fs)::(remove|rename|create_|copy|permissions|resize_file|last_write|exists|status'
pattern+='|is_|symlink_status|read_symlink|equivalent|(weakly_)?canonical|file_size|hard_link|space|directory_|recursive_)[a-z_]*'

declare -A reason=() needed=()
while read -r file which _ why; do
  [[ -n $file ]] || continue
  [[ -n $why ]] || { echo "no reason for $file" && exit 1; }
  for call in ${which//,/ }; do reason[$file:$call]=$why; done
done <<<"$allowed"

wrong=0 seen=0
while IFS=: read -r file line text; do
  [[ $file != src/sys/service_path.cpp ]] || { seen=$((seen + 1)) && continue; }
  # The name alone: what is before the parenthesis, and after the last colon.
  while read -r call; do
    [[ -n ${reason[$file:$call]:-} ]] && needed[$file:$call]=yes && continue
    echo "$file:$line: $call is for src/sys/service_path.cpp alone, or wants a reason in test/files-test.sh:$text" && wrong=1
  done < <(grep -oE -- "$pattern" <<<" ${text}" | sed -E 's/\($//; s/.*[^a-z0-9_]([a-z0-9_]+)$/\1/')
done < <(grep -rnE --include='*.hpp' --include='*.cpp' -- "$pattern" src tools include | grep -vE '^[^:]*:[0-9]*: *//')
for one in "${!reason[@]}"; do
  [[ -n ${needed[$one]:-} ]] || { echo "test/files-test.sh: nothing needs $one any more" && wrong=1; }
done
((seen > 10)) || { echo "only $seen lines of src/sys/service_path.cpp were found" && wrong=1; }
((wrong == 0)) || exit 1
echo "${#reason[@]} kinds of calls elsewhere, each with its reason"
