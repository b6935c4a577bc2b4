"""A worker that attacks the process whose id it is sent, as code would that an attacker runs in it, and answers with
what worked. "status", "descriptors", "environment" and "umask" make it tell what it has.
"""

import ctypes
import json
import os
import socket

libc = ctypes.CDLL(None, use_errno=True)
PTRACE_SEIZE, PTRACE_DETACH = 0x4206, 17
PIDFD_OPEN, PIDFD_GETFD = 434, 438  # the same everywhere but on alpha
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


def answer(asked):
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


inbox = socket.socket(fileno=os.dup(0))
while True:
    data, peer = inbox.recvfrom(65535)
    inbox.sendto(answer(data.decode()).encode(), peer)
