"""Executes a program at a terminal of its own, as whoever logs in does, and copies to stdout what is written there.

usage: at_terminal.py COMMAND...
"""

import os
import pty
import signal
import sys

pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
for one in (signal.SIGTERM, signal.SIGUSR2):
    signal.signal(one, lambda number, _: os.kill(pid, number))
while True:
    try:
        written = os.read(terminal, 65536)
    except OSError:  # EIO: nobody has it any more
        break
    sys.stdout.buffer.write(written.replace(b"\r\n", b"\n"))
    sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
