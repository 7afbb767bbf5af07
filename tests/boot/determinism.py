# SPDX-License-Identifier: MIT
"""Under --icount the same run gives the same bytes, to the last instruction."""
import json
from lib import run, equal, check, finish

COMMAND = ("--icount", "--", "perf", "stat", "-j", "multi-fault", "1")
first, second = run(*COMMAND), run(*COMMAND)
equal((first.status, second.status), (0, 0), "statuses")
check(len(first.out) > 20, "there is output")
equal(second.out, first.out, "the same bytes")
texts = []
for stream in (first.out, first.err):
    texts += [line for line in stream.decode("utf-8", "replace").splitlines()
              if line.startswith("{")]
check(texts, "a line of JSON")
for text in texts:
    try:
        json.loads(text)
    except ValueError as e:
        check(False, "JSON: %s in %r" % (e, text[:200]))
finish()
