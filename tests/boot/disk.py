# SPDX-License-Identifier: MIT
"""A disk: what is read and mapped is what the image holds; disks that are odd, absent, mute or lie."""
import hashlib
import os
import random
import re
import struct
from lib import run, equal, contains, check, finish, SCRATCH


def image(name, size):
    path = os.path.join(SCRATCH, name)
    with open(path, "wb") as f:
        f.write(random.Random(name).randbytes(size))
    return path


def digest(path, start=0, size=-1):
    with open(path, "rb") as f:
        f.seek(start)
        return hashlib.md5(f.read(size)).hexdigest()


def extra(drive):
    return "-drive if=none,id=odd,%s -device virtio-blk-pci,drive=odd" % drive


whole, uneven = image("whole", 6 << 20), image("uneven", (1 << 20) + 512 * 3)
done = run("--disk", whole, "--disk", uneven, "--append", "debug_check=1", "--",
           "cd /dev; md5sum <vda; md5sum <vdb; blockdev --getsize64 vdb; stat -c '%F %t,%T' vda vdb;"
           "dd if=vdb bs=1000 skip=1040 2>/dev/null | md5sum; dd if=vda bs=512 skip=777 count=9 2>/dev/null | md5sum")
equal(done.out.decode().split("\n"), [
    digest(whole) + "  -", digest(uneven) + "  -", str((1 << 20) + 1536),
    "block special file fe,0", "block special file fe,10",
    digest(uneven, 1040000) + "  -", digest(whole, 777 * 512, 9 * 512) + "  -", ""], "two disks")
done = run("--disk", whole, "--", "filescan -f /dev/vda -r 2; for p in linear phases; do filescan -uf /dev/vda -r 2 -p $p; done")
pages, major = ([int(n) for n in re.findall(r"%s=(\d+)" % name, done.out.decode())] for name in ("pages_touched", "major_faults"))
equal(pages, [1536, 1536, 3 * 384 + 1], "pages of a scanned disk")
check(major[0] == 0 and 0 < major[1] <= 48 and major[1] < major[2], "major faults of cached, uncached, phases: %s" % major)
done = run("--disk", whole, "--", "echo x >/dev/vda || echo x >>/dev/vda")
check(b"" == done.out and done.log.count("Read-only file system") == 2, "a write is refused")

# Version 2 of qcow2: a header, one table that leads to one that leads to clusters of 64 KiB; 0: it is all zeroes.
CLUSTER, HOLES = 1 << 16, (0, 7, 8, 95)
with open(whole, "rb") as f:
    clusters = [bytes(CLUSTER) if n in HOLES else f.read(CLUSTER) for n in range(96)]
cow, table, data = os.path.join(SCRATCH, "cow"), [], [c for n, c in enumerate(clusters) if n not in HOLES]
for n in range(96):
    table.append(0 if n in HOLES else 1 << 63 | (5 + n - sum(hole < n for hole in HOLES)) * CLUSTER)
with open(cow, "wb") as f:
    for part in (struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", 2, 0, 0, 16, 96 * CLUSTER, 0, 1, 3 * CLUSTER, CLUSTER, 1, 0, 0),
                 struct.pack(">Q", 2 * CLUSTER), b"", struct.pack(">Q", 1 << 63 | 4 * CLUSTER), struct.pack(">96Q", *table), *data):
        f.write(part.ljust(CLUSTER, b"\0"))
equal(run("--disk", cow, "--", "blockdev --getsize64 /dev/vda; md5sum </dev/vda").out.decode(),
      "%d\n%s  -\n" % (96 * CLUSTER, hashlib.md5(b"".join(clusters)).hexdigest()), "qcow2")
with open(cow, "r+b") as f:
    f.write(b"QFI\xfb\0\0\0\7")
done = run("--disk", cow, "--", "echo never")
equal((done.status, done.out), (126, b""), "qcow2 of a version that is none")
contains(done, "Unsupported qcow2 version 7")
for smp in "1", "4":
    done = run("--smp", smp, "--disk", whole, "--",
               "for i in 1 2 3 4 5 6 7 8; do md5sum </dev/vda & done; wait")
    equal(done.out.decode(), (digest(whole) + "  -\n") * 8, "eight readers on %s CPUs" % smp)

equal(run("--", "ls /dev/vda").status, 1, "no disk")
empty = image("empty", 0)
done = run("--qemu-extra", extra("format=raw,file=" + empty), "--", "cat /dev/vda")
contains(done, "vda: virtio disk at PCI slot", "a disk of no sectors")
equal(done.status, 1, "a disk of no sectors")
mute = extra("driver=null-co,size=1M,latency-ns=6000000000")
done = run("--append", "disk_timeout=1", "--qemu-extra", mute, "--",
           "cat /dev/vda & cat /dev/vda; wait; cat /dev/vda; echo alive")
contains(done, "vda: no answer in disk_timeout seconds; the disk is given up")
equal(done.out, b"alive\n", "a mute disk")
check(done.log.count("Input/output error") == 3, "a mute disk is EIO")
equal(run("--qemu-extra", extra("driver=null-co,size=1M,read-zeroes=on,latency-ns=300000000"), "--append",
          "disk_timeout=20", "--", "dd if=/dev/vda bs=4k count=1 2>/dev/null | tr '\\0' 0 | head -c 3").out, b"000", "a slow disk")
for words, what in (("disable-modern=on,disable-legacy=off", "Virtio 1.0"), ("vectors=0", "message interrupt")):
    done = run("--qemu-extra", extra("driver=null-co,size=1M") + "," + words, "--", "ls /dev/vda")
    equal(done.status, 1, words)
    contains(done, what, words)
done = run("--qemu-extra", extra("driver=null-co,size=1M,read-zeroes=on") + ",queue-size=4", "--",
           "md5sum </dev/vda")
equal(done.out.decode(), hashlib.md5(bytes(1 << 20)).hexdigest() + "  -\n", "a queue of four")
finish()
