// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Looking at a file where it is. See window.h.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sync/window.h"

/* What a thread looks at. */
struct looking {
	const struct window *window;
	sigjmp_buf away;
};

static _Thread_local struct looking *volatile looking;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct sigaction before;
static int once_failed;

static void on_sigbus(int signal, siginfo_t *info, void *context)
{
	struct looking *mine = looking;
	const char *at = info->si_addr;

	(void)context;
	if (mine && info->si_code > 0 && at >= mine->window->map &&
	    at < mine->window->map + mine->window->mapped)
		siglongjmp(mine->away, 1);
	/* Not ours: when we return it comes again, or is sent again, to whoever had it before. */
	sigaction(signal, &before, NULL);
	if (info->si_code <= 0)
		raise(signal);
}

static void take_sigbus(void)
{
	struct sigaction ours = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };

	sigemptyset(&ours.sa_mask);
	if (sigaction(SIGBUS, &ours, &before))
		once_failed = -errno;
}

int window_open(struct window *window, int fd, uint64_t offset, size_t length)
{
	const size_t within = offset % (size_t)sysconf(_SC_PAGESIZE);
	void *map;

	pthread_once(&once, take_sigbus);
	if (once_failed)
		return once_failed;
	map = mmap(NULL, within + length, PROT_READ, MAP_SHARED, fd, (off_t)(offset - within));
	if (map == MAP_FAILED)
		return -errno;
	*window = (struct window) { (char *)map + within, map, within + length };
	return 0;
}

void window_close(struct window *window)
{
	munmap(window->map, window->mapped);
}

bool window_look(const struct window *window, void (*look)(void *data), void *data)
{
	struct looking mine = { .window = window };

	if (sigsetjmp(mine.away, 1)) {
		looking = NULL;
		return false;
	}
	looking = &mine;
	look(data);
	looking = NULL;
	return true;
}
