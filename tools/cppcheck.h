/* SPDX-License-Identifier: MIT */
/* Names of the C library that cppcheck defines by itself and the kernel defines anew. */
#undef SIGABRT
#undef SIGFPE
#undef SIGILL
#undef SIGINT
#undef SIGKILL
#undef SIGSEGV
#undef SIGTERM
#undef SEEK_SET
#undef SEEK_CUR
#undef SEEK_END
