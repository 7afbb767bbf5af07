#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compile the Python files named, to memory only: a syntax error fails `make lint`."""
import sys

status = 0
for path in sys.argv[1:]:
    try:
        with open(path, encoding="utf-8") as f:
            compile(f.read(), path, "exec")
    except SyntaxError as e:
        print("%s:%s: %s" % (path, e.lineno, e.msg))
        status = 1
sys.exit(status)
