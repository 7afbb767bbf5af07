# SPDX-License-Identifier: MIT
"""One QEMU machine for one run of the kernel: its options, its streams, its verdict.

COM1 is the console, COM2 the standard output of a command, port 0xe9 the verdict
(`exit N`, `panic`, `boot-failed TEXT`), port 0xf4 the way out. Every stream is a
pipe read here, every file the machine reads is an anonymous memory file, so that
nothing is left behind however this process ends; QEMU is told to die with it.
"""
import ctypes
import os
import selectors
import shlex
import signal
import subprocess
import threading
import time

BOOT_SILENCE = 120      # seconds without one byte of the kernel: it will not start
LEAVE_GRACE = 10        # seconds from the verdict, or the last byte, to QEMU's end
TIMEOUT, PANIC, CANNOT_START = 124, 125, 126
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class Cannot(Exception):
    """The machine cannot be started: the one line to print before exit 126."""


class TimeOut(Exception):
    pass


def comma(path):
    """A path inside a QEMU option list."""
    return path.replace(",", ",,")


def disk_format(path):
    """The format of a disk image; blkdebug:RULES:FILE is raw to QEMU whatever FILE is."""
    try:
        with open(path, "rb") as f:
            return "qcow2" if f.read(4) == b"QFI\xfb" else "raw"
    except OSError:
        return "raw"


def memory_file(name, data=b""):
    """An anonymous file with data; returns its descriptor, read as /dev/fd/N."""
    fd = os.memfd_create(name)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]
    return fd


def put(fd, data, deadline=None):
    """Write all of data in pieces that cannot block past deadline (TimeOut)."""
    view, ready = memoryview(data), selectors.DefaultSelector()
    try:
        ready.register(fd, selectors.EVENT_WRITE)
    except PermissionError:         # a regular file is always ready
        ready = None
    while view:
        if ready:
            left = None if deadline is None else max(0, deadline - time.monotonic())
            if not ready.select(left):
                raise TimeOut
        view = view[os.write(fd, view[:4096]):]
    if ready:
        ready.close()


class Stream:
    """What one serial port says; before `mark`, when there is one, it is not the kernel's."""

    def __init__(self, mark=b"", text=False):
        self.mark, self.text = mark, text
        self.before = b""           # read so far while the mark is still to come
        self.spoke, self.tail = False, b""
        self.held = b""             # a carriage return that may belong to a newline

    def feed(self, data):
        """The bytes to pass on for data just read."""
        if self.mark:
            self.before = (self.before + data)[-1 << 20:]
            at = self.before.find(self.mark)
            if at < 0:
                return b""
            data, self.mark = self.before[at + len(self.mark):], b""
        if data:
            self.spoke, self.tail = True, (self.tail + data)[-4096:]
        if self.text:
            data = self.held + data
            self.held = b"\r" if data.endswith(b"\r") else b""
            data = data[:len(data) - len(self.held)].replace(b"\r\n", b"\n")
        return data


class Machine:
    """Set up the fields, call run(); the result is the exit status of tools/run."""

    def __init__(self):
        self.qemu = "qemu-system-x86_64"
        self.smp, self.mem, self.icount, self.accel = 1, "1G", False, "tcg"
        self.disks, self.extra, self.gdb_port = [], [], None
        self.boot = []              # QEMU options for kernel, initrd, command line
        self.files = []             # descriptors that QEMU inherits
        self.mark = b""             # ends what firmware says on the serial ports
        self.command = False        # a command: COM2 goes to standard output
        self.terminal = False       # interactive, standard input is a terminal
        self.timeout = None
        self.process = None
        self.say = lambda text: None
        self.reset_log = None
        self.heard = threading.Event()
        self.greeting = b""         # what the kernel says first, where firmware talks too

    def attach(self, data, name):
        """Give QEMU data as a file; returns the path for its options."""
        fd = memory_file(name, data)
        self.files.append(fd)
        return "/dev/fd/%d" % fd

    def _pipe(self):
        ours, theirs = os.pipe()
        self.files.append(theirs)
        return ours, "/dev/fd/%d" % theirs

    def arguments(self, console, output, verdict):
        cpu = "max"
        if self.icount:
            cpu += ",-erms,-fsrm,-rdrand,-rdseed"
        args = [self.qemu, "-name", "quire", "-no-user-config", "-nodefaults",
                "-M", "pc", "-accel", self.accel, "-cpu", cpu,
                "-m", self.mem, "-smp", str(self.smp), "-display", "none", "-vga", "none",
                "-no-reboot",
                "-chardev", "file,id=verdict,path=" + verdict,
                "-device", "isa-debugcon,iobase=0xe9,chardev=verdict",
                "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
        if self.icount:
            args += ["-icount", "shift=0,sleep=off", "-rtc", "base=2026-01-01,clock=vm"]
        if console:
            args += ["-chardev", "file,id=com1,path=" + console, "-serial", "chardev:com1"]
        elif self.terminal:
            args += ["-chardev", "stdio,id=com1,mux=on,signal=off",
                     "-serial", "chardev:com1", "-mon", "chardev=com1"]
        else:
            args += ["-chardev", "stdio,id=com1,signal=off", "-serial", "chardev:com1"]
        if output:
            args += ["-chardev", "file,id=com2,path=" + output, "-serial", "chardev:com2"]
        else:
            args += ["-serial", "null"]
        for n, path in enumerate(self.disks):
            args += ["-drive", "if=none,id=disk%d,readonly=on,format=%s,file=%s"
                     % (n, disk_format(path), comma(path)),
                     "-device", "virtio-blk-pci,drive=disk%d" % n]
        if self.gdb_port:
            args += ["-gdb", "tcp::%s" % self.gdb_port, "-S"]
        if self.reset_log is not None:
            args += ["-d", "cpu_reset", "-D", "/dev/fd/%d" % self.reset_log]
        return args + self.boot + self.extra

    def run(self):
        self.reset_log = memory_file("resets")
        self.files.append(self.reset_log)
        verdict_fd, verdict_path = self._pipe()
        output_fd = output_path = console_fd = console_path = None
        if self.command:
            output_fd, output_path = self._pipe()
            console_fd, console_path = self._pipe()
        piped = not self.command and not self.terminal
        parent = os.getpid()

        def die_with_us():
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(CANNOT_START)
        args = self.arguments(console_path, output_path, verdict_path)
        if os.environ.get("QUIRE_SHOW_QEMU"):
            self.say(shlex.join(args))
        through = subprocess.PIPE if piped else None if self.terminal else subprocess.DEVNULL
        try:
            self.process = subprocess.Popen(
                args, stdin=through, stdout=through, stderr=subprocess.PIPE, bufsize=0,
                pass_fds=self.files, preexec_fn=die_with_us,
                start_new_session=not self.terminal)
        except OSError as e:
            raise Cannot("cannot run %s: %s (see make doctor)" % (self.qemu, e.strerror)) from None
        for fd in self.files:
            if fd != self.reset_log:
                os.close(fd)
        if piped:
            console_fd = self.process.stdout.fileno()
            threading.Thread(target=feed, args=(self.process.stdin, self.heard),
                             daemon=True).start()
        return self._watch(verdict_fd, console_fd, output_fd)

    def _watch(self, verdict_fd, console_fd, output_fd):
        """Pass the streams on until QEMU has closed them all; decide the exit status."""
        console, output = Stream(self.mark, text=self.command), Stream(self.mark)
        error_fd = self.process.stderr.fileno()
        verdict, begin = b"", time.monotonic()
        deadline = begin + self.timeout if self.timeout else None
        last = begin
        selector = selectors.DefaultSelector()
        for fd in (verdict_fd, console_fd, output_fd, error_fd):
            if fd is not None:
                selector.register(fd, selectors.EVENT_READ)

        def limit():
            """When to stop waiting for a byte, and why."""
            limits = [(deadline, "time-out")] if deadline else []
            if verdict.endswith(b"\n"):
                limits.append((last + LEAVE_GRACE, "left"))
            elif console_fd is not None and not console.spoke and not self.gdb_port:
                limits.append((begin + BOOT_SILENCE, "silence"))
            return min(limits, default=(None, ""))

        try:
            while selector.get_map():
                when, why = limit()
                ready = selector.select(max(0, when - time.monotonic()) if when else None)
                if when and time.monotonic() >= when and (not ready or why == "time-out"):
                    if why == "time-out":
                        raise TimeOut
                    if why == "silence":
                        self.say("not one byte from the kernel in %d s" % BOOT_SILENCE)
                    break
                for key, _ in ready:
                    fd = key.fd
                    data = os.read(fd, 65536)
                    last = time.monotonic()
                    if not data:
                        selector.unregister(fd)
                    elif fd == verdict_fd:
                        verdict += data
                    elif fd == output_fd:
                        put(1, output.feed(data), deadline)
                    elif fd == console_fd:
                        self._console(console.feed(data), deadline)
                        if console.spoke and self.greeting in console.tail:
                            self.heard.set()
                    else:
                        self._error(data, deadline)
                        if b"KVM internal error" in data:       # QEMU stays, stopped
                            raise Cannot("KVM cannot run this guest here")
        except TimeOut:
            self.stop()
            self._drain(output_fd, output, console_fd, console)
            self.say("time-out after %g s" % self.timeout)
            return TIMEOUT
        self.stop(1.0)
        return self._judge(verdict, console)

    def _error(self, data, deadline):
        try:
            put(2, data, deadline)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def _console(self, data, deadline):
        """Console bytes: standard error beside a command, else standard output."""
        if self.command:
            self._error(data, deadline)
        else:
            put(1, data, deadline)

    def _drain(self, output_fd, output, console_fd, console):
        """After a kill: what the pipes still hold, as far as the reader takes it at once."""
        soon = time.monotonic() + 2
        try:
            for fd, stream in ((console_fd, console), (output_fd, output)):
                while fd is not None:
                    data = os.read(fd, 65536)
                    if not data:
                        break
                    if stream is output:
                        put(1, stream.feed(data), soon)
                    else:
                        self._console(stream.feed(data), soon)
        except TimeOut:
            pass

    def stop(self, wait=0.0):
        """End QEMU within wait seconds, whatever it does; harmless when it has ended."""
        if self.process and self.process.poll() is None:
            try:
                self.process.wait(wait)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _judge(self, verdict, console):
        lines = verdict.decode("ascii", "replace").splitlines()
        if "panic" in lines:
            return PANIC
        last = lines[-1] if lines else ""
        if last.startswith("exit "):
            try:
                return int(last[5:]) & 255
            except ValueError:
                pass
        if last.startswith("boot-failed"):
            self.say("the kernel could not start: " + (last[12:].strip() or "no reason given"))
            return CANNOT_START
        if b"Triple fault" in os.pread(self.reset_log, 1 << 24, 0):
            self.say("the machine reset itself: triple fault")
            return PANIC if console.spoke or self.terminal else CANNOT_START
        code = self.process.returncode
        if self.terminal:
            return 0 if code == 0 else CANNOT_START
        if console.spoke:
            self.say("QEMU ended (%s) without a word from the kernel" % ending(code))
            return PANIC
        if console.mark and console.before.strip():
            self.say("the firmware's last words: "
                     + ascii(console.before[-200:].decode("ascii", "replace")))
        self.say("the kernel did not start; QEMU ended (%s)" % ending(code))
        return CANNOT_START


def ending(code):
    return "status %d" % code if code >= 0 else "signal %d" % -code


def feed(pipe, heard):
    """Pass standard input, no terminal here, on to the console; runs in a thread.

    Begins once the kernel is heard, lest the firmware take it. At its end the guest gets a ^D, once a second until it leaves, so that a script
    piped in ends the shell as it would end any other.
    """
    heard.wait(BOOT_SILENCE)
    try:
        while True:
            data = os.read(0, 4096)
            if not data:
                break
            pipe.write(data)
        while True:
            time.sleep(0.3)
            pipe.write(b"\x04")
            time.sleep(0.7)
    except OSError:
        pass
