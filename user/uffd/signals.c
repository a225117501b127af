// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * SIGSEGV as a page fault. See signals.h.
 *
 * Everything in the handler is a system call or an atomic variable: it may have interrupted
 * anything. One thread at a time asks; the others that fault wait for their turn and then mostly
 * find their page there. A page of a watched region is readable first, and writable once somebody
 * has written: a fault of a page that is there means that, or that two threads came at once, which
 * costs a needless push.
 */
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/rights.h"
#include "uffd/place.h"
#include "uffd/signals.h"
#include "uffd/socket.h"

#define TRAPS_MAX	16

enum page_state {
	PAGE_ABSENT,
	PAGE_CLEAN,
	PAGE_WRITTEN,
};

static _Atomic(struct trap *) traps[TRAPS_MAX];
static _Atomic unsigned int lookers[TRAPS_MAX];	/* handlers that look at one, by chance perhaps */
static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction previous;	/* guarded by it; constant while there are traps */
static unsigned int opened;		/* guarded by it */

/* --- in the handler ----------------------------------------------------------------------- */

static void futex(_Atomic int *word, int op, int value)
{
	syscall(SYS_futex, word, op, value, NULL, NULL, 0);
}

/* A lock, for who has signals blocked. 0: free, 1: taken, 2: and others wait. */
static void turn_take(_Atomic int *turn)
{
	int was = 0;

	if (atomic_compare_exchange_strong(turn, &was, 1))
		return;
	while (atomic_exchange(turn, 2))
		futex(turn, FUTEX_WAIT_PRIVATE, 2);
}

static void turn_give(_Atomic int *turn)
{
	if (atomic_exchange(turn, 0) == 2)
		futex(turn, FUTEX_WAKE_PRIVATE, 1);
}

/* Asks for the bytes around @offset. False: they cannot be had; *@length of them then. */
static bool trap_fetch(struct trap *trap, uint64_t offset, uint64_t *from, uint64_t *length)
{
	struct pollfd fd = { .fd = trap->socket, .events = POLLIN };
	struct uffd_message *m = &trap->message;
	int fds[UFFD_FDS_MAX], got;
	unsigned int count;

	*from = offset;
	*length = trap->page;
	m->type = UFFD_FETCH;
	m->range.offset = offset;
	if (uffd_send(trap->socket, m, NULL, 0, trap->buf))
		return false;
	/* Bounded by whoever watches the handler: he closes the socket. */
	do {
		poll(&fd, 1, -1);
		got = uffd_receive(trap->socket, m, fds, &count, trap->buf);
	} while (got == -EAGAIN);
	rights_close(fds, count);
	if (got <= 0 || count || m->type != UFFD_FETCHED || m->range.offset > offset ||
	    m->range.offset + m->range.length < offset + trap->page ||
	    (m->range.offset | m->range.length) & (trap->page - 1))
		return false;
	if (m->range.code)
		return false;
	*from = m->range.offset;
	*length = m->range.length;
	return true;
}

/* Pages of @region that have just come. False: the process has too many mappings. */
static bool trap_allow(struct trap *trap, const struct uffd_region *region, uint64_t from,
		       uint64_t length)
{
	const int prot = trap->watch ? PROT_READ : PROT_READ | PROT_WRITE;
	uint64_t to = from + length, end = region->offset + region->length, run;

	if (from < region->offset)
		from = region->offset;
	if (to > end)
		to = end;
	for (; from < to; from += run) {
		const bool absent = atomic_load(&trap->states[from / trap->page]) == PAGE_ABSENT;

		for (run = trap->page; absent && from + run < to &&
		     atomic_load(&trap->states[(from + run) / trap->page]) == PAGE_ABSENT;)
			run += trap->page;
		if (!absent)
			continue;
		if (mprotect((void *)(uintptr_t)(region->address + (from - region->offset)), run,
			     prot))
			return false;
		for (uint64_t at = from; at < from + run; at += trap->page)
			atomic_store(&trap->states[at / trap->page], PAGE_CLEAN);
	}
	return true;
}

/* False: the page is as it was, and would fault for ever. */
static bool trap_fault(struct trap *trap, const struct uffd_region *region, uint64_t address)
{
	uint64_t at = address & ~(uint64_t)(trap->page - 1);
	uint64_t offset = region->offset + (at - region->address), from, length;
	_Atomic unsigned char *state = &trap->states[offset / trap->page];
	bool fine = true;

	if (atomic_load(state) != PAGE_ABSENT) {
		turn_take(&trap->marking);
		atomic_store(state, PAGE_WRITTEN);
		fine = !mprotect((void *)(uintptr_t)at, trap->page, PROT_READ | PROT_WRITE);
		turn_give(&trap->marking);
		return fine;
	}
	turn_take(&trap->turn);
	if (atomic_load(state) == PAGE_ABSENT) {
		if (trap_fetch(trap, offset, &from, &length))
			fine = trap_allow(trap, region, from, length);
		else
			fine = !place_forbid(trap->nothing, at, trap->page);
	}
	turn_give(&trap->turn);
	return fine;
}

/* Whose is it? NULL: none of @trap's. */
static const struct uffd_region *trap_region(const struct trap *trap, uint64_t address)
{
	for (unsigned int i = 0; i < trap->count; i++)
		if (address - trap->regions[i].address < trap->regions[i].length)
			return trap->pid == getpid() ? &trap->regions[i] : NULL;
	return NULL;
}

static void pass_on(int number, siginfo_t *info, void *context)
{
	if (previous.sa_flags & SA_SIGINFO) {
		previous.sa_sigaction(number, info, context);
	} else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
		previous.sa_handler(number);
	} else if (info->si_code > 0) {
		/* What was done is done again when this returns, and ends the process. */
		signal(SIGSEGV, SIG_DFL);
	} else if (previous.sa_handler == SIG_DFL) {
		/* Somebody has sent it. */
		signal(SIGSEGV, SIG_DFL);
		raise(SIGSEGV);
	}
}

static void on_segv(int number, siginfo_t *info, void *context)
{
	const uint64_t address = (uint64_t)(uintptr_t)info->si_addr;
	const int code = errno;

	for (unsigned int i = 0; i < TRAPS_MAX && info->si_code > 0; i++) {
		const struct uffd_region *region;
		struct trap *trap;

		atomic_fetch_add(&lookers[i], 1);
		trap = atomic_load(&traps[i]);
		region = trap ? trap_region(trap, address) : NULL;
		atomic_fetch_sub(&lookers[i], 1);
		if (!region)
			continue;
		/* Whose memory it is does not end it while he uses it. */
		if (!trap_fault(trap, region, address))
			raise(SIGBUS);
		errno = code;
		return;
	}
	pass_on(number, info, context);
	errno = code;
}

/* --- its life ----------------------------------------------------------------------------- */

static int handler_set(void)
{
	struct sigaction ours = {
		.sa_sigaction = on_segv, .sa_flags = SA_SIGINFO | SA_RESTART | SA_NODEFER,
	};

	/* Another handler might touch the memory, and wait for the turn that this thread has. */
	sigfillset(&ours.sa_mask);
	sigdelset(&ours.sa_mask, SIGSEGV);
	sigdelset(&ours.sa_mask, SIGBUS);
	return opened++ ? 0 : sigaction(SIGSEGV, &ours, &previous);
}

int trap_open(struct trap *trap, uint64_t size, struct error *error)
{
	unsigned int i;
	int code = 0;

	trap->pid = getpid();
	trap->pages = size / trap->page;
	trap->states = calloc(trap->pages, sizeof(*trap->states));
	if (!trap->states)
		return error_set(error, -ENOMEM, "out of memory");
	pthread_mutex_lock(&opening);
	for (i = 0; i < TRAPS_MAX && atomic_load(&traps[i]); i++)
		;
	if (i == TRAPS_MAX)
		code = error_set(error, -ENOSPC, "a process can have %d maps with SIGSEGV", TRAPS_MAX);
	else if (handler_set())
		code = error_set(error, -errno, "cannot handle SIGSEGV: %s", strerror(errno));
	else
		atomic_store(&traps[i], trap);
	pthread_mutex_unlock(&opening);
	if (!code)
		return 0;
	free((void *)trap->states);
	trap->states = NULL;
	return code;
}

void trap_close(struct trap *trap)
{
	if (!trap->states)
		return;
	pthread_mutex_lock(&opening);
	for (unsigned int i = 0; i < TRAPS_MAX; i++)
		if (atomic_load(&traps[i]) == trap) {
			atomic_store(&traps[i], NULL);
			/* Faults of other memory look at this one; in a child they do not go on. */
			while (trap->pid == getpid() && atomic_load(&lookers[i]))
				sched_yield();
		}
	if (!--opened)
		sigaction(SIGSEGV, &previous, NULL);
	pthread_mutex_unlock(&opening);
	free((void *)trap->states);
	trap->states = NULL;
}

unsigned int trap_take(struct trap *trap, unsigned int n, uint64_t *from, struct uffd_extent *list)
{
	const struct uffd_region *region = &trap->regions[n];
	const uint64_t end = region->offset + region->length;
	unsigned int used = 0;
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (; *from < end; *from += trap->page) {
		_Atomic unsigned char *state = &trap->states[*from / trap->page];
		const bool joins = used && list[used - 1].offset + list[used - 1].length == *from;

		if (atomic_load(state) != PAGE_WRITTEN)
			continue;
		if (!joins && used == UFFD_EXTENTS_MAX)
			break;
		turn_take(&trap->marking);
		/* What stays writable stays written, and is told again. */
		if (!mprotect((void *)(uintptr_t)(region->address + (*from - region->offset)),
			      trap->page, PROT_READ))
			atomic_store(state, PAGE_CLEAN);
		turn_give(&trap->marking);
		if (joins)
			list[used - 1].length += trap->page;
		else
			list[used++] = (struct uffd_extent) { *from, trap->page };
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return used;
}
