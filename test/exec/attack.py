"""A worker that attacks the process whose id it is sent, as code would that an attacker runs in it, and answers with
what worked. "status", "descriptors", "environment" and "umask" make it tell what it has; "terminal" and "keys" make it
attack what whoever started the pool left it.

usage: attack.py [terminal|keys]: does that at once, and prints what worked; else it serves its descriptor 0.
"""

import ctypes
import fcntl
import json
import os
import socket
import sys
import termios

libc = ctypes.CDLL(None, use_errno=True)
PTRACE_SEIZE, PTRACE_DETACH = 0x4206, 17
PIDFD_OPEN, PIDFD_GETFD = 434, 438  # the same everywhere but on alpha
KEYCTL = {"x86_64": 250, "aarch64": 219}.get(os.uname().machine)
KEYCTL_SEARCH, SESSION_KEYRING = 10, -3
EFAULT = 14


class Part(ctypes.Structure):
    _fields_ = [("at", ctypes.c_void_p), ("size", ctypes.c_size_t)]


def opens(path):
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def attack(victim):
    worked = [name for name in ("mem", "environ", "maps") if opens(f"/proc/{victim}/{name}")]
    try:
        os.readlink(f"/proc/{victim}/fd/3")
        worked.append("fd")
    except OSError:
        pass
    if libc.ptrace(PTRACE_SEIZE, victim, None, None) == 0:
        worked.append("ptrace")
        libc.ptrace(PTRACE_DETACH, victim, None, None)
    byte = ctypes.create_string_buffer(1)
    own = Part(ctypes.addressof(byte), 1)
    nowhere = Part(8, 1)
    ctypes.set_errno(0)
    libc.process_vm_readv(victim, ctypes.byref(own), 1, ctypes.byref(nowhere), 1, 0)
    if ctypes.get_errno() == EFAULT:  # it was let in, and there is nothing
        worked.append("process_vm_readv")
    pidfd = libc.syscall(PIDFD_OPEN, victim, 0)
    if pidfd >= 0:
        if libc.syscall(PIDFD_GETFD, pidfd, 2, 0) >= 0:
            worked.append("pidfd_getfd")
        os.close(pidfd)
    return worked


def attack_terminal():
    """What a process can do to those who sit at a terminal that it has, or is started from."""
    worked = [] if os.getsid(0) == os.getpid() else ["session"]
    if opens("/dev/tty"):
        worked.append("open")
    for at in filter(os.isatty, (0, 1, 2)):
        waits = os.get_blocking(at)
        try:
            os.set_blocking(at, False)
            try:
                os.read(at, 1)
                worked.append(f"read-{at}")
            except BlockingIOError:
                worked.append(f"read-{at}")  # it would wait for what is typed
            finally:
                os.set_blocking(at, waits)
        except OSError:
            pass
        for name, what in (("type", termios.TIOCSTI), ("take", termios.TIOCSCTTY)):
            try:
                fcntl.ioctl(at, what, b"\n" if name == "type" else 0)
                worked.append(f"{name}-{at}")
            except OSError:
                pass
    return worked


def has_key():
    """Whether a key of whoever started the pool is found (test/exec/with_key.py)."""
    return libc.syscall(KEYCTL, KEYCTL_SEARCH, SESSION_KEYRING, b"user", b"udppump-test", 0) >= 0


def answer(asked):
    if asked == "terminal":
        return "worked: " + " ".join(attack_terminal())
    if asked == "keys":
        return "worked: " + ("key" if has_key() else "")
    if asked == "status":
        return open("/proc/self/status").read()
    if asked == "environment":
        return json.dumps(dict(os.environ))
    if asked == "umask":
        mask = os.umask(0)
        os.umask(mask)
        return f"{mask:04o}"
    if asked == "descriptors":
        found = {}
        for name in os.listdir("/proc/self/fd"):
            try:
                found[name] = os.readlink(f"/proc/self/fd/{name}")
            except OSError:
                pass  # that of the listing itself
        return json.dumps(found)
    return "worked: " + " ".join(attack(os.getppid() if asked == "parent" else int(asked)))


if len(sys.argv) > 1:
    print(answer(sys.argv[1]), flush=True)
    sys.exit()
inbox = socket.socket(fileno=os.dup(0))
while True:
    data, peer = inbox.recvfrom(65535)
    inbox.sendto(answer(data.decode()).encode(), peer)
