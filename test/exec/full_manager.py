"""A service manager whose queue of notifications is full. It takes none before there is a file FOLDER/listen; then it
writes them to stdout up to STOPPING=1.

usage: full_manager.py FOLDER
"""

import pathlib
import socket
import sys
import time

folder = pathlib.Path(sys.argv[1])
ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
ear.bind(str(folder / "notify"))
filler = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
filler.setblocking(False)
try:
    while True:
        filler.sendto(b"full", str(folder / "notify"))
except BlockingIOError:
    (folder / "is_full").touch()
while not (folder / "listen").exists():
    time.sleep(0.01)
told = b""
while b"STOPPING=1" not in told:
    told = ear.recv(65535)
    if told != b"full":
        print(told.decode(), flush=True)
