/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Private to nl/: the table of a device's attributes, shared by device.c (wire) and
 * names.c (words and JSON).
 */
#ifndef R3MAP_NL_ATTR_H
#define R3MAP_NL_ATTR_H

#include <stddef.h>

#include "nl/device.h"

enum device_attr_kind {
	DEVICE_NONE,
	DEVICE_U32,
	DEVICE_U64,
	DEVICE_STRING,
	DEVICE_FLAG,
	DEVICE_COUNTERS,
	DEVICE_TROUBLES,
};

struct device_attr {
	const char *name;		/* the JSON key */
	enum device_attr_kind kind;
	size_t offset;			/* in struct device */
};

/* By R3MAP_A_DEVICE_*. */
extern const struct device_attr device_attrs[__R3MAP_A_DEVICE_MAX];

#endif
