"""A worker that turns against its pool, as its messages say. It writes what came of that to FOLDER/told.

"take": has its parent executed anew (SIGUSR2), and tries to trace the new parent before that closes itself, to take its
connection to the old one, and to be given the sockets in its place: "lost", or "held: " and what the old one said.
"hold": has its parent executed anew, and stops the new parent: "held", its process id and those of its workers, or
"lost" if that took over first.
"swap HOW": has its parent executed anew, and has the new parent execute this program instead, before that takes over.
It leaves a process in a session of its own, and then stays, deaf to SIGTERM ("stay"), or ends ("leave"): "swapped" and
the ids of both, "lost", or why it may not.
"keep": does so again and again, from a process of its own, and so means to keep others from taking over.
"traced": a process that leaves its session traces it, so that nobody can wait for its end.
"limit NAME SOFT [HARD]": lowers a resource limit of its parent; HARD stays unless it is given, and with "usr2" in its
place the parent is executed anew at once.

usage: turncoat.py FOLDER          serves its descriptor 0
       turncoat.py FOLDER trace PID   traces that process until it is ended
       turncoat.py FOLDER corpse PID  has that parent executed anew, kills the new parent, and traces what is left of it
       turncoat.py FOLDER churn FILE  SIGUSR2 to the process of this pid file, again and again; at SIGTERM it has
                                 that one end first
       turncoat.py FOLDER swapped HOW   what "swap" executes
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
libc.ptrace.restype = ctypes.c_long
PTRACE_SEIZE, PR_SET_PTRACER = 0x4206, 0x59616D61
PTRACE_PEEK, PTRACE_POKE, PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_ATTACH, PTRACE_DETACH = 1, 4, 12, 13, 16, 17
PIDFD_OPEN, PIDFD_GETFD = 434, 438  # the same everywhere but on alpha
folder = sys.argv[1]


def tell(text):
    path = os.path.join(folder, "told")
    with open(path + ".new", "w") as file:
        file.write(text + "\n")
    os.rename(path + ".new", path)


def trace(victim):
    tell("traces" if libc.ptrace(PTRACE_SEIZE, int(victim), 0, 0) == 0 else "may not trace")
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
            while os.WIFSTOPPED(os.waitpid(one, 0x40000000)[1]):  # __WALL; else its parent waits for this tracer
                pass
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


def new_parent_with_sockets(parent, over=()):
    """Whom this parent executes for that: stopped, before its workers serve; nobody if they do (over)."""
    own = children(parent)
    os.kill(parent, signal.SIGUSR2)
    end = time.monotonic() + 20
    while not over and time.monotonic() < end:
        others = [one for one in children(parent) if one not in own]
        if others and children(others[0]):
            os.kill(others[0], signal.SIGSTOP)
            time.sleep(0.1)  # what it had said before is heard
            return None if over else others[0]
    return None


def new_parent_of_ours():
    """The same of this worker's own parent, which may be lost meanwhile: then it ends."""
    over = []
    signal.signal(signal.SIGTERM, lambda *_: over.append(True))  # the new parent's workers serve
    held = new_parent_with_sockets(os.getppid(), over)
    if held is None:
        tell("lost")
        sys.exit()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return held


def hold():
    held = new_parent_of_ours()
    tell(" ".join(["held", *map(str, [held, *children(held)])]))


def corpse(parent):
    left = new_parent_with_sockets(int(parent))
    if left is None:
        return tell("lost")
    if libc.ptrace(PTRACE_SEIZE, left, 0, 0) != 0:
        return tell("may not trace")
    os.kill(left, signal.SIGKILL)
    tell(f"corpse {left}")
    while True:
        signal.pause()


def swap(how):
    """By its registers, which are those of x86_64: it goes on with execve(2)."""
    victim = new_parent_of_ours()
    if os.uname().machine != "x86_64" or libc.ptrace(PTRACE_ATTACH, victim, 0, 0) != 0:
        os.kill(victim, signal.SIGKILL)
        return tell("may not trace")
    os.waitpid(victim, 0x40000000)  # __WALL
    registers = (ctypes.c_ulong * 27)()
    libc.ptrace(PTRACE_GETREGS, victim, 0, ctypes.addressof(registers))
    base = (registers[19] - 65536) & ~15  # below the stack
    texts = [os.readlink("/proc/self/exe"), os.path.abspath(__file__), folder, "swapped", how]
    block = bytearray()
    at = []
    for text in texts:
        at.append(base + 64 + len(block))
        block += text.encode() + b"\0"
    block = b"".join(one.to_bytes(8, "little") for one in [*at, 0, 0, 0]) + block
    block += bytes(-len(block) % 8)
    for where in range(0, len(block), 8):
        libc.ptrace(PTRACE_POKE, victim, base + where, int.from_bytes(block[where : where + 8], "little"))
    code = libc.ptrace(PTRACE_PEEK, victim, registers[16], 0)
    libc.ptrace(PTRACE_POKE, victim, registers[16], code & ~0xFFFF | 0x050F)  # syscall
    # rax, orig_rax, rdi, rsi, rdx: execve(at[0], base, no environment)
    registers[10], registers[15], registers[14], registers[13], registers[12] = 59, 2**64 - 1, at[0], base, base + 40
    libc.ptrace(PTRACE_SETREGS, victim, 0, ctypes.addressof(registers))
    libc.ptrace(PTRACE_DETACH, victim, 0, 0)
    os.kill(victim, signal.SIGCONT)


def swapped(how):
    """It has the connection to the old parent, and its process id."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    me = os.getpid()
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        for one in range(1024):  # only who was executed has the connection
            try:
                os.close(one)
            except OSError:
                pass
        tell(f"swapped {me} {os.getpid()}")
        while True:
            signal.pause()
    while how == "stay":
        signal.pause()
    while not os.path.exists(os.path.join(folder, "told")):
        time.sleep(0.01)


def churn(file):
    told = []
    signal.signal(signal.SIGTERM, lambda *_: told.append(True))
    while not told or os.path.exists(file):
        try:
            with open(file) as named:
                os.kill(int(named.read()), signal.SIGTERM if told else signal.SIGUSR2)
        except (OSError, ValueError):
            pass  # there is none at the moment
        time.sleep(0.01)


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
    as_before = hard is None or hard == "usr2"
    resource.prlimit(parent, which, (int(soft), resource.prlimit(parent, which)[1] if as_before else int(hard)))
    if hard == "usr2":
        os.kill(parent, signal.SIGUSR2)


if len(sys.argv) > 2:
    {"trace": trace, "corpse": corpse, "churn": churn, "swapped": swapped}[sys.argv[2]](sys.argv[3])
    sys.exit()
inbox = socket.socket(fileno=os.dup(0))
while True:
    data, peer = inbox.recvfrom(65535)
    words = data.decode().split()
    inbox.sendto(b"%d" % os.getpid(), peer)
    if words[0] in ("take", "hold", "keep", "swap", "traced", "limit"):
        globals()[words[0]](*words[1:])
