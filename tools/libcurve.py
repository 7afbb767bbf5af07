# SPDX-License-Identifier: MIT
"""What tools/reclaim-curve and tools/window-curve share: their options, a run under --icount, the drawing."""
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
WHO = os.path.basename(sys.argv[0])


def counted(append, timeout, *words):
    """What the words print in Quire, run with tunables, where instructions are time."""
    command = [os.path.join(ROOT, "tools/run"), "--icount", "--mem", "512M", "--timeout", str(timeout)]
    if append:
        command += ["--append", append]
    done = subprocess.run(command + ["--", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        sys.exit("%s: %s ended with status %d" % (WHO, words[0].split()[0], done.returncode))
    return done.stdout.decode()


def draw(path, lines):
    """Two or three plots side by side, as gnuplot's words."""
    lines = ["set terminal svg size 900,360", "set output '%s'" % path, "set logscale xy"] + lines
    if shutil.which("gnuplot"):
        subprocess.run(["gnuplot"], input="\n".join(lines).encode(), check=True)
    else:
        print("%s: there is no gnuplot to draw %s" % (WHO, path), file=sys.stderr)


def main(doc, measure, table, picture):
    """measure(append) gives what table() prints and picture(_, path) draws."""
    argv, given = sys.argv[1:], {"--picture": None, "--append": None}
    while argv:
        word = argv.pop(0)
        if word not in given or not argv:
            print(doc.split("\n\n", 1)[1].rstrip())
            sys.exit(0 if word in ("-h", "--help") else 2)
        given[word] = argv.pop(0)
    found = measure(given["--append"])
    table(found)
    if given["--picture"]:
        picture(found, given["--picture"])
