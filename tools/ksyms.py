#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turn `nm -n` of the kernel into assembly: the table by which a panic names functions.

Reads standard input, writes standard output. The table lists functions in order of
address, as offsets from __kernel_start; equal addresses keep one name, a global first.
Functions below __kernel_start (the 32-bit entry, at physical addresses) are left out,
and so are the marks of the linker script (__text_end and the like).
"""
import sys


def functions(lines):
    """[(offset, name)] in order, and nothing without __kernel_start."""
    start, found = None, {}
    for line in lines:
        parts = line.split()
        if len(parts) != 3:
            continue
        value, kind, name = int(parts[0], 16), parts[1], parts[2]
        if name == "__kernel_start":
            start = value
        if kind in "TtWw" and not name.startswith((".L", "__")):
            held = found.get(value)
            if held is None or (kind.isupper() and not held[0].isupper()):
                found[value] = (kind, name)
    if start is None:
        return []
    return [(value - start, name) for value, (_, name) in sorted(found.items())
            if 0 <= value - start < 1 << 32]


def main():
    table = functions(sys.stdin)
    out = ["/* Made by tools/ksyms.py. */",
           '.section .rodata.ksyms, "a", @progbits', ".balign 4",
           ".globl ksym_count, ksym_addr, ksym_name_off, ksym_names",
           "ksym_count: .long %d" % len(table), "ksym_addr:"]
    out += ["\t.long 0x%x" % offset for offset, _ in table]
    out += ["ksym_name_off:"]
    at = 0
    for _, name in table:
        out.append("\t.long %d" % at)
        at += len(name) + 1
    out += ["ksym_names:"]
    out += ['\t.asciz "%s"' % name for _, name in table]
    out += ["\t.byte 0", '.section .note.GNU-stack, "", @progbits']
    print("\n".join(out))


main()
