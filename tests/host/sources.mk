# What the Makefile's host tests leave out: the part of mm/ that needs the real machine.
HOST_NOT := mm/init.c
# What it wants of the base beyond counters, tunables and texts.
HOST_SRC += kernel/base/epoch.c kernel/base/lock.c
# What of kernel/ knows no machine either: the reader of ext2.
HOST_SRC += kernel/fs/ext2_disk.c kernel/fs/ext2_dir.c
