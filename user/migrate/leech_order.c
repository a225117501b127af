// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is asked of a leecher from outside: to be finalized, by itself or as one of a group. Called by the main
 * thread; the leecher's own looks at it. See leech.h.
 */
#include <errno.h>
#include <sys/eventfd.h>

#include "lib/error.h"
#include "migrate/leech_state.h"
#include "mount/managed.h"

/* In which phase may nothing be asked for any more? */
static int order_is_late(enum leech_phase phase, struct error *error)
{
	if (phase == LEECH_ARRIVING || phase == LEECH_COMPLETE)
		return error_set(error, -EALREADY, "its region is in use here already");
	if (phase == LEECH_LOST)
		return error_set(error, -EREMOTE, "its region has gone to another leecher: remove this device");
	if (phase == LEECH_FAILED)
		return error_set(error, -ECONNABORTED, "its migration has failed: the helper's log says why");
	return 0;
}

/* The leecher may be waiting for all to be local. */
static void order_finalize(struct leech *l)
{
	atomic_store(&l->asked, true);
	eventfd_write(l->managed->all_local, 1);
}

int leech_finalize(struct leech *l, struct error *error)
{
	int err;

	pthread_mutex_lock(&l->lock);
	err = order_is_late(l->phase, error);
	if (!err && l->grouped)
		err = error_set(error, -EBUSY, "it is one of a group that is being finalized");
	else if (!err)
		order_finalize(l);
	pthread_mutex_unlock(&l->lock);
	return err;
}

int leech_prepare(struct leech *l, struct error *error)
{
	int err;

	pthread_mutex_lock(&l->lock);
	err = order_is_late(l->phase, error);
	if (!err && (l->grouped || l->phase == LEECH_FINALIZING || atomic_load(&l->asked)))
		err = error_set(error, -EBUSY, "it is being finalized already");
	if (!err) {
		l->grouped = true;
		order_finalize(l);
	}
	pthread_mutex_unlock(&l->lock);
	return err;
}

int leech_proceed(struct leech *l, struct error *error)
{
	int err;

	pthread_mutex_lock(&l->lock);
	err = order_is_late(l->phase, error);
	if (!err && (!l->grouped || l->phase != LEECH_PREPARED || leech_is_undone(l)))
		err = error_set(error, -EBUSY, "it is not prepared, or not any more");
	else if (!err)
		l->verdict = VERDICT_GO;
	pthread_mutex_unlock(&l->lock);
	return err;
}

int leech_undo(struct leech *l, struct error *error)
{
	int err = 0;

	pthread_mutex_lock(&l->lock);
	if (!l->grouped || l->verdict == VERDICT_GO)
		err = error_set(error, -EALREADY, "it is not one of a group that could be undone");
	else
		l->verdict = VERDICT_UNDO;
	pthread_mutex_unlock(&l->lock);
	return err;
}

void leech_left(struct leech *l)
{
	pthread_mutex_lock(&l->lock);
	if (l->grouped && l->verdict == VERDICT_NONE)
		l->verdict = VERDICT_LEFT;
	pthread_mutex_unlock(&l->lock);
}

bool leech_has_region(struct leech *l)
{
	enum leech_phase phase = leech_phase(l);

	return phase == LEECH_ARRIVING || phase == LEECH_COMPLETE;
}

bool leech_is_between(struct leech *l)
{
	enum leech_phase phase = leech_phase(l);

	return phase == LEECH_FINALIZING || phase == LEECH_PREPARED || phase == LEECH_ARRIVING;
}
