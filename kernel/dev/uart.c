/* SPDX-License-Identifier: MIT */
/*
 * Owns: two 16550 ports. Output is polled, a FIFO's worth at a time; the wait for a reader at the other
 * end is bounded by a clock, and a port that once ran into the bound is tried without waiting until
 * it moves again. A port's lock is held while one FIFO is filled; whoever wants more than that in one
 * piece has a lock of its own. A holder that a panic has stopped is not waited for.
 */
#include "kernel/dev/uart.h"
#include "arch/cpu.h"
#include "arch/machine.h"
#include "kernel/base/lock.h"

enum { DATA, IER, FCR, LCR, MCR, LSR, IIR = FCR };
enum { LSR_READY = 1, LSR_EMPTY = 0x20, IER_RECEIVED = 1 };
enum { FIFO_SIZE = 16, MOST_AT_ONCE = 256, WAIT_SECONDS = 60, LOCK_TRIES = 1000000 };

static struct uart {
	u16 base;
	u8 line;		/* legacy interrupt line */
	bool stuck;
	struct spinlock lock;	/* the transmit FIFO; RANK_NONE */
	void (*rx)(u8 c);
} uarts[NR_UARTS] = { { .base = 0x3f8, .line = 4 }, { .base = 0x2f8, .line = 3 } };

void uart_init(void)
{
	for (unsigned i = 0; i < NR_UARTS; i++) {
		u16 base = uarts[i].base;

		outb(base + IER, 0);
		outb(base + LCR, 0x80);		/* divisor */
		outb(base + DATA, 1);
		outb(base + IER, 0);
		outb(base + LCR, 3);		/* 8 bits */
		outb(base + FCR, 1);		/* FIFOs on, interrupt at the first byte; keeps what has come */
		outb(base + MCR, 0x0b);		/* ready; interrupt line connected */
	}
}

static bool lock_port(struct uart *u)
{
	for (int i = 0; i < LOCK_TRIES && !spin_held(&u->lock); i++) {
		if (spin_trylock(&u->lock))
			return true;
		arch_spin_wait();
	}
	return false;
}

/* Sends what the port takes now; how many bytes that was. */
static size_t write_some(unsigned port, const void *buf, size_t n)
{
	const u8 *data = buf;
	u16 base = uarts[port].base;
	bool locked = lock_port(&uarts[port]);

	n = inb(base + LSR) & LSR_EMPTY ? MIN(n, (size_t)FIFO_SIZE) : 0;
	for (size_t i = 0; i < n; i++)
		outb(base + DATA, data[i]);
	if (n)
		uarts[port].stuck = false;
	if (locked)
		spin_unlock(&uarts[port].lock);
	return n;
}

/* Waits until PORT takes bytes; false when it does not. */
static bool wait_empty(struct uart *u)
{
	u64 limit = 0;

	/* Before there is a clock it stands still: count as well. */
	for (u64 i = 0; !(inb(u->base + LSR) & LSR_EMPTY); i++) {
		if (u->stuck)
			return false;
		if (i == 1000)
			limit = clock_ns() + WAIT_SECONDS * 1000000000UL;
		if (i > 1000 && (clock_tsc_khz() ? clock_ns() > limit : i > 10000000)) {
			u->stuck = true;
			return false;
		}
		arch_spin_wait();
	}
	return true;
}

void uart_write(unsigned port, const void *buf, size_t n)
{
	const u8 *data = buf;

	while (n && wait_empty(&uarts[port])) {
		size_t done = write_some(port, data, n);

		data += done;
		n -= done;
	}
}

void uart_console_write(const char *data, size_t n)
{
	while (n) {
		size_t run = 0;

		while (run < n && data[run] != '\n')
			run++;
		uart_write(UART_CONSOLE, data, run);
		if (run < n) {
			uart_write(UART_CONSOLE, "\r\n", 2);
			run++;
		}
		data += run;
		n -= run;
	}
}

/* The interrupt is signalled by an edge: it must be gone before the next byte can raise it again. */
static void receive(void *arg)
{
	struct uart *u = arg;

	inb(u->base + IIR);
	for (unsigned i = 0; i < MOST_AT_ONCE && (inb(u->base + LSR) & LSR_READY); i++)
		u->rx(inb(u->base + DATA));
	outb(u->base + IER, 0);
	outb(u->base + IER, IER_RECEIVED);
}

void uart_set_rx(unsigned port, void (*fn)(u8 c))
{
	struct uart *u = &uarts[port];

	u->rx = fn;
	irq_attach(u->line, receive, u);
	outb(u->base + IER, IER_RECEIVED);
}
