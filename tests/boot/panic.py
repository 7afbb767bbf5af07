# SPDX-License-Identifier: MIT
"""A panic reports itself in full, with names, and tools/run exits with 125."""
import re
from lib import run, equal, check, finish

for way in ("pvh", "bios"):
    done = run("--boot", way, "--", "echo before; echo c > /proc/sysrq-trigger; echo after")
    equal(done.status, 125, way)
    equal(done.out, b"before\n", way + ": standard output")
    text = done.log
    for name in ("rip", "rsp", "rax", "cr2", "cr3"):
        check(re.search(r"\b%s\b" % name, text, re.IGNORECASE), "%s: %s is shown" % (way, name))
    check(re.search(r"panic", text, re.IGNORECASE), way + ": the word panic")
    names = re.findall(r"[a-z_][a-z0-9_.]*\+0x[0-9a-f]+", text)
    check(len(names) >= 3, "%s: a backtrace with names: %r" % (way, names))
finish()
