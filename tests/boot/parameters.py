# SPDX-License-Identifier: MIT
"""Unknown and wrong parameters, at boot and by sysctl: one line each, the old value goes on."""
from lib import run, check, equal, finish


def said(done, word):
    return [line for line in done.lines if word in line]


SHOW = "cat /proc/sys/vm/debug_check /proc/sys/vm/fault_around_bytes"
plain = run("--", SHOW)
equal(plain.status, 0, "no parameter")
for word in ("nosuchthing=1", "nosuchword", "=", "debug_check=9", "debug_check=-1", "debug_check=",
             "debug_check=x", "fault_around_bytes=1", "fault_around_bytes=99999999999999999999",
             "fork_share=some"):
    done = run("--append", word, "--", SHOW)
    equal(done.status, 0, word)
    equal(done.out, plain.out, word + ": the defaults hold")
    name = word.split("=")[0]
    if name:
        new = [line for line in said(done, name) if line not in said(plain, name)]
        # the echo of the command line itself is not the complaint
        new = [line for line in new if "command line" not in line]
        equal(len(new), 1, word + ": lines about it")
done = run("--append", "debug_check=1 fault_around_bytes=5000", "--",
           SHOW)
equal(done.out, b"1\n4096\n", "good values are taken, rounded down to a power of two")
done = run("--append", "x" * 3000, "--", "true")
equal(done.status, 0, "a very long word")

done = run("--", "sh", "-c", "sysctl fork_share=leaf && sysctl fork_share; sysctl fault_around_bytes=3")
check(done.status not in (0, 124, 125, 126, 127), "sysctl: a refused value is a failure")
equal(done.out, b"fork_share = leaf\nfork_share = leaf\n", "sysctl")
equal(len(said(done, "4096..2097152")), 1, "sysctl: lines with the range")
finish()
