# SPDX-License-Identifier: MIT
"""From `tools/run` to the prompt in 2 seconds of processor time, the best of three."""
import resource
import time
from lib import run, check, finish

best_cpu = best = 1e9
for _ in range(3):
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = run(input=b"exit 0\n", limit=30)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    best = min(best, time.monotonic() - begin)
    best_cpu = min(best_cpu, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    check(done.status == 0, "boots")
print("processor time %.2f s, wall %.2f s" % (best_cpu, best))
check(best_cpu <= 2, "2 s to the prompt")
finish()
