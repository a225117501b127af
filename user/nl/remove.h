/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Deleting a device that may be another process's, and waiting for the end of it.
 */
#ifndef R3MAP_NL_REMOVE_H
#define R3MAP_NL_REMOVE_H

#include <stdbool.h>
#include <stdint.h>

struct control;
struct device;
struct error;

/*
 * Deletes @device, and waits up to @timeout_ms until the module says that it is gone, and then
 * until its helper has ended and so let go of the backend. Returns 0; -EBUSY with a sentence that
 * names who holds it; -ETIMEDOUT; or another negative errno.
 */
int device_remove(struct control *control, const struct device *device, bool force,
		  uint32_t timeout_ms, struct error *error);

#endif
