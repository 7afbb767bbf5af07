# SPDX-License-Identifier: MIT
"""The three ways to boot give the same output and exit statuses.
tests/run: variants=pvh,bios,uefi limit=120"""
import sys
from lib import run, equal, check, finish

way = sys.argv[1]
done = run("--boot", way, "--", "sh", "-c", "echo hello | cat; exit 3")
equal(done.status, 3, "status")
equal(done.out, b"hello\n", "standard output")
check(done.lines, "a boot log")

done = run("--boot", way, "--", "nosuch")
equal(done.status, 127, "status of a command that does not exist")
equal(done.out, b"", "standard output")

done = run("--boot", way, "--timeout", "3", "--", "sleep", "60")
equal(done.status, 124, "status of a time-out")
equal(done.out, b"", "standard output")

done = run("--boot", way, "--append", "fault_around_bytes=4096 debug_check=1", "--",
           "cat /proc/sys/vm/fault_around_bytes /proc/sys/vm/debug_check")
equal(done.status, 0, "status with tunables")
equal(done.out, b"4096\n1\n", "the tunables have arrived")
finish()
