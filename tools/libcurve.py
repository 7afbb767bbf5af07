# SPDX-License-Identifier: MIT
"""What tools/reclaim-curve and tools/window-curve share: their options, a run under --icount, the drawing."""
import os
import subprocess
import sys

from libbench import ROOT, Bad, gnuplot, start

WHO = os.path.basename(sys.argv[0])


def counted(append, timeout, *words):
    """What the words print in Quire, run with tunables, where instructions are time."""
    command = [os.path.join(ROOT, "tools/run"), "--icount", "--mem", "512M", "--timeout", str(timeout)]
    if append:
        command += ["--append", append]
    done = subprocess.run(command + ["--", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        print("tools/%s: tools/run ended with status %d" % (WHO, done.returncode), file=sys.stderr)
        sys.exit(done.returncode)
    return done.stdout.decode()


def draw(path, lines):
    """Two or three plots side by side, as gnuplot's words."""
    if not gnuplot(WHO, path, ["set terminal svg size 900,360", "set logscale xy"] + lines):
        sys.exit(1)


def parse(doc):
    argv, given = sys.argv[1:], {"--picture": None, "--append": None}
    while argv:
        word = argv.pop(0)
        if word in ("-h", "--help"):
            print(doc.split("\n\n", 1)[1].rstrip())
            sys.exit(0)
        if word not in given:
            raise Bad("%s %s (see tools/%s --help)"
                      % ("unknown option" if word.startswith("-") else "unexpected argument", word, WHO))
        if not argv:
            raise Bad("%s needs a value" % word)
        given[word] = argv.pop(0)
    return given["--append"], given["--picture"]


def main(doc, measure, table, picture):
    """measure(append) gives what table() prints and picture(_, path) draws."""
    def work():
        append, path = parse(doc)
        if path and not os.path.isdir(os.path.dirname(path) or "."):
            raise Bad("--picture %s: no such folder" % path)
        found = measure(append)
        table(found)
        if path:
            picture(found, path)
    start(work, WHO)
