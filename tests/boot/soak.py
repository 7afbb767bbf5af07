#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Boot many times, in mixed ways and sizes: no hang, no wrong exit. make soak N=200

Not part of make check. Two boots at a time; SEED repeats a run. Each boot does a little
work, checks its output and its exit status; the last line tells how many went wrong.
"""
import os
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from lib import start           # noqa: E402

SIZES = ["16M", "20M", "24M", "32M", "48M", "64M", "100M", "128M", "256M", "333M", "512M", "1G",
         "2G", "3G", "3500M", "4G"]
WORK = "echo $((%d * 3)); cat /bin/busybox | md5sum >/dev/null; %s; exit %d"
EXTRA = [":", "forkbench 1 >/dev/null", "(echo a | cat) >/dev/null", "sleep 0.1", "ls /proc >/dev/null"]


def boot(number, rng):
    way = rng.choice(["pvh"] * 6 + ["bios"] * 3 + ["uefi"])
    mem = rng.choice([s for s in SIZES if way != "uefi" or s[-1] == "G" or int(s[:-1]) >= 128])
    options = ["--boot", way, "--mem", mem]
    if rng.random() < 0.4:
        options += ["--icount"]
    # The firmware alone takes most of a minute when every instruction is counted.
    options += ["--timeout", "240" if way == "uefi" and "--icount" in options else "60"]
    if rng.random() < 0.3:
        options += ["--append", "debug_check=%d" % rng.randint(1, 2)]
    kind, status = rng.random(), rng.randint(0, 123)
    if kind < 0.8:
        command, wanted, output = WORK % (number, rng.choice(EXTRA), status), status, \
            b"%d\n" % (number * 3)
    elif kind < 0.9:
        command, wanted, output = "nosuch", 127, b""
    else:
        command, wanted, output = "echo c > /proc/sysrq-trigger; sleep 9", 125, b""
    begin = time.monotonic()
    with start(*options, "--", command) as process:
        out, err = process.communicate()
    good = process.returncode == wanted and out == output
    text = "%s %d: %s -- %s: status %d, %.1f s" % (
        "ok" if good else "not ok", number, " ".join(options), command, process.returncode,
        time.monotonic() - begin)
    return good, text, err


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    seed = int(os.environ.get("SEED") or time.time())
    print("# seed %d" % seed, flush=True)
    failed = 0
    with ThreadPoolExecutor(int(os.environ.get("JOBS") or 2)) as pool:
        for good, text, err in pool.map(
                lambda n: boot(n, random.Random(seed * 1000 + n)), range(1, count + 1)):
            print(text, flush=True)
            if not good:
                failed += 1
                print("# " + err.decode("utf-8", "replace")[-3000:].replace("\n", "\n# "))
    print("%d passed, %d failed" % (count - failed, failed))
    return 1 if failed else 0


sys.exit(main())
