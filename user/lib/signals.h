/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The signals that ask a program to end, as something that its loop waits for.
 */
#ifndef R3MAP_SIGNALS_H
#define R3MAP_SIGNALS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/signalfd.h>

struct error;
struct loop;
struct loop_source;

/*
 * Blocks SIGTERM, SIGINT and SIGHUP, and ignores SIGPIPE, before there are threads, which inherit
 * it; @source, whose ready is set, then has a struct signalfd_siginfo for each. A SIGHUP that is
 * ignored stays so, for nohup(1). Returns 0 or a negative errno with a sentence; @source's fd, if
 * that is not -1, is the caller's to close either way.
 */
int signals_watch(struct loop *loop, struct loop_source *source, struct error *error);
/*
 * The end of that: from now on such a signal ends the process at once, for who tidies up may wait
 * for what never comes. In the thread that has watched; @source->fd may be -1.
 */
void signals_unwatch(struct loop *loop, struct loop_source *source);

/*
 * Takes the next one from @source. False: there is none. *@again: it is the second within some
 * seconds, a wish for force. @last, 0 at first, is when the last one came that counts for that: ns.
 */
bool signals_take(const struct loop_source *source, struct signalfd_siginfo *info,
		  uint64_t *last, bool *again);

#endif
