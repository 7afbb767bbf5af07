# SPDX-License-Identifier: MIT
"""What the boot tests share: running tools/run, checking, skipping."""
import os
import subprocess
import sys

ROOT = os.environ.get("ROOT") or os.path.dirname(os.path.dirname(
    os.path.dirname(os.path.realpath(__file__))))
BUILD = os.environ.get("QUIRE_BUILD") or os.path.join(ROOT, "build")
SCRATCH = os.environ.get("SCRATCH") or "/tmp"
RUN = os.path.join(ROOT, "tools/run")
_failures = []


class Done:
    """One finished tools/run: .status, .out and .err (bytes), .log (text of .err)."""

    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err
        self.log = err.decode("utf-8", "replace")
        self.lines = self.log.splitlines()


def start(*options, **more):
    """tools/run with pipes, not waited for."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([RUN, *options], **{**pipes, **more})


def run(*options, input=None, limit=60, env=None):
    """tools/run with options, to its end; its log is shown in ours."""
    if "--timeout" not in options and "--help" not in options:
        options = ("--timeout", str(limit), *options)
    print("$ tools/run " + " ".join(map(repr, options)), flush=True)
    with start(*options, stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
               env={**os.environ, **(env or {})}) as process:
        try:
            out, err = process.communicate(input, timeout=limit + 30)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            check(False, "tools/run hangs")
    done = Done(process.returncode, out, err)
    print(done.log + "# status %d, %d bytes: %r" % (done.status, len(out), out[:2000]), flush=True)
    return done


def check(condition, what):
    """Note a failure and go on; finish() decides."""
    if not condition:
        print("FAILED: " + what, flush=True)
        _failures.append(what)
    return condition


def equal(got, wanted, what):
    return check(got == wanted, "%s: %r, not %r" % (what, got, wanted))


def contains(done, text, what=""):
    """Some line of the log has text."""
    return check(any(text in line for line in done.lines),
                 "%s: no line with %r" % (what or "log", text))


def compile(source, name, *flags, static=True, cc=None):
    """Build a program, of musl unless CC says, from source text; returns its path."""
    path = os.path.join(SCRATCH, name)
    with open(path + ".c", "w") as f:
        f.write(source)
    subprocess.run([cc or os.environ.get("USERCC") or "musl-gcc", "-O1", "-pthread",
                    *(["-static"] if static else []), *flags, "-o", path, path + ".c"], check=True)
    return path


def mke2fs(tree, name, size, *options):
    """An ext2 image of SIZE that holds the files under TREE; returns its path."""
    path = os.path.join(SCRATCH, name + ".ext2")
    env = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
    if os.path.exists(path):
        os.unlink(path)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext2", "-d", tree, *options, path, size], env=env, check=True)
    return path


def skip(why):
    print(why)
    sys.exit(77)


def finish():
    print("%d failures" % len(_failures))
    sys.exit(1 if _failures else 0)
