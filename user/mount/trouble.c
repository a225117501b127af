// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is wrong now. See trouble.h.
 */
#include <errno.h>
#include <stddef.h>

#include "lib/loop.h"
#include "mount/trouble.h"

void trouble_note(struct trouble *trouble, int code)
{
	uint64_t nothing = 0;

	atomic_store(&trouble->code, code);
	atomic_compare_exchange_strong(&trouble->since, &nothing, loop_now());
}

void trouble_over(struct trouble *trouble)
{
	atomic_store(&trouble->since, 0);
}

static void reach_told(struct backend_listener *listener, bool lost)
{
	struct reach *reach = (struct reach *)((char *)listener - offsetof(struct reach, listener));

	if (lost) {
		atomic_fetch_add(&reach->lost, 1);
		trouble_note(&reach->trouble, -ENOTCONN);
	} else if (atomic_fetch_sub(&reach->lost, 1) == 1) {
		trouble_over(&reach->trouble);
	}
	if (reach->next)
		reach->next->told(reach->next, lost);
}

void reach_listen(struct reach *reach, struct backend *backend, struct backend_listener *next)
{
	reach->listener.told = reach_told;
	reach->next = next;
	backend_listen(backend, &reach->listener);
}
