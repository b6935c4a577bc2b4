"""A worker in Python under `udppump exec`: sleeps for as long as each work request asks, and answers it
(tools/load/plan/work_message.hpp)."""

import ctypes
import os
import select
import socket
import struct
import time

REQUEST, ANSWER = struct.Struct("!3sBBxHQq"), struct.Struct("!3sBBxHQqqqq")
inbox = socket.socket(fileno=0)
number = int(os.environ["UDPPUMP_WORKER"])
PR_SET_TIMERSLACK = 29
ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)  # sleeps that end when they should
while True:
    try:
        request, client = inbox.recvfrom(65535)
    except BlockingIOError:
        select.select([inbox], [], [])
        continue
    began = time.monotonic_ns()
    magic, version, kind, _, identity, asked = REQUEST.unpack_from(request)
    time.sleep(asked / 1e9)
    used = time.monotonic_ns() - began
    inbox.sendto(ANSWER.pack(magic, version, 1, number, identity, asked, used, -1, began), client)
