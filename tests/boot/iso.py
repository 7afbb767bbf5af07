# SPDX-License-Identifier: MIT
"""The image of `make iso` reaches its prompt by BIOS and by UEFI.
tests/run: limit=120"""
import os
from lib import run, equal, check, finish, BUILD

for way in ("bios", "uefi"):
    done = run("--boot", way, "--iso", os.path.join(BUILD, "quire.iso"),
               input=b"echo $((6*7)); exit 5\n", limit=50)
    equal(done.status, 5, way)
    check(b"\n42" in done.out.replace(b"\r", b""), way + ": the command ran")
finish()
