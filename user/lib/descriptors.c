// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How many files the process may have open. See descriptors.h.
 */
#include <sys/resource.h>

#include "lib/descriptors.h"

static struct rlimit before;	/* rlim_max 0: nothing was changed */

void descriptors_raise(void)
{
	struct rlimit raised;

	if (getrlimit(RLIMIT_NOFILE, &before) < 0)
		return;
	raised = before;
	raised.rlim_cur = raised.rlim_max;
	setrlimit(RLIMIT_NOFILE, &raised);
}

void descriptors_restore(void)
{
	if (before.rlim_max)
		setrlimit(RLIMIT_NOFILE, &before);
}
