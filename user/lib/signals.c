// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Signals that end a program: see signals.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/loop.h"
#include "lib/signals.h"

#define FORCE_WITHIN	5000000000ULL	/* ns between two signals that mean force */

static void watched(sigset_t *set)
{
	struct sigaction hangup;

	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	if (!sigaction(SIGHUP, NULL, &hangup) && hangup.sa_handler != SIG_IGN)
		sigaddset(set, SIGHUP);
}

int signals_watch(struct loop *loop, struct loop_source *source, struct error *error)
{
	sigset_t set;
	int code;

	watched(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	source->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	code = source->fd < 0 ? -errno : loop_add(loop, source, EPOLLIN);
	return code ? error_set(error, code, "cannot wait for signals: %s", strerror(-code)) : 0;
}

void signals_unwatch(struct loop *loop, struct loop_source *source)
{
	sigset_t set;

	if (source->added)
		loop_remove(loop, source);
	if (source->fd >= 0)
		close(source->fd);
	source->fd = -1;
	watched(&set);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

bool signals_take(const struct loop_source *source, struct signalfd_siginfo *info,
		  uint64_t *last, bool *again)
{
	const uint64_t now = loop_now();

	if (read(source->fd, info, sizeof(*info)) != sizeof(*info))
		return false;
	/* A terminal that is closed sends SIGHUP, and its shell sends another: no wish for force. */
	*again = *last && now - *last < FORCE_WITHIN && info->ssi_signo != SIGHUP;
	if (info->ssi_signo != SIGHUP)
		*last = now;
	return true;
}
