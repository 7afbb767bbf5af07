# SPDX-License-Identifier: MIT
"""The gdb command `ptwalk VA [ROOT]`: the walk of VA through the tables of CR3, or of ROOT.

Entries are read by physical address through QEMU's monitor, so it works at any moment,
whatever is mapped. Sourced by tools/gdbinit.
"""
import re

import gdb

BITS = ((0, "P"), (1, "W"), (2, "U"), (3, "PWT"), (4, "PCD"), (5, "A"), (6, "D"), (7, "PS"),
        (8, "G"), (63, "NX"))
ADDRESS = 0x000FFFFFFFFFF000


def physical(address):
    """The 8 bytes at a physical address."""
    text = gdb.execute("monitor xp /1gx 0x%x" % address, to_string=True)
    match = re.search(r":\s*0x([0-9a-fA-F]{16})", text)
    if not match:
        raise gdb.GdbError("no memory at physical 0x%x" % address)
    return int(match[1], 16)


def bits(entry):
    return " ".join(name for bit, name in BITS if entry >> bit & 1)


class PtWalk(gdb.Command):
    """ptwalk VA [ROOT]: the page-table walk of VA, level by level."""

    def __init__(self):
        super().__init__("ptwalk", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        words = gdb.string_to_argv(argument)
        if not 1 <= len(words) <= 2:
            raise gdb.GdbError("usage: ptwalk VA [ROOT]")
        va = int(gdb.parse_and_eval(words[0]).cast(gdb.lookup_type("unsigned long")))
        root = "$cr3" if len(words) == 1 else words[1]
        table = int(gdb.parse_and_eval("(unsigned long)(%s)" % root)) & ADDRESS
        print("root 0x%x" % table)
        for level in (4, 3, 2, 1):
            shift = 12 + 9 * (level - 1)
            index = va >> shift & 511
            entry = physical(table + 8 * index)
            line = "L%d[%d] 0x%016x" % (level, index, entry)
            if not entry & 1:
                print(line + ("  not present" if entry else "  empty"))
                return
            leaf = level == 1 or entry & 0x80
            base = entry & ADDRESS
            if leaf:
                size = 1 << shift
                base &= ~(size - 1)
                print("%s  page 0x%x of %d KiB, %s: 0x%x" % (
                    line, base, size >> 10, bits(entry), base | va & (size - 1)))
                return
            print("%s  table 0x%x, %s" % (line, base, bits(entry)))
            table = base


PtWalk()
