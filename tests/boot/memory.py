# SPDX-License-Identifier: MIT
"""16M is enough, much less is refused in one line, 4G and holes in the map are used.
tests/run: limit=120"""
from lib import run, equal, check, finish

done = run("--mem", "16M", "--", "echo $((6 * 7)); free")
equal(done.status, 0, "16M")
check(done.out.startswith(b"42\n"), "16M: the command runs")
for size in ("1M", "2M", "3M", "4M"):
    done = run("--mem", size, "--", "true", limit=15)
    equal(done.status, 126, size + " is too little")
for size in ("6M", "8M", "10M", "12M"):
    done = run("--mem", size, "--", "true", limit=20)
    check(done.status in (0, 126), size + ": boots or says why not, status %d" % done.status)

TOTAL = "awk '/MemTotal/ { print $2 }' /proc/meminfo"
for size, least in (("64M", 48), ("1G", 960), ("4G", 3900)):
    done = run("--mem", size, "--", TOTAL)
    equal(done.status, 0, size)
    check(done.out.strip().isdigit() and int(done.out) >= least * 1024,
          "%s: MemTotal %r kB" % (size, done.out))
done = run("--mem", "32M", "--boot", "bios", "--", "true")
equal(done.status, 0, "32M by GRUB")
finish()
