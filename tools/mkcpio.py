#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write a newc cpio archive for the kernel's first file system.

usage: mkcpio.py -o ARCHIVE [--base BUSYBOX] [GUEST=FILE ...]

--base adds the skeleton of the base archive: directories, /etc, busybox with a
symbolic link for each of its applets. A GUEST=FILE of the same name wins over those.
"""
import os
import subprocess
import sys

sys.dont_write_bytecode = True
import libcpio          # noqa: E402

DIRECTORIES = ["bin", "dev", "dev/shm", "disk", "etc", "proc", "root", "sbin", "tmp", "usr"]
ETC = {
    "passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "group": "root:x:0:\n",
    "hostname": "quire\n",
    "profile": "export PS1='quire:\\w\\$ '\n",
}
NOT_OURS = {"busybox", "init", "linuxrc"}       # PID 1 is user/init.c


def base(archive, busybox):
    if not busybox:
        sys.exit("mkcpio: no busybox found (see make doctor)")
    for name in DIRECTORIES:
        archive.directory(name, {"tmp": 0o1777, "dev/shm": 0o1777, "root": 0o700}.get(name, 0o755))
    for name, text in ETC.items():
        archive.file("etc/" + name, text.encode())
    archive.symlink("usr/bin", "../bin")
    archive.file("bin/busybox", contents(busybox), 0o755)
    try:
        listed = subprocess.run([busybox, "--list"], stdout=subprocess.PIPE, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError) as e:
        sys.exit("mkcpio: %s --list: %s" % (busybox, e))
    for applet in sorted(set(listed.stdout.decode().split()) - NOT_OURS):
        archive.symlink("bin/" + applet, "busybox")


def contents(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError as e:
        sys.exit("mkcpio: %s: %s" % (path, e.strerror))


def main(argv):
    archive, out = libcpio.Archive(), None
    while argv:
        word = argv.pop(0)
        if word == "-o":
            out = argv.pop(0)
        elif word == "--base":
            base(archive, argv.pop(0))
        else:
            guest, _, path = word.partition("=")
            archive.parents(guest)
            archive.file(guest, contents(path), 0o755)
    if not out:
        sys.exit(__doc__.split("\n\n")[1])
    with open(out + ".new", "wb") as f:
        f.write(archive.bytes())
    os.replace(out + ".new", out)


main(sys.argv[1:])
