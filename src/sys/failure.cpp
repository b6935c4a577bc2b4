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
      return "not permitted to this user, or refused by a seccomp profile or a security module: see `dmesg`";
    case EAFNOSUPPORT:
      return "the kernel has no such family, or RestrictAddressFamilies= or a seccomp profile refuses it";
    case EPROTONOSUPPORT:
    case EPROTOTYPE:
    case ESOCKTNOSUPPORT:
      return "the kernel has no datagram sockets of that family";
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case ENOSYS:
      return "this kernel does not have it, or not for this kind of socket: leave the option out, or take a newer "
             "kernel";
    case ENODEV:
    case ENXIO:
      return "there is no such interface: `ip link` lists them";
    case EADDRNOTAVAIL:
      return "no interface here has that address: `ip address` lists them";
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
      return "there is no way to that address: see `ip route get`";
    case EINVAL:
      return "the kernel does not take this value here";
    case EBADF:
    case ENOTSOCK:
      return "the descriptor is no open socket: it was closed, or another number is meant";
    default:
      return "`strace` shows the call that failed";
  }
}

}  // namespace udppump::detail
