# What the Makefile's host tests leave out: the part of mm/ that needs the real machine.
HOST_NOT := mm/init.c
