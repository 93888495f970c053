"""Empties functions that the page never calls but the linker cannot drop: snip.py IN OUT NAME...

cubecl registers a parser of its intermediate language for every operation, in tables that are built when the program
starts. Nothing in a browser reads that language: these parsers are 4 % of the page. A function whose mangled name holds
one of the NAMEs becomes a trap; its place in the tables stays, and what only it called is then found to be unused by
wasm-opt. The names of functions must still be in the file.
"""

import sys

NAMES = sys.argv[3:]
data = open(sys.argv[1], "rb").read()


def leb(at):
    """A number in LEB128, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128: return value, at


def uleb(value):
    """A number as LEB128."""
    out = b""
    while True:
        byte = value & 127
        value >>= 7
        out += bytes([byte | 128 if value else byte])
        if not value: return out


sections, at = [], 8
while at < len(data):
    kind = data[at]
    size, begin = leb(at + 1)
    sections.append((kind, begin, begin + size))
    at = begin + size
imports, names = 0, {}
for kind, begin, end in sections:
    if kind == 2:
        count, at = leb(begin)
        for _ in range(count):
            for _ in range(2):
                size, at = leb(at)
                at += size
            what = data[at]
            at += 1
            if what == 0: imports += 1; _, at = leb(at)
            elif what == 3: at += 2
            else:
                at += what == 1
                flags, at = leb(at)
                _, at = leb(at)
                if flags & 1: _, at = leb(at)
    elif kind == 0:
        size, at = leb(begin)
        if data[at:at + size] != b"name": continue
        at += size
        while at < end:
            sub = data[at]
            size, at = leb(at + 1)
            if sub == 1:
                count, place = leb(at)
                for _ in range(count):
                    index, place = leb(place)
                    length, place = leb(place)
                    names[index] = data[place:place + length].decode()
                    place += length
            at += size
out, snipped = bytearray(data[:8]), 0
for kind, begin, end in sections:
    body = data[begin:end]
    if kind == 10:
        count, at = leb(begin)
        body = bytearray(uleb(count))
        for index in range(imports, imports + count):
            size, first = leb(at)
            at = first + size
            code = data[first:at]
            if any(name in names.get(index, "") for name in NAMES):
                code = b"\x00\x00\x0b"  # No locals, unreachable, end.
                snipped += 1
            body += uleb(len(code)) + code
    out += bytes([kind]) + uleb(len(body)) + body
open(sys.argv[2], "wb").write(out)
if not snipped:
    sys.exit("snip.py: no function has such a name")
