"""A service manager's ear: writes what comes to the Unix socket PATH to stdout, each variable on a line of its own."""

import socket
import sys

ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
ear.bind(sys.argv[1])
while True:
    print(ear.recv(65535).decode(), flush=True)
