/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nl/ is everything that speaks generic netlink with r3map.ko (and, knbd.c, with nbd.ko): control
 * (a socket for commands), device (what the DEVICE_* commands carry), events (the multicast group),
 * queue (the hot path, built by hand). Nothing outside nl/ sees a netlink message.
 *
 * A control socket is a request-reply socket on libnl-genl-3. The kernel ties a device to the
 * socket that made it: while that one is open the helper is alive.
 */
#ifndef R3MAP_NL_CONTROL_H
#define R3MAP_NL_CONTROL_H

#include <stdint.h>

struct error;
struct nl_msg;
struct nlattr;

struct control;

/* What the module tells about itself, FEATURES_GET. */
struct features {
	char version[64];
	uint64_t features;	/* R3MAP_FEATURE_* */
	uint32_t max_queues, max_depth;
	uint32_t max_io, max_io_inline;		/* bytes */
	uint64_t max_area;			/* bytes */
	uint32_t max_batch;
};

/*
 * Opens a socket and finds the family. Returns 0 and *@control, which the caller owns, or a
 * negative errno; -ENOENT with a sentence that says how to load the module if it is not there.
 */
int control_open(struct control **control, struct error *error);
/* The same for another family, whose version is 1. @missing: says so, and returns -ENOENT. */
int control_open_family(struct control **control, const char *family,
			int (*missing)(struct error *error), struct error *error);
void control_close(struct control *control);

/* Number of the family. */
uint16_t control_family(const struct control *control);
/* Number of the multicast group @name, or a negative errno. */
int control_group(struct control *control, const char *name);

int control_features(struct control *control, struct features *features, struct error *error);

/* A message for command @cmd; NULL if there is no memory. The caller adds attributes. */
struct nl_msg *control_message(struct control *control, int cmd, int flags);
/*
 * Sends @msg and frees it, waits for the end of the answer and calls @reply (may be NULL) for each
 * message of it with its attributes, from R3MAP_A_*_UNSPEC to @max. A negative errno of @reply
 * stops. Returns 0 or a negative errno; the kernel's own words, if it had any, are in @error.
 */
int control_request(struct control *control, struct nl_msg *msg, int max,
		    int (*reply)(struct nlattr **attrs, void *data), void *data,
		    struct error *error);

#endif
