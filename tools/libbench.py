# SPDX-License-Identifier: MIT
"""What tools/bench and tools/compare share: the rows, how they are measured, how shown.

A figure is guest instructions under --icount as /bin/bench prints them, `name=value`, with
`name_worst=value` after it where its rounds differ. All rows are run on one CPU, but
those of the group `threads`, on four.
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
BUILD = os.environ.get("QUIRE_BUILD") or os.path.join(ROOT, "build")
TARGETS = os.path.join(ROOT, "tests/bench.targets")
QUIRE, CANNOT_START = "Quire", 126
THREADS, THREAD_CPUS = "threads", 4      # the group, which is also how its rows begin
FIGURE = re.compile(r"([a-z]\w*)=([0-9.]+)$")


def start(main, name):
    """Run main(): Bad is one line and status 2; a signal ends what it has started, too."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        sys.exit(main())
    except Bad as e:
        print("tools/%s: %s" % (name, e), file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(141)


class Bad(Exception):
    """What is wrong with options or surroundings, in one line."""


class Row:
    """A line of tests/bench.targets."""

    def __init__(self, line):
        self.name, target, a, b, c, self.text = line.split(None, 5)
        self.text = self.text.strip()
        self.quick, target = not target.endswith("~"), target.rstrip("~")
        self.judged, target = target.endswith("*"), target.rstrip("*")
        self.target = None if target == "-" else float(target)
        self.linux = [a, b, c]

    def verdict(self, value):
        if value is None or self.target is None:
            return ""
        return "ok" if value <= self.target else "over" if self.judged else ""


def rows():
    """The rows of tests/bench.targets, in its order."""
    with open(TARGETS, encoding="utf-8") as f:
        return [Row(line) for line in f if line.strip() and not line.startswith("#")]


def figures(text):
    """{name: value} of `name=value` lines; other lines and skipped rows are left out."""
    found = (FIGURE.match(line.strip()) for line in text.splitlines())
    return {m[1]: float(m[2]) for m in found if m}


def short(value):
    """A figure for a person, or - for None."""
    if value is None:
        return "-"
    if value >= 10e6:
        return "%.1f M" % (value / 1e6)
    if value >= 1000:
        return "{:,.0f}".format(value).replace(",", " ")
    return "%.0f" % value if value >= 100 or value == int(value) else "%.1f" % value


def spread(found, name):
    """How much worse the worst round was; nothing below half a per cent."""
    best, worst = found.get(name), found.get(name + "_worst")
    if not best or worst is None or worst - best < max(1, best / 200):
        return ""
    return "+%.0f%%" % (100 * (worst - best) / best)


def table(heads, lines):
    """Print lines of cells in columns: the first to the left, the others to the right."""
    widths = [max(len(line[i]) for line in [heads] + lines) for i in range(len(heads))]
    for line in [heads] + lines:
        cells = [c.ljust(w) if i == 0 else c.rjust(w)
                 for i, (c, w) in enumerate(zip(line, widths))]
        print("  ".join(cells).rstrip())


def gnuplot(who, path, lines):
    """Have gnuplot draw to `path`; whether it did, and one line that says why not."""
    if not shutil.which("gnuplot"):
        print("tools/%s: no picture: there is no gnuplot (package gnuplot-nox)" % who, file=sys.stderr)
        return False
    script = "\n".join(["set output '%s'" % path.replace("'", "''"), *lines])
    done = subprocess.run(["gnuplot"], input=script.encode(), stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, check=False)
    if done.returncode:
        print("tools/%s: gnuplot: %s" % (who, " ".join(done.stderr.decode("utf-8", "replace").split())),
              file=sys.stderr)
    return done.returncode == 0


# Measuring --------------------------------------------------------------------

class Progress:
    """What is being measured, on standard error: one line that changes, where that is a terminal."""

    def __init__(self, who):
        self.who, self.begin, self.live = who, time.monotonic(), sys.stderr.isatty()
        self.show("booting")
        if not self.live:
            print("%s: measuring" % who, file=sys.stderr, flush=True)

    def show(self, what):
        if self.live:
            sys.stderr.write("\r\x1b[K%s: %s" % (self.who, what))
            sys.stderr.flush()

    def say(self, what):
        """A line that stays."""
        print("%s%s: %s" % ("\r\x1b[K" if self.live else "", self.who, what), file=sys.stderr, flush=True)

    def done(self, count):
        self.say("%d figures in %.0f s" % (count, time.monotonic() - self.begin))


def last_line(path):
    """What somebody said last in a log, the kernel's own lines left out."""
    with open(path, encoding="utf-8", errors="replace") as f:
        lines = [line.strip() for line in f if line.strip() and not line.startswith("[")]
    return lines[-1] if lines else "nothing said"


def one_boot(who, options, words, progress, may_fail=False):
    """Boot once, run bench with words; returns its figures, its rows as they come shown.

    may_fail: nothing is said here of a kernel that does not come up."""
    found, tail = {}, []
    command = [os.path.join(ROOT, "tools/run"), *options, "--", "bench", "-w", *words]
    path = os.path.join(BUILD, "bench-%s-%s.log" % (re.sub(r"[^\w.-]+", "_", who),
                                                   options[options.index("--smp") + 1]))
    with open(path, "wb") as log:
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=log) as process:
            try:
                for line in process.stdout:
                    text = line.decode("utf-8", "replace").strip()
                    tail = tail[-4:] + [text]
                    found.update(figures(text))
                    progress.show(text)
            except BaseException:
                process.terminate()
                raise
    if process.returncode == 2:
        raise Bad("%s: bench or tools/run refused its options: %s" % (who, last_line(path)))
    excused = may_fail and process.returncode == CANNOT_START and not found
    if (process.returncode or not found) and not excused:
        print("%s: bench ended with status %d after %s: %s (the log is %s)"
              % (who, process.returncode, tail[-1] if tail else "nothing", last_line(path), path),
              file=sys.stderr)
    return found, process.returncode


def measure(who, options, words=(), flags=()):
    """All figures of one kernel; whether all went well; what there is to say of rows that are missing, or "".

    options: how tools/run boots it; flags: for bench; words: rows or groups, none for all.
    """
    threads = [w for w in words if w.startswith(THREADS)]
    others = [w for w in words if not w.startswith(THREADS)]
    progress, found, good, missing = Progress(who), {}, True, ""
    for cpus, some in ((1, others), (THREAD_CPUS, threads if words else [THREADS])):
        if some or (cpus == 1 and not words):
            excused = cpus > 1 and who != QUIRE
            here, status = one_boot(who, ["--icount", "--smp", str(cpus), *options],
                                    [*flags, *some], progress, excused)
            found.update(here)
            if status == CANNOT_START and excused and not here:
                missing = "does not come up on %d CPUs when instructions are counted" % cpus
                progress.say(missing)
            else:
                good &= not status and bool(here)
    progress.done(sum(1 for name in found if not name.endswith("_worst")))
    return found, good, missing


def known(words):
    """Refuse words that are no row and no group of bench, before anything is booted."""
    names = {row.name for row in rows()}
    groups = ("memory", "around", "fork", "reclaim", THREADS, "scaling", "keeping")
    for word in words:
        if word not in names and word not in groups:
            raise Bad("no row or group %s; groups are %s, rows are in tests/bench.targets"
                      % (word, " ".join(groups)))
