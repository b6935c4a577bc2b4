"""Sends numbers, as many as are answered, until STOP_FILE is there, and checks that each is answered exactly once.

usage: count.py PORT STOP_FILE PROGRESS_FILE; exit code 0 where nothing was lost and nothing answered twice
"""

import os
import socket
import sys
import time

port, stop_file, progress_file = int(sys.argv[1]), sys.argv[2], sys.argv[3]
most_waiting = 32  # keeps the workers busy, and is less than the socket's queue takes
patience = 30

client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
client.settimeout(0.002)
client.connect(("127.0.0.1", port))

sent, waiting, twice = 0, set(), 0
told = 0
last_answer = time.monotonic()
sending = True
while sending or waiting:
    if sending and os.path.exists(stop_file):
        sending = False
    if sending and len(waiting) < most_waiting:
        client.send(b"%d" % sent)
        waiting.add(sent)
        sent += 1
    try:
        number = int(client.recv(65535))
        last_answer = time.monotonic()
        if number in waiting:
            waiting.remove(number)
        else:
            twice += 1
    except TimeoutError:
        if time.monotonic() > last_answer + patience:
            break
    if sent - len(waiting) >= told + 10:
        told = sent - len(waiting)
        with open(progress_file + ".new", "w") as file:
            print(told, file=file)
        os.rename(progress_file + ".new", progress_file)
client.settimeout(0.3)  # for an answer that comes a second time
try:
    while client.recv(65535):
        twice += 1
except TimeoutError:
    pass
print(f"  {sent} sent, {len(waiting)} lost, {twice} answered twice")
sys.exit(0 if sent > 0 and not waiting and not twice else 1)
