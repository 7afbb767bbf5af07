# SPDX-License-Identifier: MIT
"""newc cpio archives, as the kernel takes them for its first file system.

Shared by tools/mkcpio.py (the base archive) and tools/run (the small archive
that it appends: added programs and the command). Archives are reproducible:
owner root, time 0, inode numbers in order of appearance. Several archives may
stand one after another; each ends with its trailer and is padded to 512 bytes.
"""
import stat

TRAILER = "TRAILER!!!"
BLOCK = 512


class Archive:
    """Collects entries by path (the last one of a name wins); bytes() gives the archive."""

    def __init__(self):
        self.entries = {}

    def _put(self, path, mode, data=b""):
        self.entries[path.strip("/")] = (mode, data)

    def directory(self, path, mode=0o755):
        self._put(path, stat.S_IFDIR | mode)

    def parents(self, path, known=()):
        """Add the directories above path, but for those in known."""
        parts = path.strip("/").split("/")[:-1]
        for i in range(len(parts)):
            up = "/".join(parts[:i + 1])
            if up not in self.entries and up not in known:
                self.directory(up)

    def file(self, path, data, mode=0o644):
        self._put(path, stat.S_IFREG | mode, data)

    def symlink(self, path, target):
        self._put(path, stat.S_IFLNK | 0o777, target.encode())

    def __contains__(self, path):
        return path.strip("/") in self.entries

    def bytes(self):
        out = bytearray()
        for ino, (path, (mode, data)) in enumerate(self.entries.items(), 1):
            _member(out, ino, path, mode, data)
        _member(out, 0, TRAILER, 0, b"")
        out += bytes(-len(out) % BLOCK)
        return bytes(out)


def _member(out, ino, path, mode, data):
    name = path.encode("utf-8", "surrogateescape") + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    fields = (ino, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(name), 0)
    out += b"070701" + b"".join(b"%08X" % f for f in fields) + name
    out += bytes(-len(out) % 4)
    out += data
    out += bytes(-len(out) % 4)


def names(blob):
    """The paths in one or more archives; stops quietly where blob makes no sense."""
    found, at = set(), 0
    while blob[at:at + 6] == b"070701":
        try:
            size = int(blob[at + 54:at + 62], 16)
            length = int(blob[at + 94:at + 102], 16)
        except ValueError:
            break
        name = blob[at + 110:at + 110 + length - 1].decode("utf-8", "surrogateescape")
        at = _align(_align(at + 110 + length) + size)
        if name == TRAILER:
            while at < len(blob) and blob[at] == 0:
                at += 1
        else:
            found.add(name.strip("/"))
    return found


def _align(n):
    return (n + 3) & ~3
