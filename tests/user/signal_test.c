/* SPDX-License-Identifier: MIT */
/*
 * signal_test.c - signals: what siginfo says of each kind, masks and pending signals, flags
 * of handlers, waiting for signals, interrupted calls, timers, job control, children.
 */
#include "tests/user/test.h"
#include <sys/time.h>
#include <ucontext.h>

static volatile sig_atomic_t calls, last_signal, last_code, nesting, deepest;
static volatile pid_t last_pid;
static volatile int last_value;

static void note(int sig, siginfo_t *info, void *context)
{
	(void)context;
	calls++;
	last_signal = sig;
	last_code = info->si_code;
	last_pid = info->si_pid;
	last_value = info->si_value.sival_int;
}

static void handle(int sig, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };

	sigemptyset(&action.sa_mask);
	REQUIRE(sigaction(sig, &action, NULL) == 0);
	calls = 0;
}

static void block(int how, int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	REQUIRE(sigprocmask(how, &set, NULL) == 0);
}

static void faults_say_why(void)
{
	volatile int zero = 0;
	char *readable = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	catch_faults(0);
	EXPECT_EQ(TRY(last_value = 5 / zero), SIGFPE);
	EXPECT_EQ(fault_code, FPE_INTDIV);
	EXPECT(fault_address != NULL);
	EXPECT_EQ(TRY(__asm__ volatile("ud2")), SIGILL);
	EXPECT_EQ(fault_code, ILL_ILLOPN);
	EXPECT_EQ(TRY(__asm__ volatile("int3")), SIGTRAP);
	EXPECT_EQ(TRY(__asm__ volatile("hlt")), SIGSEGV);
	EXPECT_EQ(fault_code, SI_KERNEL);
	EXPECT_EQ(TRY(__asm__ volatile("cli")), SIGSEGV);
	EXPECT_EQ(TRY(__asm__ volatile("inb $0x80, %%al" : : : "rax")), SIGSEGV);
	EXPECT_EQ(TRY(__asm__ volatile("mov %%cr3, %%rax" : : : "rax")), SIGSEGV);
	EXPECT_EQ(TRY(__asm__ volatile("int $0x42")), SIGSEGV);
	EXPECT_EQ(try_read((void *)8), SIGSEGV);
	EXPECT_EQ(fault_code, SEGV_MAPERR);
	EXPECT_EQ(try_write(readable), SIGSEGV);
	EXPECT_EQ(fault_code, SEGV_ACCERR);
	munmap(readable, PAGE);
}

static volatile uintptr_t seen_rip, seen_error, seen_trap, seen_cr2;

static void skip_instruction(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)sig, (void)info;
	seen_rip = (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
	seen_error = (uintptr_t)uc->uc_mcontext.gregs[REG_ERR];
	seen_trap = (uintptr_t)uc->uc_mcontext.gregs[REG_TRAPNO];
	seen_cr2 = (uintptr_t)uc->uc_mcontext.gregs[REG_CR2];
	uc->uc_mcontext.gregs[REG_RIP] += 2;
	uc->uc_mcontext.gregs[REG_RBX] = 77;
}

static void handlers_see_and_change_registers(void)
{
	unsigned long rbx = 1;

	handle(SIGILL, skip_instruction, 0);
	__asm__ volatile("ud2" : "+b"(rbx) : : "memory");
	EXPECT_EQ(rbx, 77);
	EXPECT_EQ(seen_trap, 6);
	handle(SIGSEGV, skip_instruction, 0);
	__asm__ volatile("movb %%al, (%%rcx)" : "+b"(rbx) : "c"(0x1234L) : "memory");
	EXPECT_EQ(seen_cr2, 0x1234);
	EXPECT_EQ(seen_error, 6);
	EXPECT_EQ(seen_trap, 14);
}

static void raise_and_kill(void)
{
	handle(SIGUSR1, note, 0);
	EXPECT(raise(SIGUSR1) == 0);
	EXPECT_EQ(calls, 1);
	EXPECT_EQ(last_code, SI_TKILL);
	EXPECT_EQ(last_pid, getpid());
	EXPECT(kill(getpid(), SIGUSR1) == 0);
	EXPECT_EQ(calls, 2);
	EXPECT_EQ(last_code, SI_USER);
	EXPECT(sigqueue(getpid(), SIGUSR1, (union sigval){ .sival_int = 42 }) == 0);
	EXPECT_EQ(last_code, SI_QUEUE);
	EXPECT_EQ(last_value, 42);
	EXPECT(kill(getpid(), 0) == 0);
	EXPECT_ERRNO(kill(getpid(), 65), EINVAL);
	EXPECT_ERRNO(kill(999999, SIGTERM), ESRCH);
	EXPECT_ERRNO(syscall(SYS_tgkill, getpid(), 999999, 0), ESRCH);
	EXPECT_ERRNO(syscall(SYS_tgkill, -1, 1, 0), EINVAL);
	struct sigaction action = { .sa_handler = SIG_IGN };

	EXPECT_ERRNO(sigaction(SIGKILL, &action, NULL), EINVAL);
	EXPECT_ERRNO(sigaction(SIGSTOP, &action, NULL), EINVAL);
	EXPECT_ERRNO(sigaction(65, &action, NULL), EINVAL);
}

static void masks_and_pending(void)
{
	sigset_t set, old;

	handle(SIGUSR1, note, 0);
	block(SIG_BLOCK, SIGUSR1);
	raise(SIGUSR1);
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR1);
	EXPECT_EQ(calls, 0);
	EXPECT(sigpending(&set) == 0 && sigismember(&set, SIGUSR1));
	block(SIG_UNBLOCK, SIGUSR1);
	EXPECT(calls == 1 || calls == 2); /* one to the thread, one to the process */
	EXPECT(sigpending(&set) == 0 && !sigismember(&set, SIGUSR1));
	sigfillset(&set);
	EXPECT(sigprocmask(SIG_SETMASK, &set, NULL) == 0);
	EXPECT(sigprocmask(SIG_SETMASK, NULL, &old) == 0);
	EXPECT(!sigismember(&old, SIGKILL) && !sigismember(&old, SIGSTOP) &&
	       sigismember(&old, SIGTERM));
	sigemptyset(&set);
	EXPECT(sigprocmask(SIG_SETMASK, &set, NULL) == 0);
	EXPECT_ERRNO(sigprocmask(77, &set, NULL), EINVAL);
	/* ignored while blocked: dropped */
	block(SIG_BLOCK, SIGUSR1);
	raise(SIGUSR1);
	signal(SIGUSR1, SIG_IGN);
	handle(SIGUSR1, note, 0);
	block(SIG_UNBLOCK, SIGUSR1);
	EXPECT_EQ(calls, 0);
}

static void realtime_signals_queue(void)
{
	handle(SIGRTMIN, note, 0);
	block(SIG_BLOCK, SIGRTMIN);
	for (int i = 0; i < 5; i++)
		EXPECT(sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = i }) == 0);
	block(SIG_UNBLOCK, SIGRTMIN);
	EXPECT_EQ(calls, 5);
	EXPECT_EQ(last_value, 4);
}

static void nest(int sig, siginfo_t *info, void *context)
{
	(void)info, (void)context;
	calls++;
	if (++nesting > deepest)
		deepest = nesting;
	if (calls < 3)
		raise(sig);
	nesting--;
}

static void flags_of_handlers(void)
{
	struct sigaction now;

	nesting = deepest = 0;
	handle(SIGUSR1, nest, 0);
	raise(SIGUSR1);
	EXPECT_EQ(calls, 3);
	EXPECT_EQ(deepest, 1);
	handle(SIGUSR1, nest, SA_NODEFER);
	raise(SIGUSR1);
	EXPECT_EQ(calls, 3);
	EXPECT_EQ(deepest, 3);
	handle(SIGUSR1, note, SA_RESETHAND);
	raise(SIGUSR1);
	EXPECT_EQ(calls, 1);
	EXPECT(sigaction(SIGUSR1, NULL, &now) == 0 && now.sa_handler == SIG_DFL);
}

static char alternate[32 * 1024];
static volatile bool was_on_alternate;

static void look_at_stack(int sig, siginfo_t *info, void *context)
{
	char here;

	(void)sig, (void)info, (void)context;
	was_on_alternate = &here >= alternate && &here < alternate + sizeof(alternate);
	stack_t now;

	if (sigaltstack(NULL, &now) == 0 && was_on_alternate)
		was_on_alternate = now.ss_flags & SS_ONSTACK;
}

static void alternate_stack(void)
{
	stack_t stack = { .ss_sp = alternate, .ss_size = sizeof(alternate) }, old;

	EXPECT(sigaltstack(&stack, NULL) == 0);
	handle(SIGUSR1, look_at_stack, SA_ONSTACK);
	raise(SIGUSR1);
	EXPECT(was_on_alternate);
	handle(SIGUSR1, look_at_stack, 0);
	raise(SIGUSR1);
	EXPECT(!was_on_alternate);
	stack.ss_size = 100;
	EXPECT_ERRNO(syscall(SYS_sigaltstack, &stack, NULL), ENOMEM);
	stack.ss_flags = SS_DISABLE;
	EXPECT(sigaltstack(&stack, &old) == 0);
	EXPECT(old.ss_sp == alternate && old.ss_size == sizeof(alternate) && old.ss_flags == 0);
	EXPECT(sigaltstack(NULL, &old) == 0 && old.ss_flags == SS_DISABLE);
}

static void kill_soon(pid_t target, int sig, long ms)
{
	if (fork() == 0) {
		sleep_ms(ms);
		kill(target, sig);
		_exit(0);
	}
}

static void interrupted_and_restarted(void)
{
	int fds[2], status;
	char byte;
	pid_t pid;

	REQUIRE(pipe(fds) == 0);
	signal(SIGCHLD, SIG_DFL);
	handle(SIGUSR1, note, 0);
	kill_soon(getpid(), SIGUSR1, 30);
	EXPECT_ERRNO(read(fds[0], &byte, 1), EINTR);
	EXPECT_EQ(calls, 1);
	wait(&status);
	handle(SIGUSR1, note, SA_RESTART);
	pid = fork();
	if (pid == 0) {
		sleep_ms(30);
		kill(getppid(), SIGUSR1);
		sleep_ms(30);
		_exit(write(fds[1], "x", 1) != 1);
	}
	EXPECT_EQ(read(fds[0], &byte, 1), 1);
	EXPECT_EQ(calls, 1);
	EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
	/* sleeping is never restarted, and says what is left */
	struct timespec t = { 5, 0 }, left = { 0, 0 };

	kill_soon(getpid(), SIGUSR1, 30);
	EXPECT_ERRNO(nanosleep(&t, &left), EINTR);
	EXPECT(left.tv_sec == 4);
	wait(&status);
	close(fds[0]), close(fds[1]);
}

static void suspending(void)
{
	sigset_t none, set;
	int status;

	sigemptyset(&none);
	handle(SIGUSR1, note, 0);
	block(SIG_BLOCK, SIGUSR1);
	kill_soon(getpid(), SIGUSR1, 20);
	EXPECT_ERRNO(sigsuspend(&none), EINTR);
	EXPECT_EQ(calls, 1);
	sigprocmask(SIG_BLOCK, NULL, &set);
	EXPECT(sigismember(&set, SIGUSR1));
	wait(&status);
	raise(SIGUSR1);
	EXPECT_ERRNO(sigsuspend(&none), EINTR);
	EXPECT_EQ(calls, 2);
	block(SIG_UNBLOCK, SIGUSR1);
	kill_soon(getpid(), SIGUSR1, 20);
	EXPECT_ERRNO(pause(), EINTR);
	wait(&status);
}

static void waiting_for(void)
{
	struct timespec soon = { 0, 20000000 };
	siginfo_t info;
	sigset_t set;
	int status;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	block(SIG_BLOCK, SIGUSR2);
	EXPECT_ERRNO(sigtimedwait(&set, &info, &soon), EAGAIN);
	kill(getpid(), SIGUSR2);
	EXPECT_EQ(sigtimedwait(&set, &info, &soon), SIGUSR2);
	EXPECT_EQ(info.si_signo, SIGUSR2);
	EXPECT_EQ(info.si_pid, getpid());
	kill_soon(getpid(), SIGUSR2, 20);
	EXPECT_EQ(sigwaitinfo(&set, &info), SIGUSR2);
	wait(&status);
	handle(SIGUSR1, note, 0);
	kill_soon(getpid(), SIGUSR1, 20);
	soon.tv_sec = 5;
	EXPECT_ERRNO(syscall(SYS_rt_sigtimedwait, &set, &info, &soon, 8), EINTR);
	wait(&status);
	block(SIG_UNBLOCK, SIGUSR2);
}

static void children_report(void)
{
	siginfo_t info;
	sigset_t set;
	pid_t pid;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	block(SIG_BLOCK, SIGCHLD);
	pid = fork();
	if (pid == 0)
		_exit(9);
	EXPECT_EQ(sigwaitinfo(&set, &info), SIGCHLD);
	EXPECT_EQ(info.si_pid, pid);
	EXPECT_EQ(info.si_code, CLD_EXITED);
	EXPECT_EQ(info.si_status, 9);
	EXPECT_EQ(wait(NULL), pid);
	pid = fork();
	if (pid == 0)
		for (;;)
			pause();
	kill(pid, SIGSTOP);
	EXPECT_EQ(sigwaitinfo(&set, &info), SIGCHLD);
	EXPECT_EQ(info.si_code, CLD_STOPPED);
	EXPECT_EQ(info.si_status, SIGSTOP);
	kill(pid, SIGCONT);
	EXPECT_EQ(sigwaitinfo(&set, &info), SIGCHLD);
	EXPECT_EQ(info.si_code, CLD_CONTINUED);
	kill(pid, SIGKILL);
	EXPECT_EQ(sigwaitinfo(&set, &info), SIGCHLD);
	EXPECT_EQ(info.si_code, CLD_KILLED);
	EXPECT_EQ(info.si_status, SIGKILL);
	EXPECT_EQ(wait(NULL), pid);
	block(SIG_UNBLOCK, SIGCHLD);
	/* ignored: no zombies */
	signal(SIGCHLD, SIG_IGN);
	pid = fork();
	if (pid == 0)
		_exit(1);
	EXPECT_ERRNO(waitpid(pid, NULL, 0), ECHILD);
	signal(SIGCHLD, SIG_DFL);
}

static void timers(void)
{
	struct itimerval timer = { { 0, 10000 }, { 0, 20000 } }, now, none = { 0 };
	sigset_t waiting;

	handle(SIGALRM, note, 0);
	sigemptyset(&waiting);
	EXPECT(setitimer(ITIMER_REAL, &timer, NULL) == 0);
	while (calls < 5)
		sigsuspend(&waiting);
	EXPECT(getitimer(ITIMER_REAL, &now) == 0);
	EXPECT(now.it_interval.tv_usec == 10000 && now.it_value.tv_usec <= 10000);
	EXPECT(setitimer(ITIMER_REAL, &none, NULL) == 0);
	calls = 0;
	sleep_ms(40);
	EXPECT_EQ(calls, 0);
	EXPECT_EQ(alarm(100), 0);
	EXPECT(alarm(0) > 90);
	timer.it_value.tv_usec = 1000000;
	EXPECT_ERRNO(setitimer(ITIMER_REAL, &timer, NULL), EINVAL);
	signal(SIGALRM, SIG_DFL);
}

static void default_actions_child(void)
{
	for (;;)
		pause();
}

static void default_actions(void)
{
	const int deadly[] = { SIGHUP,	SIGINT,	 SIGQUIT, SIGILL,  SIGABRT, SIGFPE,  SIGKILL,
			       SIGUSR1, SIGSEGV, SIGPIPE, SIGALRM, SIGTERM, SIGRTMIN };
	int status;

	for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++) {
		signal(deadly[i], SIG_DFL);

		pid_t pid = fork();

		if (pid == 0) {
			kill(getppid(), SIGURG); /* ignored by default */
			default_actions_child();
		}
		kill(pid, SIGCHLD), kill(pid, SIGURG), kill(pid, SIGWINCH), kill(pid, SIGCONT);
		sleep_ms(2);
		kill(pid, deadly[i]);
		EXPECT(waitpid(pid, &status, 0) == pid);
		EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == deadly[i]);
	}
}

static void stack_is_gone_child(void)
{
	handle(SIGUSR1, note, 0);
	/* a handler that cannot be called, its stack is not there: SIGSEGV, and that kills */
	signal(SIGSEGV, SIG_DFL);
	__asm__ volatile("mov $0x10, %%rsp\n\tsyscall"
			 :
			 : "a"((long)SYS_tgkill), "D"((long)getpid()), "S"((long)gettid()),
			   "d"((long)SIGUSR1)
			 : "memory", "rcx", "r11");
	_exit(1);
}

static void bad_return_child(void)
{
	signal(SIGSEGV, SIG_DFL);
	__asm__ volatile("mov $0x10, %%rsp\n\tsyscall" : : "a"((long)SYS_rt_sigreturn) : "memory");
	_exit(1);
}

static void impossible_frames(void)
{
	int status = in_child(stack_is_gone_child);

	EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	status = in_child(bad_return_child);
	EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static void nothing(int sig)
{
	(void)sig;
}

/* Long copies without end in sight stop for a signal: BYTES of addresses that are 1 MiB of memory. */
static void long_copies_end(void)
{
	const size_t bytes = 1UL << 30;
	int zero = open("/dev/zero", O_RDONLY), random = open("/dev/urandom", O_RDONLY), fd = memfd_create("x", 0);
	char *at = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct itimerval soon = { { 0, 0 }, { 0, 20000 } };
	struct sigaction act = { .sa_handler = nothing };

	REQUIRE(at != MAP_FAILED && fd >= 0 && ftruncate(fd, MIB) == 0);
	for (size_t i = 0; i < bytes; i += MIB)
		REQUIRE(mmap(at + i, MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == at + i);
	sigaction(SIGALRM, &act, NULL);
	for (int way = 0; way < 3; way++) {
		ssize_t n;

		setitimer(ITIMER_REAL, &soon, NULL);
		n = way == 0 ? syscall(SYS_getrandom, at, bytes, 0) : read(way == 1 ? random : zero, at, bytes);
		EXPECT(n > 0 && n < (ssize_t)bytes);
	}
	munmap(at, bytes);
	close(zero), close(random), close(fd);
}

int main(void)
{
	RUN(faults_say_why);
	RUN(handlers_see_and_change_registers);
	RUN(raise_and_kill);
	RUN(masks_and_pending);
	RUN(realtime_signals_queue);
	RUN(flags_of_handlers);
	RUN(alternate_stack);
	RUN(interrupted_and_restarted);
	RUN(suspending);
	RUN(waiting_for);
	RUN(children_report);
	RUN(timers);
	RUN(default_actions);
	RUN(impossible_frames);
	RUN(long_copies_end);
	return test_end();
}
