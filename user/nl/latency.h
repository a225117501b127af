/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a device's bios, and the requests at its helper, take: the histograms of the module.
 */
#ifndef R3MAP_NL_LATENCY_H
#define R3MAP_NL_LATENCY_H

#include <stdint.h>

struct cJSON;
struct control;
struct error;

/*
 * Adds to @object, by its name, each kind of which there was one on device @index. 0 or a negative
 * errno with a sentence.
 */
int device_latency(struct control *control, uint32_t index, struct cJSON *object,
		   struct error *error);

#endif
