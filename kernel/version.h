/* SPDX-License-Identifier: MIT */
/* Owns: what uname(2) and /proc/version call this kernel. Programs read the number as a version of Linux, whose
 * system calls these are. */
#pragma once

#define VERSION_RELEASE "6.1.0-quire"
#define VERSION_VERSION "#1 Quire 0.1"
