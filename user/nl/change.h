/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Changing a device while it is in use, whoever serves it.
 */
#ifndef R3MAP_NL_CHANGE_H
#define R3MAP_NL_CHANGE_H

#include <stdint.h>

struct error;

#define CHANGE_NOT	UINT32_MAX

/* What is to be different; the values of CHANGE_NOTHING leave it as it is. */
struct device_change {
	uint64_t size;		/* bytes, or UINT64_MAX */
	int read_only;		/* 0 off, 1 on, or -1 */
	uint32_t timeout, park;	/* ms, or CHANGE_NOT */
	uint64_t throttle;	/* bytes a second, 0: no limit; or UINT64_MAX */
};

#define CHANGE_NOTHING	{ .size = UINT64_MAX, .read_only = -1, \
			  .timeout = CHANGE_NOT, .park = CHANGE_NOT, \
			  .throttle = UINT64_MAX }

/* Changes device @index. Returns 0, or a negative errno with a sentence. */
int device_change(uint32_t index, const struct device_change *change, struct error *error);

#endif
