# SPDX-License-Identifier: MIT
"""A disk mapped: major faults, read-ahead, one read for many, errors of the disk, more than fits.
tests/run: limit=240"""
import array
import os
from lib import run, equal, check, compile, finish, SCRATCH

MASK = (1 << 64) - 1


def image(name, mib):
    """A disk whose word W is mix(W) of disk_map.c."""
    path = os.path.join(SCRATCH, name)
    with open(path, "wb") as f:
        for start in range(0, mib << 17, 1 << 17):
            array.array("Q", (((w + 1) * 0x9e3779b97f4a7c15 & MASK) ^ w >> 7
                              for w in range(start, start + (1 << 17)))).tofile(f)
    return path


def values(done):
    return {k: int(v) if v.isdigit() else v for k, _, v in
            (word.partition("=") for word in done.out.decode().split() if "=" in word)}


with open(os.path.join(os.path.dirname(__file__), "disk_map.c"), encoding="utf-8") as source:
    program = compile(source.read(), "disk_map")
small, large = image("small", 16), image("large", 96)
WINDOWS = (16 << 20) // (128 << 10)


def drive(what, *options, disk=small, limit=100):
    if disk:
        options += "--disk", disk
    done = run("--add", program, *options, "--", "disk_map", what, limit=limit)
    equal(done.status, 0, what)
    return values(done)


for options in ((), ("--smp", "4", "--append", "debug_check=1")):
    got = drive("linear", *options)
    for name in "linear", "dropped", "populate":    # those that the disk was too slow for, too
        check(1 <= got[name + "_majors"] <= WINDOWS, "major faults of a linear read, %r: %r" % (options, got))
    equal([got["again_majors"], got["mapped_majors"], got["ahead"]], [0, 0, 0], "cached; what is not counted, %r" % (options,))
    check(WINDOWS <= got["backward_majors"] <= WINDOWS + 4, "backwards, %r: %r" % (options, got))
    check(got["hit"] > 3 * 4096 and 0 < got["wasted"] <= 96, "hits and waste, %r: %r" % (options, got))
got = drive("linear", "--append", "readahead_kb=0")
equal([got["linear_majors"], got["populate_majors"]], [4096, 4096], "no read-ahead")
check(drive("linear", "--append", "readahead_kb=2048")["linear_majors"] <= WINDOWS // 2, "the most of it")
# 32 readings of 30 ms, 32 times 20 ms of work: 1600 ms one after the other, 960 side by side.
for attempt in range(3):        # a busy host may delay both
    got = drive("overlap", "--append", "disk_timeout=20", "--qemu-extra", "-drive if=none,id=slow,driver=null-co,size=4M,"
                "read-zeroes=on,latency-ns=30000000 -device virtio-blk-pci,drive=slow", disk=None)
    if max(got["ms_1"], got["ms_0"]) < 1400:
        break
for way in "1", "0":
    check(got["ms_" + way] < 1400 and got["majors_1"] <= 33, "reading beside work, mapped %s: %r" % (way, got))

got = drive("advice")
check(got["sequential_majors"] <= WINDOWS // 2, "MADV_SEQUENTIAL: %r" % got)
for name in "willneed", "dontneed", "readahead":
    equal(got[name + "_majors"], 0, name)
equal(got["fadvise_majors"], 1, "POSIX_FADV_DONTNEED")
equal(got["random_ahead"], 0, "MADV_RANDOM")
check(got["plain_ahead"] < 60, "random access reads little ahead: %r" % got)
for smp in "1", "4":
    got = drive("together", "--smp", smp)
    equal(got["together_reads"], WINDOWS, "one read for six threads on %s CPUs" % smp)
    if smp == "4":
        equal(got["together_waited"], 1, "the others wait")

rules = os.path.join(SCRATCH, "rules")
BAD = [100 * 8, 101 * 8, 2000 * 8 + 3, 4095 * 8]      # sectors; each can be read the 25th time
with open(rules, "w") as f:
    for sector in BAD * 24:
        f.write('[inject-error]\nevent = "read_aio"\nerrno = "5"\nsector = "%d"\nonce = "on"\n' % sector)
for smp in "1", "4":
    got = drive("errors", "--smp", smp, "--append", "debug_check=1",
                disk="blkdebug:%s:%s" % (rules, small))
    check(got["bus"] >= 3 and got["eio"] >= 3, "SIGBUS and EIO: %r" % got)
    check(got["turns"] > 1, "a retry succeeds: %r" % got)

for options in (("--mem", "40M"), ("--mem", "48M", "--smp", "4", "--append", "debug_check=1")):
    got = drive("large", *options, disk=large, limit=200)
    equal(got, {"mapped": "ok", "read": "ok"}, "more than memory, %r" % (options,))
    got = drive("stress", *options, disk=large, limit=200)
    equal(got, {"stress": "ok"}, "stress, %r" % (options,))
finish()
