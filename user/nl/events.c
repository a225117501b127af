// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Listening to the group "events", see events.h. The socket is of its own, so that answers to
 * commands and events cannot be mistaken for each other.
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/error.h"
#include "nl/control.h"
#include "nl/device.h"
#include "nl/events.h"

#define EVENTS_BUFFER	(256 << 10)	/* bytes: some hundred events */

struct events {
	struct nl_sock *sock;
	struct nl_cb *cb;
	void (*each)(const struct device *device, void *data);	/* of the events_read() under way */
	void *data;
};

static int events_valid(struct nl_msg *msg, void *arg)
{
	struct events *events = arg;
	struct nlattr *attrs[__R3MAP_A_DEVICE_MAX];
	const struct genlmsghdr *header = genlmsg_hdr(nlmsg_hdr(msg));
	struct device device;

	if (header->cmd != R3MAP_CMD_DEVICE_EVENT ||
	    genlmsg_parse(nlmsg_hdr(msg), 0, attrs, R3MAP_A_DEVICE_MAX, NULL) ||
	    device_parse(attrs, &device))
		return NL_OK;
	events->each(&device, events->data);
	return NL_OK;
}

/* Events answer nothing, so they have no sequence. */
static int events_any_seq(struct nl_msg *msg, void *arg)
{
	(void)msg;
	(void)arg;
	return NL_OK;
}

int events_open(struct control *control, struct events **events, struct error *error)
{
	struct events *e = calloc(1, sizeof(*e));
	int group, err;

	if (!e)
		return error_set(error, -ENOMEM, "out of memory");
	group = control_group(control, R3MAP_MCGRP_EVENTS);
	if (group < 0) {
		free(e);
		return error_set(error, group, "the module has no group of events: module and program do not fit");
	}
	e->sock = nl_socket_alloc();
	e->cb = nl_cb_alloc(NL_CB_DEFAULT);
	if (!e->sock || !e->cb) {
		events_close(e);
		return error_set(error, -ENOMEM, "out of memory");
	}
	nl_cb_set(e->cb, NL_CB_SEQ_CHECK, NL_CB_CUSTOM, events_any_seq, NULL);
	nl_cb_set(e->cb, NL_CB_VALID, NL_CB_CUSTOM, events_valid, e);
	err = genl_connect(e->sock);
	if (!err)
		err = nl_socket_add_membership(e->sock, group);
	if (!err)
		err = nl_socket_set_nonblocking(e->sock);
	if (err) {
		events_close(e);
		return error_set(error, -EIO, "cannot listen to the module's events: %s",
				 nl_geterror(err));
	}
	nl_socket_set_buffer_size(e->sock, EVENTS_BUFFER, 0);
	*events = e;
	return 0;
}

void events_close(struct events *events)
{
	if (!events)
		return;
	if (events->cb)
		nl_cb_put(events->cb);
	nl_socket_free(events->sock);
	free(events);
}

int events_fd(const struct events *events)
{
	return nl_socket_get_fd(events->sock);
}

int events_read(struct events *events, void (*each)(const struct device *device, void *data),
		void *data)
{
	bool lost = false, moved = true;
	int err;

	events->each = each;
	events->data = data;
	for (;;) {
		err = nl_recvmsgs(events->sock, events->cb);
		if (err == -NLE_AGAIN)
			return lost ? -ENOBUFS : 0;
		/*
		 * libnl says "out of memory" for ENOBUFS: events were lost. From then on the kernel
		 * drops all of them, and does not say so again, until the socket is empty: only a
		 * dump that is asked for after that misses nothing. So reading goes on to the end,
		 * also when some are lost once more on the way there. Twice in a row it may be
		 * memory that is short.
		 */
		if (err < 0 && (err != -NLE_NOMEM || !moved))
			return err == -NLE_NOMEM ? -ENOBUFS : -EIO;
		lost |= err < 0;
		moved = err >= 0;
	}
}
