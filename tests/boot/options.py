# SPDX-License-Identifier: MIT
"""Bad options: one line that says what is wrong, exit status 2, no machine started."""
from lib import run, equal, check, finish, SCRATCH

BAD = [
    "--smp 0", "--smp 65", "--smp x", "--smp -1", "--smp", "--mem 5G", "--mem x", "--mem 0",
    "--mem 12Q", "--mem -1M", "--timeout 0", "--timeout -3", "--timeout nan", "--timeout x",
    "--add", "--add /nosuch/file", "--add /", "--add x=/nosuch/file", "--boot floppy", "--boot",
    "--frobnicate", "-x", "stray", "--", "--accel hvf", "--icount --accel kvm", "--icount=3",
    "--disk /nosuch/file", "--kernel /nosuch/file", "--initrd /nosuch/file",
    "--boot uefi --mem 16M", "--iso /nosuch/file", "--append caf\xe9",
]
for line in BAD:
    command = [] if line == "--" or line.split()[-1] in ("--add", "--boot", "--smp") \
        else ["--", "true"]
    done = run(*line.split(), *command, limit=10) if "--timeout" in line else \
        run("--timeout", "10", *line.split(), *command)
    equal(done.status, 2, line)
    equal(len(done.lines), 1, line + ": lines of error")
    equal(done.out, b"", line + ": standard output")
for name, value in (("CPUS", "many"), ("MEM", "lots"), ("QEMUEXTRA", "'")):
    done = run("--", "true", env={name: value})
    equal(done.status, 2, name)
    check(name in done.log, name + " is named")
done = run("--", "true", env={"QEMU": "/nosuch/qemu"})
equal((done.status, len(done.lines)), (126, 1), "no QEMU")
done = run("--", "true", env={"QEMUEXTRA": "-nosuchoption"})
equal(done.status, 126, "QEMU does not start")
for text in ("-h", "--help"):
    done = run(text, limit=10)
    equal(done.status, 0, text)
    check(b"--timeout S" in done.out, text + " shows the options")
garbage = SCRATCH + "/garbage"
with open(garbage, "wb") as f:
    f.write(b"not a kernel" * 100)
equal(run("--kernel", garbage, "--", "true").status, 126, "a kernel that is none")
equal(run("--boot", "bios", "--kernel", garbage, "--", "true").status, 126, "the same by GRUB")
finish()
