# SPDX-License-Identifier: MIT
"""tools/run leaves nothing behind: signals, closed pipes, slow readers, a QEMU that hangs.
tests/run: limit=120"""
import os
import signal
import subprocess
import time
from lib import RUN, run, start, equal, check, finish, SCRATCH


def children(pid):
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % name) as f:
                parent = f.read().rsplit(")", 1)[1].split()[1]
        except OSError:
            continue
        found += [int(name)] if int(parent) == pid else []
    return found


def gone(pids, limit=5):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if not any(os.path.exists("/proc/%d" % pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


for way in ("pvh", "bios"):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL):
        process = start("--boot", way, "--", "echo up; sleep 60")
        process.stdout.readline()
        machine = children(process.pid)
        check(machine, "there is a QEMU")
        process.send_signal(number)
        process.communicate(timeout=20)
        wanted = -number if number == signal.SIGKILL else 128 + number
        equal(process.returncode, wanted, "status after signal %d" % number)
        check(gone(machine), "QEMU is gone after signal %d" % number)
        left = [n for n in os.listdir(SCRATCH) if n.startswith("quire-run.")]
        if number != signal.SIGKILL:
            check(not left, "temporary files: %r" % left)
        for name in left:
            subprocess.run(["rm", "-rf", os.path.join(SCRATCH, name)])

line = "'%s' --timeout 40 -- yes | head -n 1; echo ${PIPESTATUS[0]}" % RUN
out = subprocess.run(["bash", "-c", line], stdout=subprocess.PIPE, timeout=60).stdout
equal(out, b"y\n141\n", "a reader that leaves")

line = "'%s' --timeout 40 -- 'head -c 300000 /dev/zero' | (sleep 3; wc -c)" % RUN
out = subprocess.run(["bash", "-c", line], stdout=subprocess.PIPE, timeout=60).stdout
equal(out.strip(), b"300000", "a slow reader misses nothing")

begin = time.monotonic()
line = "('%s' --timeout 3 -- yes; echo $? >&2) | sleep 6" % RUN
err = subprocess.run(["bash", "-c", line], stderr=subprocess.PIPE, timeout=60).stderr
check(b"\n124\n" in err, "a time-out although nobody reads: %r" % err[-100:])
check(time.monotonic() - begin < 12, "and in time")

fake = os.path.join(SCRATCH, "qemu")
with open(fake, "w") as f:
    f.write("#!/bin/sh\ntrap '' TERM INT\nsleep 60\n")
os.chmod(fake, 0o755)
equal(run("--timeout", "2", "--", "true", env={"QEMU": fake}).status, 124, "a QEMU that hangs")
equal(run("--", "exit 9", env={"QEMUEXTRA": "-name other"}).status, 9, "QEMUEXTRA")
equal(run("--qemu-extra", "-name more", "--", "exit 8").status, 8, "--qemu-extra")
done = run("--", "grep -c ^processor /proc/cpuinfo; awk '/MemTotal/{print $2}' /proc/meminfo",
           env={"CPUS": "1", "MEM": "64M"})
equal(done.status, 0, "CPUS and MEM")
check(int((done.out.split() or [b"0", b"0"])[-1]) < 65536, "MEM=64M: %r" % done.out)
finish()
