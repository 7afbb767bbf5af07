# SPDX-License-Identifier: MIT
"""The share_* tests are the same on Linux: the very programs that the guest runs under each
fork_share run here, where what only Quire has is left out by themselves.
tests/run: limit=240"""
import glob
import os
import platform
import subprocess
from lib import BUILD, SCRATCH, check, finish, skip

programs = sorted(glob.glob(os.path.join(BUILD, "tests/user/share_*_test")))
if platform.system() != "Linux" or platform.machine() != "x86_64":
    skip("the programs are for Linux on x86-64")
check(len(programs) >= 8, "share_* tests are built: %d" % len(programs))
for path in programs:
    name = os.path.basename(path)
    try:
        done = subprocess.run([path], cwd=SCRATCH, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=100)
    except subprocess.TimeoutExpired:
        check(False, name + " hangs")
        continue
    text = done.stdout.decode("utf-8", "replace") + done.stderr.decode("utf-8", "replace")
    print("# %s: status %d, %d cases" % (name, done.returncode, text.count("\nok ") + text.startswith("ok ")))
    if not check(done.returncode == 0, name + " succeeds on Linux"):
        print(text)
finish()
