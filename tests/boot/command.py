# SPDX-License-Identifier: MIT
"""A command's status, arguments, output and error output pass unchanged.
tests/run: limit=120"""
import hashlib
import os
from lib import run, equal, check, contains, finish, SCRATCH

equal(run("--", "true").status, 0, "true")
equal(run("--", "false").status, 1, "false")
for status in (77, 124, 255):
    equal(run("--", "exit %d" % status).status, status, "a shell line's exit")
equal(run("--", "sh", "-c", "kill -9 $$").status, 137, "killed by signal 9")
equal(run("--", "sh", "-c", "kill -TERM $$").status, 143, "killed by signal 15")

done = run("--", "echo a; echo b >&2; wc -c")
equal(done.out, b"a\n0\n", "a shell line; standard input is empty")
contains(done, "b", "standard error")
check("a" not in done.lines, "standard output is not in the log")

args = ["a b", "", "$HOME", "'\"\\", "two\nlines", "\xe9t\xe9 \u2713", "*", "-n"]
done = run("--", "sh", "-c", 'for a; do printf "<%s>" "$a"; done', "sh", *args)
equal(done.out.decode(), "".join("<%s>" % a for a in args), "arguments are taken as they are")

blob = bytes(range(256)) * 64 + os.urandom(1 << 20) + b"\r\n\r\r\n\0\x04\x11\x13\x1a"
path = os.path.join(SCRATCH, "blob")
with open(path, "wb") as f:
    f.write(blob)
done = run("--add", path, "--", "cat", "/bin/blob")
equal(hashlib.sha256(done.out).hexdigest(), hashlib.sha256(blob).hexdigest(),
      "a megabyte of binary output")
done = run("--add", "other=" + path, "--add", "/etc/deep/x=" + path, "--",
           "cmp /bin/other /etc/deep/x && test -x /bin/other")
equal(done.status, 0, "added under other names")

done = run("--", "echo early; sleep 30 & echo late")
equal((done.status, done.out), (0, b"early\nlate\n"), "what is left running is killed")
finish()
