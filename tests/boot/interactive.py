# SPDX-License-Identifier: MIT
"""The console as a person meets it: a pty, ^C, ^Z, ^D, window size, a script piped in.
tests/run: limit=150"""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from lib import RUN, run, equal, check, finish


class Console:
    """tools/run on a terminal of its own."""

    def __init__(self, *options, rows=31, columns=97):
        print("$ tools/run " + " ".join(options), flush=True)
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execv(RUN, [RUN, "--timeout", "100", *options])
        self.raw, self.text, self.seen, self.answers = b"", "", 0, 0

    def more(self, wait):
        if not select.select([self.fd], [], [], wait)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.raw += data
        text = self.raw.decode("utf-8", "replace").replace("\r", "")
        self.text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
        while self.answers < self.raw.count(b"\x1b[6n"):     # where is the cursor?
            self.answers += 1
            os.write(self.fd, b"\x1b[1;1R")
        return bool(data)

    def expect(self, pattern, limit=20):
        """Wait until pattern follows what was expected last."""
        end = time.monotonic() + limit
        while True:
            match = re.compile(pattern).search(self.text, self.seen)
            if match:
                self.seen = match.end()
                return match
            left = end - time.monotonic()
            if left <= 0 or not self.more(left):
                check(False, "nothing like %r came after %r" % (pattern, self.text[self.seen:]))
                return None

    def send(self, text):
        os.write(self.fd, text.encode())

    def prompt(self):
        match = self.expect(r"[#$] $")
        # The shell asks for the cursor behind its prompt: the answer must not come to the next program.
        while match and not self.raw.endswith(b"\x1b[6n") and self.more(1):
            pass
        return match

    def status(self, limit=20):
        end = time.monotonic() + limit
        while time.monotonic() < end:
            self.more(0.1)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                print(self.text, flush=True)
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, signal.SIGTERM)
        check(False, "it does not end")
        os.waitpid(self.pid, 0)
        return None


con = Console()
if not con.prompt():
    con.status(1)
    finish()
con.send("echo $((6*7))\r")
con.expect(r"\n42\n")
con.prompt()
con.send("stty size\r")
con.expect(r"31 97")
con.prompt()

con.send("sleep 100; echo st=$?\r")
time.sleep(1)
con.send("\x03")
con.expect(r"st=130|[#$] $")
con.send("\r")
con.prompt()
con.send("cat\r")
time.sleep(0.5)
con.send("some words\r")
con.expect(r"some words\nsome words")
con.send("\x04")
con.prompt()
con.send("cat\rtyped ahead\r")                  # before cat has the terminal
con.expect(r"\ntyped ahead\n")
con.send("\x04")
con.prompt()

con.send("sleep 100\r")
time.sleep(1)
con.send("\x1a")
con.expect(r"Stopped")
con.prompt()
con.send("jobs\r")
con.expect(r"\[1\].*Stopped.*sleep 100")
con.prompt()
con.send("bg\r")
con.prompt()
con.send("jobs; kill %1; wait; echo gone\r")
con.expect(r"\ngone")
con.prompt()

con.send("echo abX\x7fc\r")                      # backspace
con.expect(r"\nabc\n")
con.prompt()
con.send("\x1b[A\r")                             # the history's last line again
con.expect(r"\nabc\n")
con.prompt()
con.send("a=`yes | head -c 70000`; echo ${#a}\r")    # pipes
con.expect(r"\n\d{5}\n")
con.prompt()
con.send("while :; do :; done\r")
time.sleep(1)
con.send("\x10")                                 # ^P: tasks, from the interrupt
con.expect(r"(?i)pid|task|free")
con.send("\x03")
con.send("\r")
con.prompt()
con.send("exit 4\r")
equal(con.status(), 4, "status of the shell")

con = Console()
con.prompt()
con.send("\x01x")                                # ^A x leaves QEMU
equal(con.status(), 0, "status after ^A x")

con = Console()
con.prompt()
os.kill(con.pid, signal.SIGTERM)
equal(con.status(), 143, "status after SIGTERM")

con = Console()
con.prompt()
con.send("poweroff\r")
equal(con.status(), 0, "status after poweroff")

done = run(input=b"echo one\necho two | tr a-z A-Z\nexit 6\n", limit=30)
equal(done.status, 6, "a script piped in")
check(b"\none" in done.out and b"TWO" in done.out, "its output")
done = run(input=b"echo end\n", limit=30)
equal(done.status, 0, "a script that just ends")
finish()
