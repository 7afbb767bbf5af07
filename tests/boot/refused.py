# SPDX-License-Identifier: MIT
"""Every program of /bin says in one line what is wrong with its words, and exits with 2; -h helps.
tests/run: limit=120"""
import os
from lib import ROOT, SCRATCH, run, check, finish

PROGRAMS = sorted(name[:-2] for name in os.listdir(os.path.join(ROOT, "user"))
                  if name.endswith(".c") and name not in ("init.c", "help.c"))
WORDS = {"perf": ["x", "stat", "stat -q", "stat -o"], "ptdump": ["x", "1 2 3"],
         "ptwalk": ["x", "1 2 3"], "sysctl": ["-q"], "bench": ["x", "-r", "-r 0"],
         "vmstat": ["x", "1 1 1", "-q"]}
script = os.path.join(SCRATCH, "refuse.sh")
with open(script, "w", encoding="utf-8") as f:
    for program in PROGRAMS:
        for words in WORDS.get(program, ["x y z", "-q", "--nonsense", "-j x y z"]):
            f.write("%s %s >/tmp/out 2>/tmp/err\n" % (program, words))
            f.write("echo \"$?|$(wc -c </tmp/out)|$(wc -l </tmp/err)|%s|%s|$(head -n 1 /tmp/err)\"\n"
                    % (program, words))
        f.write("%s -h >/tmp/out 2>/tmp/err\n" % program)
        f.write("echo \"$?|$(wc -c </tmp/err)|1|%s|-h|%s: $(head -n 1 /tmp/out)\"\n"
                % (program, program))
lines = run("--add", script, "--", ". /bin/refuse.sh", limit=100).out.decode().splitlines()
print("\n".join(lines))
check(len(lines) > 4 * len(PROGRAMS), "%d answers" % len(lines))
for line in lines:
    status, other, count, program, words, text = line.split("|", 5)
    what = "%s %s" % (program, words)
    check(status == ("0" if words == "-h" else "2"), what + ": status " + status)
    check((other, count) == ("0", "1"), what + ": one line, on one stream")
    check(text.startswith(program + ": "), what + ": says who")
    check(words != "-h" or "usage: " + program in text, what + ": helps")
finish()
