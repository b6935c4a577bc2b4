"""Writes a file that looks like a program to whoever reads its headers.

usage: elf.py FILE LIKE KIND, where LIKE is a program for the same processor
"""
import os, struct, sys

path, like, kind = sys.argv[1:]
with open(like, "rb") as file:
    header = bytearray(file.read(64))
if kind == "cut":
    segments = [(3, b"/lib64/ld-linux-x86-64.so.2\0")]
else:
    segments = {
        "static": [],
        "dynamic": [(3, b"/lib64/ld-linux-x86-64.so.2\0")],
        "musl": [(3, b"/lib/ld-musl-x86_64.so.1\0")],
        "go": [(3, b"/lib64/ld-linux-x86-64.so.2\0"), (4, struct.pack("<III", 4, 4, 4) + b"Go\0\0abcd")],
        "asan": [(3, b"/lib64/ld-linux-x86-64.so.2\0"),
                 (2, struct.pack("<6Q", 1, 1, 5, 0x1000 + 64 + 56 * 4 + 28 + 48, 0, 0)),
                 (5, b"\0libasan.so.8\0")],
        "other": [(3, b"/lib64/ld-linux-x86-64.so.2\0")],
    }[kind]
if kind == "other":
    header[18:20] = struct.pack("<H", 0xF3 if header[18] != 0xF3 else 0x3E)
count = len(segments) + 1
struct.pack_into("<Q", header, 32, 64)  # e_phoff
struct.pack_into("<HH", header, 54, 56, count)  # e_phentsize, e_phnum
table, content, at = b"", b"", 64 + 56 * count
for type_, data in segments:
    table += struct.pack("<IIQQQQQQ", type_, 4, at + len(content), 0, 0, len(data), len(data), 1)
    content += data
table = struct.pack("<IIQQQQQQ", 1, 5, 0, 0x1000, 0x1000, at + len(content), at + len(content), 4096) + table
whole = bytes(header) + table + content
with open(path, "wb") as file:
    file.write(whole[:90] if kind == "cut" else whole)
os.chmod(path, 0o755)
