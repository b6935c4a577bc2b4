"""Executes a program with a key in its session keyring, as a login with Kerberos leaves one there. Exit code 77: no keys
are to be had here.

usage: with_key.py COMMAND...
"""

import ctypes
import os
import sys

calls = {"x86_64": (248, 250), "aarch64": (217, 219)}.get(os.uname().machine)
JOIN_SESSION_KEYRING, SESSION_KEYRING = 1, -3
libc = ctypes.CDLL(None)
if not calls or libc.syscall(calls[1], JOIN_SESSION_KEYRING, None) < 0:
    sys.exit(77)
if libc.syscall(calls[0], b"user", b"udppump-test", b"secret", 6, SESSION_KEYRING) < 0:
    sys.exit(77)
os.execvp(sys.argv[1], sys.argv[1:])
