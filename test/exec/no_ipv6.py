"""Executes a program that has no IPv6, as a unit's RestrictAddressFamilies=AF_INET AF_UNIX makes it (x86-64, AArch64).

usage: no_ipv6.py COMMAND...
"""

import ctypes
import os
import platform
import struct
import sys

SOCKET = {"x86_64": 41, "aarch64": 198}.get(platform.machine())
if SOCKET is None:
    sys.exit(77)
AF_INET6, EAFNOSUPPORT = 10, 97
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # linux/bpf_common.h
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
instructions = b"".join(
    struct.pack("=HBBI", *each)
    for each in (
        (LOAD, 0, 0, 0),  # the call's number, in struct seccomp_data
        (IF_EQUAL, 0, 3, SOCKET),
        (LOAD, 0, 0, 16),  # its first argument
        (IF_EQUAL, 0, 1, AF_INET6),
        (RETURN, 0, 0, ERRNO | EAFNOSUPPORT),
        (RETURN, 0, 0, ALLOW),
    )
)
held = ctypes.create_string_buffer(instructions, len(instructions))
program = ctypes.create_string_buffer(struct.pack("@HP", len(instructions) // 8, ctypes.addressof(held)))
prctl = ctypes.CDLL(None, use_errno=True).prctl
if prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0) != 0:
    sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
os.execvp(sys.argv[1], sys.argv[1:])
