// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Cues to finalize. See cue.h.
 */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "lib/error.h"
#include "migrate/cue.h"

static void cue_signal(struct loop_source *source, uint32_t events)
{
	struct cue *cue = (struct cue *)((char *)source - offsetof(struct cue, signal));
	struct signalfd_siginfo info;

	(void)events;
	if (read(source->fd, &info, sizeof(info)) == sizeof(info))
		cue->given(cue->data);
}

/* Whoever is in the background must not read: it would be stopped. */
static bool terminal_is_ours(int fd)
{
	return tcgetpgrp(fd) == getpgrp();
}

static void cue_terminal(struct loop_source *source, uint32_t events)
{
	struct cue *cue = (struct cue *)((char *)source - offsetof(struct cue, terminal));
	char line[256];
	ssize_t got = -1;

	(void)events;
	if (terminal_is_ours(source->fd))
		got = read(source->fd, line, sizeof(line));
	if (got <= 0) {
		loop_remove(cue->loop, source);
		source->fd = -1;
	} else if (got == 2 && !memcmp(line, "f\n", 2)) {
		cue->given(cue->data);
	}
}

int cue_open(struct cue *cue, struct loop *loop, bool terminal, struct error *error)
{
	sigset_t set;
	int err;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	cue->loop = loop;
	cue->signal.ready = cue_signal;
	cue->signal.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	err = cue->signal.fd < 0 ? -errno : loop_add(loop, &cue->signal, EPOLLIN);
	if (err)
		return error_set(error, err, "cannot wait for signals: %s", strerror(-err));
	if (!terminal || !isatty(STDIN_FILENO) || !terminal_is_ours(STDIN_FILENO))
		return 0;
	cue->terminal.ready = cue_terminal;
	cue->terminal.fd = STDIN_FILENO;
	err = loop_add(loop, &cue->terminal, EPOLLIN);
	return err ? error_set(error, err, "cannot wait for the terminal: %s", strerror(-err)) : 0;
}

void cue_close(struct cue *cue)
{
	if (cue->signal.added)
		loop_remove(cue->loop, &cue->signal);
	if (cue->terminal.added)
		loop_remove(cue->loop, &cue->terminal);
	if (cue->signal.fd >= 0)
		close(cue->signal.fd);
	cue->signal.fd = cue->terminal.fd = -1;
}
