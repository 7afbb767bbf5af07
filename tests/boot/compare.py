# SPDX-License-Identifier: MIT
"""tools/compare, bench and profile: what is refused, how tables look. No Linux is booted.
tests/run: limit=120"""
import json
import os
import subprocess
from lib import ROOT, SCRATCH, check, equal, finish


def tool(name, *options, limit=100, env=None):
    """(status, output, error output) of one of our tools."""
    print("$ tools/%s %s" % (name, " ".join(options)), flush=True)
    done = subprocess.run([os.path.join(ROOT, "tools", name), *options], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=limit,
                          env=dict(os.environ, **(env or {})))
    out, err = (text.decode("utf-8", "replace") for text in (done.stdout, done.stderr))
    print(out + err + "# status %d" % done.returncode, flush=True)
    return done.returncode, out, err


def refused(name, *options, says):
    """One clear line on standard error that has `says`, status 2."""
    status, out, err = tool(name, *options)
    equal((status, out), (2, ""), "%s %s" % (name, " ".join(options)))
    check(err.startswith("tools/%s: " % name) and err.count("\n") == 1 and says in err,
          "one line that says %r" % says)


def scratch(name, text):
    path = os.path.join(SCRATCH, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


for one in ("compare", "bench", "profile", "threads", "window-curve", "reclaim-curve"):
    refused(one, "--nonsense", says="--nonsense")
    status, out, _ = tool(one, "--help")
    check(status == 0 and "usage: tools/" + one in out, one + " --help")

refused("compare", "nosuchrow", says="nosuchrow")
refused("compare", "--linux", says="needs a value")
refused("compare", "--linux", "/no/such/vmlinuz", says="no such file")
refused("compare", "--linux", "bash", says="neither")
refused("compare", "--linux", "linux-image-amd64/a b", says="neither")
refused("compare", "--linux", scratch("kernel", "not a kernel"), says="not a Linux kernel")
refused("compare", "--rounds", "0", says="--rounds 0")
refused("compare", "--csv", "--json", says="one of them")
refused("compare", "--from", "/no/such/file", says="No such file")
refused("compare", "--from", scratch("bad.json", "{}"), says="bad.json")
refused("bench", "nosuchrow", says="nosuchrow")
refused("bench", "--update", "null_syscall", says="--update")
refused("bench", "--quick", "null_syscall", says="--quick")
refused("bench", "--mem", says="needs a value")
for one in ("window-curve", "reclaim-curve"):
    refused(one, "extra", says="extra")
    refused(one, "--append", says="needs a value")
    refused(one, "--picture", "/no/such/folder/x.svg", says="no such folder")
refused("threads", "--smp", says="needs a value")
refused("threads", "multi-fault", "x", says="x: not a number of threads")
refused("lines", "--nonsense", says="--nonsense")
refused("profile", says="no command")
refused("profile", "--per", "2", "true", says="{}")
refused("profile", "--top", "-1", "true", says="--top -1")
refused("profile", "--user", "/no/such", "true", says="/no/such")

# A table made of figures: the cheapest Linux counts, a row that one lacks has no ratio.
saved = scratch("saved.json", json.dumps({"kernels": [
    {"name": "Linux A", "version": "a", "figures": {
        "null_syscall": 450.0, "null_syscall_worst": 540.0, "fork_1g": 32.9e6, "extra": 7.0}},
    {"name": "Linux B", "version": "b", "figures": {"null_syscall": 360.0}, "missing": "does not come up"},
    {"name": "Linux C", "version": "c", "figures": {}},
    {"name": "Quire", "version": "", "figures": {
        "null_syscall": 90.0, "fork_1g": 8000.0, "munmap_page": 120.5}}]}))
status, out, _ = tool("compare", "--from", saved)
rows = [line.split() for line in out.splitlines()]
equal(status, 0, "a table")
equal(rows[1], "null system call 450 +20% 360 - 90 4.0 90 ok".split(), "a row with spread")
check("fork(), 1 GiB populated 32.9 M - - 8 000 4 112 8 160 ok".split() in rows, "a missing figure")
check("munmap of populated memory, page - - - 120 100 over".split() in rows, "no ratio")
check("extra 7 - - -".split() in rows, "a figure that has no row")
check("Linux B: does not come up (-)" in out.splitlines(), "why a kernel has no figures")
status, out, _ = tool("compare", "--from", saved, "--csv")
lines = out.splitlines()
equal(lines[0], "row,Linux A,Linux A worst,Linux B,Linux B worst,Linux C,Linux C worst,Quire,Quire worst,ratio,target",
      "heads of CSV")
equal(lines[1], "null_syscall,450,540,360,360,,,90,90,4,90", "a row of CSV")
check("munmap_page,,,,,,,120.5,120.5,,100" in lines, "empty cells")
status, out, _ = tool("compare", "--from", saved, "--json")
equal(json.loads(out), json.load(open(saved, encoding="utf-8")), "JSON")

# The profile names functions, and the difference of two runs is that of their rounds.
status, out, _ = tool("profile", "--per", "1", "--ops", "10000", "--csv", "--",
                      "bench", "-r", "{}", "null_syscall")
counts = {line.split(",")[2]: float(line.split(",")[0]) for line in out.splitlines()[1:]}
equal(status, 0, "a profile")
check(20 < counts.get("entry_syscall", 0) < 100, "the entry of system calls")
check(60 < sum(counts.values()) < 130, "a null system call and its loop, %g" % sum(counts.values()))
finish()
