# SPDX-License-Identifier: MIT
"""An ext2 image at /disk: all of it as the host has it, nothing changes, odd images are refused.
tests/run: limit=200"""
import hashlib
import os
import random
import shutil
import subprocess
from lib import run, equal, contains, check, finish, mke2fs, SCRATCH

TREE = os.path.join(SCRATCH, "tree")
FIELDS = "%n %f %s %h %u %g %Y"
rng = random.Random(7)


def put(name, *parts):
    """A file of bytes at offsets, in a folder that is made."""
    path = os.path.join(TREE, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        for at, size in parts:
            f.seek(at)
            f.write(rng.randbytes(size))
    os.chmod(path, rng.choice((0o644, 0o755, 0o600, 0o4711)))
    os.utime(path, (1, rng.randrange(1 << 31)))
    return path


def host(command):
    return subprocess.run(command, shell=True, cwd=TREE, check=True, stdout=subprocess.PIPE).stdout


def listing(out):
    """stat's lines by name; the size of a folder is the file system's business."""
    lines = sorted(out.decode().splitlines())
    return [" ".join(w for i, w in enumerate(line.split()) if i != 2 or line.split()[1][0] != "4")
            for line in lines if "lost+found" not in line and not line.startswith(". ")]


for n, size in enumerate((0, 1, 511, 4096, 12288, 12289, 100000, 278529, 1 << 20, 3000001)):
    put("files/%d" % n, (0, size))
put("holes", (0, 10), (1 << 20, 9999), (90 << 20, 5000), ((5 << 30) + 77, 100000))
for n in range(400):
    put("many/%d/%s" % (n % 7, str(n) * rng.randrange(1, 60)), (0, n))
os.symlink("files/3", os.path.join(TREE, "fast"))
os.symlink("./" * 100 + "files/4", os.path.join(TREE, "slow"))
os.symlink("/disk/files", os.path.join(TREE, "folder"))
os.link(os.path.join(TREE, "files/6"), os.path.join(TREE, "again"))

every = r"find . ! -path '*lost+found*' | sort | tr '\n' '\0' | xargs -0 stat -c '%s'" % FIELDS
sums = "md5sum fast slow again; md5sum <folder/5; find files many -type f | sort | xargs md5sum"
holes = "; ".join("dd if=holes bs=4096 skip=%d count=%d 2>/dev/null | md5sum" % (skip, count)
                  for skip, count in ((0, 3), (250, 20), (23039, 5), (1310715, 40)))
host_before = {"files/8": host("cat files/8")}
wanted = [listing(host(every)), host(sums.replace("folder/", "files/")), host(holes)]
for size, options in ((1024, ()), (2048, ("-I", "128")), (4096, ("-O", "^dir_index"))):
    image = mke2fs(TREE, "good", "24M", "-b", str(size), *options)
    checks = [] if size == 2048 else ["--append", "debug_check=1", "--smp", "2"]
    done = run("--disk", image, *checks, "--", "cd /disk; %s; echo ==; %s; echo ==; %s; grep /disk /proc/mounts"
               % (every, sums, holes), limit=60)
    got = done.out.split(b"==\n") + [b"", b""]
    equal(listing(got[0]), wanted[0], "blocks of %d: attributes" % size)
    equal(got[1], wanted[1], "blocks of %d: contents" % size)
    equal(got[2], wanted[2] + b"/dev/vda /disk ext2 ro 0 0\n", "blocks of %d: holes" % size)

done = run("--disk", image, "--", "cd /disk; for c in 'touch x' 'mkdir x' 'ln -s a x' 'ln again x' 'rm again'"
           " 'rmdir many' 'mv again x' 'chmod 0 again' 'truncate -s 0 again' 'chown 1 again' 'mkfifo x'"
           " 'cp fast again' 'touch again'; do $c; done; (echo >again);"
           "umount /disk; cd /; umount /disk && ls /disk && mount -o ro -t ext2 /dev/vda /disk && cat /disk/files/1;"
           "mount -t ext2 -o ro /dev/null /disk; mount -t ext2 -o ro /nothing /disk; cd /disk/many; umount -l /disk;"
           "ls ../many; cat ../files/1")
equal(done.log.count("Read-only file system"), 14, "what would change it")
equal(done.log.count("busy"), 1, "unmounting what is in use")
contains(done, "Block device required")
contains(done, "mounting /nothing on /disk failed: No such file")
one = host("cat files/1")
equal(done.out, one + b"0\n1\n2\n3\n4\n5\n6\n" + one, "unmounted, mounted, detached")

# What is being read ahead when it is unmounted is waited for.
for smp in "1", "2":
    done = run("--disk", image, "--smp", smp, "--", "for i in $(seq 60); do dd if=/disk/files/9 of=/dev/null bs=4k count=17 2>/dev/null;"
               "umount /disk && mount -t ext2 -o ro /dev/vda /disk || echo busy; done; grep -c readahead_begun.[1-9] /proc/vmstat")
    equal(done.out, b"1\n", "unmounted while pages are read ahead, %s CPUs" % smp)

# What is no ext2 is said, and /dev/vda is there all the same.
with open(image, "rb") as f:
    good = f.read()
inodes = int.from_bytes(good[4096 + 8:4096 + 12], "little") * 4096     # of the first group; 256 bytes each


def damaged(why, what, *changes):
    path, data = os.path.join(SCRATCH, "bad"), bytearray(good)
    for at, new in changes:
        data[at:at + len(new)] = new
    with open(path, "wb") as f:
        f.write(data)
    done = run("--disk", path, "--", "ls /disk; ls /disk/many/0 >/dev/null; md5sum </dev/vda; echo alive")
    check(done.out.endswith(b"%s  -\nalive\n" % hashlib.md5(data).hexdigest().encode()), what + ": /dev/vda")
    contains(done, why, what)
    return done


damaged("cannot be mounted as ext2: it has no ext2 superblock", "magic", (1024 + 56, b"xx"))
damaged("features that ext2 has not", "ext4", (1024 + 96, b"\x42"))
damaged("its root directory cannot be read", "no root", (inodes + 256, bytes(128)))
damaged("Input/output error", "bad root block", (inodes + 256 + 40, b"\xff" * 60))
done = damaged("Input/output error", "names", (int.from_bytes(good[inodes + 296:inodes + 300], "little") * 4096 + 4, b"\2"))
check(b"files" not in done.out, "no names from a damaged folder")

# A disk that cannot read one block of a file, or of a folder: who asks for it is told, the rest is there.
def block_of(path, n=0):
    """The sector of block N of /PATH in the good image."""
    out = subprocess.run(["debugfs", "-R", "bmap /%s %d" % (path, n), os.path.join(SCRATCH, "good.ext2")],
                         env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"}, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, check=True).stdout
    return int(out) * 8


for what, sector in (("files/9", block_of("files/9", 300)), ("many/3", block_of("many/3"))):
    rules = os.path.join(SCRATCH, "rules")
    with open(rules, "w") as f:
        f.write('[inject-error]\nevent = "read_aio"\nerrno = "5"\nsector = "%d"\n' % sector)
    done = run("--disk", "blkdebug:%s:%s" % (rules, os.path.join(SCRATCH, "good.ext2")), "--smp", "2", "--",
               "cd /disk; for i in 1 2; do cat files/9 | wc -c; ls many/3 | wc -l; ls many/3/x; done; md5sum files/8; ls many | wc -l")
    counts = done.out.decode().split()
    equal(counts[-1], "7", what + ": another folder")
    equal(counts[4], hashlib.md5(host_before["files/8"]).hexdigest(), what + ": another file")
    equal(done.log.count("Input/output error"), 2, what + ": errors")
    check(counts[0] == counts[2] and (int(counts[0]) <= 300 * 4096 if "files" in what else counts[1] == "0"),
          "%s: what came before the error: %s" % (what, counts))

# Many files: their nodes do not stay, but of one that is open and its pages.
shutil.rmtree(TREE)
for n in range(16000):
    put("%d/%d" % (n % 100, n))
put("big", (0, 1 << 20))
image = mke2fs(TREE, "nodes", "32M", "-b", "1024", "-I", "128", "-N", "17000")
done = run("--mem", "40M", "--smp", "4", "--disk", image, "--", "exec 3</disk/big; cat /disk/big >/dev/null;"
           "grep MemFree /proc/meminfo; for i in 1 2 3 4; do find /disk -type f -size +0 & find /disk/$i -type l & done; wait;"
           "grep MemFree /proc/meminfo; for i in 1 2; do grep readahead_reads /proc/vmstat; cat /disk/big >/dev/null; done",
           limit=90)
found = [int(line.split()[1]) for line in done.out.decode().splitlines() if " " in line]
check(len(found) == 4 and found[0] - found[1] < 5000, "kept after 16000 files, KiB: %s" % found)
check(found[2:] and found[2] == found[3], "read again: %s" % found)
finish()
