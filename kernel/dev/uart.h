/* SPDX-License-Identifier: MIT */
/*
 * Owns: the two serial ports: 0 is COM1, the console; 1 is COM2, the output of a command. Output polls;
 * input comes by interrupt, one byte at a time, to whoever asked for it.
 */
#pragma once
#include "kernel/base/types.h"

enum { UART_CONSOLE, UART_OUTPUT, NR_UARTS };

/* 115200 bits, 8 data bits, no parity, FIFOs on, no interrupts. Needs nothing; first of all. */
void uart_init(void);

/* Send as they are, waiting while the other end does not read (at most 60 s at a time: what a
 * dead line does not take is dropped). May be called from anywhere, interrupts off. */
void uart_write(unsigned port, const void *buf, size_t n);

/* From now on each byte received on PORT is given to FN, from the interrupt; turns the interrupt on. */
void uart_set_rx(unsigned port, void (*fn)(u8 c));

/* Writes to the console with CR before each LF: console_write of kernel/base/print.h. */
void uart_console_write(const char *data, size_t n);
