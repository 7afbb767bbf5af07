# SPDX-License-Identifier: MIT
"""The table of costs: no row grossly above what is expected, or above its target.

Only the quick rows; `make bench` has all of them and shows what each has moved by. A drift of
a few per cent is a report, not a failure. And the curve of windows: faults by arithmetic.
tests/run: limit=120"""
import os
import subprocess
from lib import ROOT, check, equal, finish

done = subprocess.run([os.path.join(ROOT, "tools/bench"), "--quick", "--check", "--timeout", "50"],
                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
text = done.stdout.decode("utf-8", "replace")
print(text)
equal(done.returncode, 0, "status of tools/bench")
check(not any(line.startswith("gross:") for line in text.splitlines()), "gross drift")
check("null system call" in text and "16 threads" in text, "rows of one CPU and of four")

done = subprocess.run([os.path.join(ROOT, "tools/window-curve")], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
text = done.stdout.decode("utf-8", "replace")
print(text)
linear = text.partition("faults per 1000")[2].split("linear")[1].split()[:10] if not done.returncode else []
check(len(linear) == 10 and all(0 <= int(seen) - (1000 >> n) <= 1 for n, seen in enumerate(linear)),
      "faults of a linear scan by window: %s" % linear)
finish()
