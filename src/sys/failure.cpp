#include "sys/failure.hpp"

#include <cerrno>

namespace udppump::detail {

std::string cure_of(long error) {
  switch (error < 0 ? -error : error) {
    case EMFILE:
      return "raise this process' limit of open files (ulimit -n, LimitNOFILE= in a unit of systemd)";
    case ENFILE:
      return "raise the system's limit of open files (sysctl fs.file-max), or close some";
    case ENOBUFS:
    case ENOMEM:
      return "the kernel has no memory for it: raise the memory limit of the container or unit, or free some";
    case EPERM:
    case EACCES:
      return "not permitted to this user, or refused by a seccomp profile or a security module: allow it (`dmesg` may "
             "say who refused)";
    case EAFNOSUPPORT:
      return "the kernel has no such family, or RestrictAddressFamilies= or a seccomp profile refuses it: allow it, or "
             "take an address of another";
    case EPROTONOSUPPORT:
    case EPROTOTYPE:
    case ESOCKTNOSUPPORT:
      return "the kernel has no datagram sockets of that family: take an address of another";
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case ENOSYS:
      return "this kernel does not have it, or not for this kind of socket: omit the option that asks for it, or take "
             "a newer kernel";
    case ENODEV:
    case ENXIO:
      return "there is no such interface: name one that `ip link` shows";
    case EADDRNOTAVAIL:
      return "no interface here has that address: give one that `ip address` shows";
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
      return "there is no way to that address: see `ip route get ADDRESS`, and add a route or choose another address";
    case EINVAL:
      return "the kernel does not take this value here: give another, or omit the option; if the value is documented, "
             "take a newer kernel";
    case ETOOMANYREFS:
      return "the processes of this user have more descriptors on their way in Unix sockets than one may have open: "
             "end those that do not read them, or raise this process' limit of open files (ulimit -n)";
    case EAGAIN:
      return "a limit is reached for the moment: try again, or raise the limit of processes, threads or locked memory "
             "(ulimit -a lists them)";
    case EINTR:
      return "a signal interrupted it: try again";
    case ENOSPC:
      return "no room is left for it: make room on that file system, or raise the limit";
    case EROFS:
      return "that file system is read-only: choose a path on another";
    case ENOENT:
    case ENOTDIR:
      return "the path does not exist: make its folder first, or choose another";
    case ENAMETOOLONG:
      return "the name is too long: choose a shorter one";
    case EADDRINUSE:
      return "something else uses it: stop that, or choose another";
    case EBADF:
    case ENOTSOCK:
      return "the descriptor is no open socket: give one that is, and close it only when nobody uses it any more";
    default:
      return "not expected here: try again; if it fails again, run it under `strace -f`, and report the call that "
             "fails";
  }
}

}  // namespace udppump::detail
