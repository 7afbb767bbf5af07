# SPDX-License-Identifier: MIT
"""A missing or corrupt first file system: one line that says so, exit status 126, no hang."""
import os
import sys
from lib import run, equal, check, finish, BUILD, ROOT, SCRATCH

sys.path.insert(0, os.path.join(ROOT, "tools"))
import libcpio      # noqa: E402

with open(os.path.join(BUILD, "initrd.cpio"), "rb") as f:
    good = f.read()


def attempt(what, data):
    """Boot with data (None: no module) as the first file system; it must be refused."""
    path = "none"
    if data is not None:
        path = os.path.join(SCRATCH, "initrd")
        with open(path, "wb") as f:
            f.write(data)
    done = run("--initrd", path, input=b"", limit=20)
    equal(done.status, 126, what)
    check("the kernel could not start" in done.log, what + ": the reason is given")
    check(b"PANIC" not in done.out.upper(), what + ": no panic")


def lie(at, text):
    """The archive with text put over the header fields at that offset."""
    return good[:at] + text + good[at + len(text):]


attempt("no module", None)
attempt("an empty module", b"")
attempt("zeroes", bytes(4096))
attempt("noise", os.urandom(1 << 16))
attempt("an archive cut in a file", good[:1 << 20])
attempt("an archive cut in a header", good[:50])
attempt("a lying name length", lie(94, b"FFFFFFF0"))
attempt("a lying file size", lie(54, b"FFFFFFF0"))
attempt("not a number", lie(54, b"0000G000"))
empty = libcpio.Archive()
empty.directory("bin")
attempt("no /sbin/init", empty.bytes())
bad = libcpio.Archive()
bad.file("sbin/init", b"not a program", 0o755)
attempt("an init that is no program", bad.bytes())
done = run("--append", "init=/nosuch", "--", "true")
equal(done.status, 126, "init=/nosuch")
finish()
