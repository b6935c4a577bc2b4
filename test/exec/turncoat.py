"""A worker that turns against its pool, as its messages say. It writes what came of that to FOLDER/told.

"take": has its parent executed anew (SIGUSR2), and tries to trace the new parent before that closes itself, to take its
connection to the old one, and to be given the sockets in its place: "lost", or "held: " and what the old one said.
"hold": has its parent executed anew, and stops the new parent: "held", its process id and those of its workers, or
"lost" if that took over first.
"keep": does so again and again, from a process of its own, and so means to keep others from taking over.
"traced": a process that leaves its session traces it, so that nobody can wait for its end.
"limit NAME SOFT [HARD]": lowers a resource limit of its parent; HARD stays unless it is given.

usage: turncoat.py FOLDER          serves its descriptor 0
       turncoat.py FOLDER trace PID   traces that process until it is ended
"""

import ctypes
import os
import resource
import signal
import socket
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long] * 4
PTRACE_SEIZE, PR_SET_PTRACER = 0x4206, 0x59616D61
PIDFD_OPEN, PIDFD_GETFD = 434, 438  # the same everywhere but on alpha
folder = sys.argv[1]


def tell(text):
    path = os.path.join(folder, "told")
    with open(path + ".new", "w") as file:
        file.write(text + "\n")
    os.rename(path + ".new", path)


def trace(victim):
    tell("traces" if libc.ptrace(PTRACE_SEIZE, victim, 0, 0) == 0 else "may not trace")
    while True:
        signal.pause()


def traced():
    me = os.getpid()
    libc.prctl(PR_SET_PTRACER, -1, 0, 0, 0)
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        for one in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(one, signal.SIG_IGN)
        trace(me)


def connection_of(new_parent):
    """Its end of the connection to the old one."""
    while True:
        with open(f"/proc/{new_parent}/environ", "rb") as file:
            variables = dict(one.split(b"=", 1) for one in file.read().split(b"\0") if b"=" in one)
        if b"UDPPUMP_TAKE_OVER" in variables:
            break
    pidfd = libc.syscall(PIDFD_OPEN, new_parent, 0)
    return socket.socket(fileno=libc.syscall(PIDFD_GETFD, pidfd, int(variables[b"UDPPUMP_TAKE_OVER"]), 0))


def take():
    over = []
    signal.signal(signal.SIGTERM, lambda *_: over.append(True))  # the new parent's workers serve
    parent = os.getppid()
    own = os.readlink("/proc/self/exe")
    os.kill(parent, signal.SIGUSR2)
    end = time.monotonic() + 20
    while not over and time.monotonic() < end:
        with open(f"/proc/{parent}/task/{parent}/children") as file:
            others = [int(one) for one in file.read().split() if int(one) != os.getpid()]
        for one in others:
            try:
                if os.readlink(f"/proc/{one}/exe") == own or libc.ptrace(PTRACE_SEIZE, one, 0, 0) != 0:
                    continue
                connection = connection_of(one)
            except OSError:
                continue
            os.kill(one, signal.SIGSTOP)
            connection.settimeout(5)
            connection.send(b"udppump 1 hello 1 stays")
            said, _, _, _ = socket.recv_fds(connection, 65536, 20)
            os.kill(one, signal.SIGKILL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            return tell("held: " + said.decode())
    tell("lost")
    sys.exit()


def children(process):
    try:
        with open(f"/proc/{process}/task/{process}/children") as file:
            return [int(one) for one in file.read().split()]
    except OSError:
        return []


def hold():
    over = []
    signal.signal(signal.SIGTERM, lambda *_: over.append(True))  # the new parent's workers serve
    parent = os.getppid()
    os.kill(parent, signal.SIGUSR2)
    end = time.monotonic() + 20
    while not over and time.monotonic() < end:
        others = [one for one in children(parent) if one != os.getpid()]
        if others and children(others[0]):
            os.kill(others[0], signal.SIGSTOP)
            time.sleep(0.1)  # what it had said before is heard
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            if not over:
                return tell(" ".join(["held", *map(str, others[:1] + children(others[0]))]))
    tell("lost")
    sys.exit()


def keep():
    parent, me = os.getppid(), os.getpid()
    if os.fork():
        return
    tell("keeps")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while os.path.exists(f"/proc/{parent}"):
        try:
            os.kill(parent, signal.SIGUSR2)
            for one in set(children(parent)) - {me, os.getpid()}:
                if children(one):  # it has the sockets
                    os.kill(one, signal.SIGSTOP)
        except OSError:
            pass
        time.sleep(0.01)


def limit(name, soft, hard=None):
    parent = os.getppid()
    which = getattr(resource, "RLIMIT_" + name.upper())
    hard = resource.prlimit(parent, which)[1] if hard is None else int(hard)
    resource.prlimit(parent, which, (int(soft), hard))


if len(sys.argv) > 2:
    trace(int(sys.argv[3]))
inbox = socket.socket(fileno=os.dup(0))
while True:
    data, peer = inbox.recvfrom(65535)
    words = data.decode().split()
    inbox.sendto(b"%d" % os.getpid(), peer)
    if words[0] in ("take", "hold", "keep", "traced", "limit"):
        globals()[words[0]](*words[1:])
