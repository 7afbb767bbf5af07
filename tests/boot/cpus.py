# SPDX-License-Identifier: MIT
"""CPUs as the machine and its firmware tell of them: more than the limit, no tables, tables
that lie; the kernel says so in a line and runs on those it has. GRUB puts the bad tables in.
tests/run: limit=200"""
import os
import shutil
import struct
import subprocess
from lib import BUILD, SCRATCH, run, equal, check, contains, finish, skip

COUNT = "nproc; grep -c ^processor /proc/cpuinfo; grep -c '^cpu[0-9]' /proc/stat"


def count(done, cpus, what):
    equal(done.status, 0, what)
    equal(done.out, b"%d\n" % cpus * 3, what + ": CPUs")


for cpus in (1, 3, 8):
    count(run("--smp", str(cpus), "--", COUNT), cpus, "%d CPUs" % cpus)
done = run("--smp", "64", "--", COUNT, limit=100)
count(done, 64, "as many as there may be")
contains(done, "64 of 64 CPUs run")
done = run("--qemu-extra", "-smp 70", "--", COUNT, limit=100)
count(done, 64, "more than there may be")
contains(done, "6 CPUs beyond the limit of 64 are left out")
done = run("--smp", "4", "--qemu-extra", "-machine acpi=off", "--", COUNT)
count(done, 1, "no ACPI")
contains(done, "no usable ACPI MADT: interrupts by the legacy 8259, one CPU")


# Tables of our own ------------------------------------------------------------

def madt(*entries, length=None, flags=1):
    body = struct.pack("<II", 0xfee00000, flags) + b"".join(entries)
    head = struct.pack("<4sIBB6s8sI4sI", b"APIC", length or 36 + len(body), 3, 0, b"QUIRE ",
                       b"TESTTEST", 1, b"QUIR", 1)
    table = bytearray(head + body)
    table[9] = -sum(table) & 255
    return bytes(table)


def cpu(apic_id):
    return struct.pack("<BBBBI", 0, 8, apic_id, apic_id, 1)


IOAPIC = struct.pack("<BBBBII", 1, 12, 0, 0, 0xfec00000, 0)
PIT = struct.pack("<BBBBIH", 2, 10, 0, 0, 2, 0)


def boot_with(table, cpus, what):
    """The log of a machine of so many CPUs whose firmware has this MADT; the shell ran."""
    tree = os.path.join(SCRATCH, "tree")
    shutil.rmtree(tree, ignore_errors=True)
    os.makedirs(tree + "/boot/grub")
    for name in ("quire.elf", "initrd.cpio"):
        os.link(os.path.join(BUILD, name), os.path.join(tree, "boot", name))
    with open(tree + "/boot/madt", "wb") as f:
        f.write(table)
    with open(tree + "/boot/grub/grub.cfg", "w") as f:
        f.write("set timeout=0\nacpi --exclude=APIC /boot/madt\n"
                "multiboot2 /boot/quire.elf\nmodule2 /boot/initrd.cpio\nboot\n")
    subprocess.run(["grub-mkrescue", "-o", tree + ".iso", tree], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    done = run("--smp", str(cpus), "--boot", "bios", "--iso", tree + ".iso",
               input=b"echo found $(nproc); exit 5\n", limit=60)
    done.lines = done.out.decode("utf-8", "replace").splitlines()
    equal(done.status, 5, what)
    return done


if not shutil.which("grub-mkrescue"):
    skip("no grub-mkrescue")
done = boot_with(madt(cpu(0), cpu(1), cpu(1), cpu(200), IOAPIC, PIT), 2, "a CPU that is not there")
contains(done, "CPU with APIC id 200: no answer")
contains(done, "found 2")
done = boot_with(madt(cpu(0), cpu(1), IOAPIC, PIT, b"\x00\x30"), 2, "cut off")
contains(done, "ACPI MADT: malformed at byte")
contains(done, "found 2")
done = boot_with(madt(cpu(0), cpu(1), struct.pack("<BBBBII", 1, 12, 0, 0, 0x200000, 0)), 2,
                 "an I/O APIC in memory")
contains(done, "an I/O APIC at 0x200000 cannot be")
contains(done, "interrupts by the legacy 8259")
contains(done, "found 2")
finish()
