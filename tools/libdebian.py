# SPDX-License-Identifier: MIT
"""Linux kernels for tools/compare: a file, or out of a Debian package that apt fetches.

Nothing is installed and nothing of the system's apt is changed, but that its lists are
brought up to date, as root, where they have no such package. For another release than
the system's (`PACKAGE/sid`) the cache folder gets lists of its own, of the same mirror.
"""
import os
import re
import shutil
import subprocess
import sys

from libbench import Bad

HEADER, VERSION_AT, MAGIC = 0x202, 0x20e, b"HdrS"


class Kernel:
    """A bzImage: its path, its version text, and a short name such as `Linux 6.1.192`."""

    def __init__(self, path):
        self.path = path
        try:
            with open(path, "rb") as f:
                data = f.read(0x10000)
        except OSError as e:
            raise Bad("%s: %s" % (path, e.strerror)) from None
        if data[HEADER:HEADER + 4] != MAGIC:
            raise Bad("%s: not a Linux kernel (bzImage)" % path)
        at = 0x200 + int.from_bytes(data[VERSION_AT:VERSION_AT + 2], "little")
        self.version = data[at:data.index(b"\0", at)].decode("ascii", "replace")
        match = re.search(r"Debian (\d+\.\d+(?:\.\d+)?)", self.version)
        self.name = "Linux " + (match[1] if match else self.version.split()[0])


def kernel(what, cache):
    """The kernel that WHAT names: a file, PACKAGE or PACKAGE/RELEASE."""
    if os.path.isfile(what):
        return Kernel(what)
    if os.path.exists(what) or what.startswith((".", "/")):
        raise Bad("--linux %s: no such file" % what)
    package, _, release = what.partition("/")
    if not re.fullmatch(r"linux-image-[a-z0-9.+~-]+", package) or \
            not re.fullmatch(r"[a-z0-9-]*", release):
        raise Bad("--linux %s: neither a vmlinuz file nor a linux-image package" % what)
    for tool in ("apt-get", "apt-cache", "dpkg-deb", "tar"):
        if not shutil.which(tool):
            raise Bad("no %s to fetch %s with (give a vmlinuz file: --linux FILE)" % (tool, what))
    os.makedirs(cache, exist_ok=True)
    return Packages(cache, release).kernel(package)


class Packages:
    """What apt knows, of the system's release or of another."""

    def __init__(self, cache, release):
        self.cache, self.release, self.options = cache, release, []
        if release:
            self.other_release()

    def call(self, *command, where=None):
        """(exit status, output) of an apt command; its errors go to the output."""
        env = dict(os.environ, LC_ALL="C", DEBIAN_FRONTEND="noninteractive")
        done = subprocess.run([command[0], *self.options, *command[1:]], cwd=where, env=env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        return done.returncode, done.stdout.decode("utf-8", "replace")

    def other_release(self):
        """Lists of another release, from where the system's own main archive comes from."""
        _, targets = self.call("apt-get", "indextargets", "--format",
                               "$(REPO_URI) $(SUITE) $(COMPONENT) $(SIGNED_BY)",
                               "Created-By: Packages")
        found = [line.split() for line in targets.splitlines()]
        found = [f for f in found if len(f) >= 3 and f[2] == "main" and "security" not in f[0]]
        if not found:
            raise Bad("apt names no mirror to take release %s from" % self.release)
        folder = os.path.abspath(os.path.join(self.cache, self.release))
        os.makedirs(os.path.join(folder, "lists/partial"), exist_ok=True)
        os.makedirs(os.path.join(folder, "archives/partial"), exist_ok=True)
        signed = found[0][3:] and not found[0][3].startswith("$")   # a field that is not there
        signed = "[signed-by=%s] " % found[0][3] if signed else ""
        with open(os.path.join(folder, "sources.list"), "w", encoding="utf-8") as f:
            f.write("deb %s%s %s main\n" % (signed, found[0][0], self.release))
        for name, value in (("Etc::SourceList", "sources.list"), ("Etc::SourceParts", "none"),
                            ("State::Lists", "lists"), ("Cache", "."),
                            ("Cache::Archives", "archives")):
            self.options += ["-o", "Dir::%s=%s" % (name, os.path.join(folder, value))]
        self.options += ["-o", "APT::Sandbox::User=", "-o", "Acquire::Languages=none"]

    def candidate(self, package):
        """The version apt would take; None where it knows none."""
        _, text = self.call("apt-cache", "policy", package)
        match = re.search(r"Candidate: (\S+)", text)
        return match[1] if match and match[1] != "(none)" else None

    def kernel(self, package):
        version = self.candidate(package)
        if not version and (self.release or os.geteuid() == 0):
            status, text = self.call("apt-get", "update")
            version = self.candidate(package)
            if not version and (status or "Failed to fetch" in text):    # which apt calls a warning
                raise Bad("apt-get update: %s" % last_line(text))
        if not version:
            raise Bad("apt knows no package %s%s" % (package, " in " + self.release
                                                     if self.release else ""))
        _, text = self.call("apt-cache", "depends", "%s=%s" % (package, version))
        match = re.search(r"^ *Depends: (linux-(?:image|binary)-\S+)", text, re.MULTILINE)
        if match:
            return self.kernel(match[1])
        return Kernel(self.image(package, version))

    def image(self, package, version):
        """The package's vmlinuz in the cache folder, fetched where it is not there."""
        path = os.path.join(self.cache, "%s_%s.vmlinuz" % (package, version.replace(":", "%3a")))
        if os.path.exists(path):
            return path
        print("compare: fetching %s %s" % (package, version), file=sys.stderr, flush=True)
        folder = os.path.join(self.cache, "new.%d" % os.getpid())
        os.makedirs(folder)
        try:
            status, text = self.call("apt-get", "download", "%s=%s" % (package, version),
                                     where=folder)
            files = [f for f in os.listdir(folder) if f.endswith(".deb")]
            if status or not files:
                raise Bad("cannot fetch %s: %s" % (package, last_line(text)))
            archive = os.path.join(folder, files[0])
            with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", archive],
                                  stdout=subprocess.PIPE) as files:
                subprocess.run(["tar", "-xf", "-", "-C", folder, "--wildcards",
                                "./boot/vmlinuz-*", "./usr/lib/modules/*/vmlinuz"],
                               stdin=files.stdout, stderr=subprocess.DEVNULL)
                files.stdout.close()
            found = [os.path.join(at, f) for at, _, names in os.walk(folder) for f in names
                     if f.startswith("vmlinuz")]
            if not found:
                raise Bad("%s has no vmlinuz" % package)
            os.replace(found[0], path)
            return path
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def last_line(text):
    lines = [line for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E:", "W: Failed"))]
    return (errors or lines or ["no reason given"])[-1]
