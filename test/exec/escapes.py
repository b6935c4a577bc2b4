"""A worker that answers with its process id, and from which others start, as its messages say.

"escape N": N processes in sessions of their own, which hear no signal that they need not, and serve the same socket.
"chain N": N that start another of their kind and end, again and again.
"helper deaf|kind": one in the worker's own session, which ends when it is told, or does not.
Those that stay write FOLDER/PID, and serve as the worker does; a chain writes its last number to FOLDER/chain.

usage: escapes.py FOLDER
"""

import os
import signal
import socket
import sys
import time

folder = sys.argv[1]
inbox = socket.socket(fileno=os.dup(0))


def stay():
    open(os.path.join(folder, str(os.getpid())), "w").close()
    serve()


def chain():
    if os.fork():
        os._exit(0)  # the child goes on
    os.setsid()
    told = os.open(os.path.join(folder, "chain"), os.O_WRONLY | os.O_CREAT, 0o600)
    os.pwrite(told, b"%10d" % os.getpid(), 0)
    os.close(told)
    time.sleep(0.002)


def escape(what):
    if os.fork():
        return
    if what != "helper":
        os.setsid()
    if os.fork():
        os._exit(0)
    for one in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(one, signal.SIG_IGN)
    if what == "chain":
        end = time.monotonic() + 60  # whatever becomes of the test
        while time.monotonic() < end:
            chain()
        os._exit(0)
    stay()


def help_out(kind):
    if os.fork():
        return
    if kind == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:

        def end(*_):
            open(os.path.join(folder, "ended"), "w").close()
            os._exit(0)

        signal.signal(signal.SIGTERM, end)
    stay()


def serve():
    while True:
        data, peer = inbox.recvfrom(65535)
        words = data.decode().split()
        if words and words[0] == "helper":
            help_out(words[1])
        elif words and words[0] in ("escape", "chain"):
            for _ in range(int(words[1])):
                escape(words[0])
        inbox.sendto(str(os.getpid()).encode(), peer)


signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # those between are nobody's
serve()
