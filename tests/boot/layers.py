# SPDX-License-Identifier: MIT
"""The shape of the source: layers, where page-table bits are known, the size of files.

Each layer includes only what stands before it: kernel/base, arch, mm, kernel and its
folders, tests. user/ includes kernel/abi.h at most. mm/ knows no kernel/ but its base.
"""
import glob
import os
import re
from lib import ROOT, check, finish

with open(os.path.join(ROOT, "arch/pte.h"), encoding="utf-8") as f:
    BITS = re.compile(r"\b(%s)\b" % "|".join(re.findall(
        r"#define (PTE_\w+)\s+\(1UL <<", f.read())))
LONGEST = 500

# folder: what it may include besides itself (a path or the folder it is in)
MAY = {
    "kernel/base": ["third_party/bsd", "kernel/abi.h"],
    "arch": ["kernel/base", "third_party/bsd", "kernel/abi.h"],
    "boot": ["kernel/base", "arch", "third_party/bsd", "kernel/abi.h"],
    "mm": ["kernel/base", "arch", "third_party/bsd", "kernel/abi.h"],
    "kernel": ["kernel/base", "arch", "mm", "boot", "kernel/fs", "kernel/dev",
               "third_party/bsd"],
    "kernel/fs": ["kernel/base", "arch", "mm", "kernel", "kernel/dev", "third_party/bsd"],
    "kernel/dev": ["kernel/base", "arch", "mm", "kernel", "kernel/fs", "third_party/bsd"],
    "user": ["kernel/abi.h"],
    "tests/user": ["kernel/abi.h", "user/quire.h"],
}


def sources(folder):
    found = []
    for kind in ("c", "h", "S", "def"):
        found += glob.glob(os.path.join(ROOT, folder, "*." + kind))
    return sorted(found)


def code_lines(text):
    """Lines that are neither blank nor all comment."""
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), text, flags=re.DOTALL)
    return sum(1 for line in text.splitlines() if line.split("//")[0].strip())


lines = {".c": 0, ".h": 0}
for folder, allowed in MAY.items():
    for path in sources(folder):
        short = os.path.relpath(path, ROOT)
        with open(path, encoding="utf-8") as f:
            text = f.read()
        count = text.count("\n")
        check(count <= LONGEST, "%s: %d lines, more than %d" % (short, count, LONGEST))
        check("SPDX-License-Identifier: MIT" in text[:200], short + ": no SPDX line")
        check(text.count("/*", 0, 400) or text.startswith("#"), short + ": no opening comment")
        if not folder.startswith(("user", "tests")):
            kind = os.path.splitext(path)[1]
            if kind in lines:
                lines[kind] += code_lines(text)
        for name in re.findall(r'^\s*#\s*include\s+"([^"]+)"', text, re.MULTILINE):
            home = os.path.dirname(name)
            check(home == folder or home in allowed or name in allowed,
                  "%s includes %s" % (short, name))
            check(os.path.exists(os.path.join(ROOT, name)), "%s: %s is not from the root"
                  % (short, name))
        if short != "arch/pte.h" and not folder.startswith(("user", "tests")):
            bare = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
            found = BITS.findall(bare)
            check(not found, "%s knows page-table bits: %s" % (short, ", ".join(found)))
for path in (path for kind in ("tools/*", "tests/*/*", "tests/*/*/*")
             for path in sorted(glob.glob(os.path.join(ROOT, kind)))):
    if os.path.isfile(path) and not path.endswith(".pyc"):
        with open(path, encoding="utf-8", errors="replace") as f:
            count = sum(1 for _ in f)
        check(count <= LONGEST, "%s: %d lines" % (os.path.relpath(path, ROOT), count))
with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
    readme = f.read()
with open(os.path.join(ROOT, "kernel/base/tunables.def"), encoding="utf-8") as f:
    for name in re.findall(r"^(?:TUNABLE|CHOICE)\((\w+)", f.read(), re.MULTILINE):
        check("`%s`" % name in readme, "README.md: no word about the tunable " + name)
print("kernel: %d lines of code in .c files, %d with .h" % (lines[".c"], sum(lines.values())))
finish()
