# SPDX-License-Identifier: MIT
"""A GRUB rescue image with the kernel, one module and a command line, for tools/run.

The image of `make iso` comes from grub.cfg; this one differs in two ways. GRUB
writes a mark to both serial ports just before it jumps, because UEFI firmware
talks on them: what stands before the mark is not the kernel's. (GRUB itself is
sent to COM3, where nothing listens, for it complains of the missing screen after
the mark.) And where GRUB cannot load the kernel it says so on the verdict port
and leaves.
"""
import os
import shutil
import subprocess

MODULES = "multiboot2 iso9660 normal boot iorw test serial terminal part_msdos part_gpt"
PLATFORM = {"bios": "i386-pc", "uefi": "x86_64-efi"}
COM3_NOWHERE = ["-serial", "null"]
MARK = b"\r\n\x02quire\x03"
COM1, COM2, VERDICT, LEAVE = 0x3F8, 0x2F8, 0xE9, 0xF4


class GrubError(Exception):
    pass


def quote(word):
    return "'" + word.replace("'", "'\\''") + "'"


def _say(port, text):
    return "; ".join("outb 0x%x 0x%x" % (port, byte) for byte in text)


def config(words, module):
    """The grub.cfg text: words of the command line, whether there is a module."""
    line = " ".join(["/boot/quire.elf"] + [quote(w) for w in words])
    lines = ["set timeout=0", "insmod iorw",
             "serial --port=0x3e8", "terminal_output serial",
             "if multiboot2 %s; then" % line]
    if module:
        lines += ["if module2 /boot/initrd.cpio; then"]
    lines += [_say(COM1, MARK), _say(COM2, MARK), "boot", "fi"]
    if module:
        lines += ["fi"]
    lines += [_say(VERDICT, b"boot-failed GRUB cannot load it\n"), "outl 0x%x 0x30" % LEAVE, ""]
    return "\n".join(lines)


def image(way, kernel, initrd, words, folder):
    """Make folder/boot.iso for way 'bios' or 'uefi'; initrd is bytes or None."""
    lib = os.environ.get("GRUB_LIB", "/usr/lib/grub")
    platform = os.path.join(lib, PLATFORM[way])
    if not os.path.isdir(platform):
        raise GrubError("no GRUB for %s at %s (see make doctor)" % (way, platform))
    tree = os.path.join(folder, "iso")
    os.makedirs(os.path.join(tree, "boot/grub"))
    shutil.copyfile(kernel, os.path.join(tree, "boot/quire.elf"))
    if initrd is not None:
        with open(os.path.join(tree, "boot/initrd.cpio"), "wb") as f:
            f.write(initrd)
    with open(os.path.join(tree, "boot/grub/grub.cfg"), "w") as f:
        f.write(config(words, initrd is not None))
    iso = os.path.join(folder, "boot.iso")
    cmd = ["grub-mkrescue", "-d", platform, "--install-modules=" + MODULES,
           "--fonts=", "--locales=", "--themes=", "-o", iso, tree]
    try:
        done = subprocess.run(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=120)
    except FileNotFoundError:
        raise GrubError("grub-mkrescue is not installed (see make doctor)") from None
    except subprocess.TimeoutExpired:
        raise GrubError("grub-mkrescue did not end in 120 s") from None
    if done.returncode:
        tail = done.stdout.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise GrubError("grub-mkrescue: " + "".join(tail))
    shutil.rmtree(tree)
    return iso


def firmware(folder):
    """The QEMU options for OVMF, with a copy of its variables in folder."""
    where = [os.environ.get("OVMF", ""), "/usr/share/OVMF", "/usr/share/ovmf/x64",
             "/usr/share/edk2/x64", "/usr/share/edk2/ovmf", "/usr/share/qemu"]
    for base in filter(None, where):
        for code, variables in (("OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"),
                                ("OVMF_CODE.4m.fd", "OVMF_VARS.4m.fd"),
                                ("OVMF_CODE.fd", "OVMF_VARS.fd")):
            code, variables = os.path.join(base, code), os.path.join(base, variables)
            if os.path.exists(code) and os.path.exists(variables):
                copy = os.path.join(folder, "vars.fd")
                shutil.copyfile(variables, copy)
                return ["-drive", "if=pflash,unit=0,format=raw,readonly=on,file=" + code,
                        "-drive", "if=pflash,unit=1,format=raw,file=" + copy]
    raise GrubError("no OVMF firmware found (see make doctor)")
