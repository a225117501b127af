// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is wrong now. See trouble.h.
 */
#include <errno.h>
#include <stddef.h>

#include "lib/loop.h"
#include "mount/trouble.h"

static void trouble_tell(struct trouble *trouble)
{
	if (trouble->listener)
		trouble->listener->changed(trouble->listener);
}

void trouble_note(struct trouble *trouble, int code)
{
	const int before = atomic_exchange(&trouble->code, code);
	uint64_t nothing = 0;

	if (atomic_compare_exchange_strong(&trouble->since, &nothing, loop_now()) || before != code)
		trouble_tell(trouble);
}

void trouble_over(struct trouble *trouble)
{
	if (atomic_exchange(&trouble->since, 0))
		trouble_tell(trouble);
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
