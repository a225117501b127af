// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel's NBD client. See knbd.h.
 *
 * No timeout is given: what a request waits for is the backend, which has its own. When this
 * process ends, its ends of the sockets close, and the kernel fails what is under way.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/nbd-netlink.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "lib/error.h"
#include "nl/control.h"
#include "nl/knbd.h"

#define FREE_MS		10000	/* upper bound; somebody may be closing the device */

static int knbd_no_module(struct error *error)
{
	return error_set(error, -ENOENT,
			 "the kernel's NBD client is not there: %s 'modprobe nbd', or mount without --via nbd",
			 geteuid() ? "ask root to run" : "run");
}

int knbd_open(struct control **control, struct error *error)
{
	return control_open_family(control, NBD_GENL_FAMILY_NAME, knbd_no_module, error);
}

static int knbd_put_sockets(struct nl_msg *msg, const struct knbd_setup *setup)
{
	/* NLA_F_NESTED by hand: libnl sets it since 3.5 only. */
	struct nlattr *list = nla_nest_start(msg, NBD_ATTR_SOCKETS | NLA_F_NESTED), *item;

	if (!list)
		return -ENOMEM;
	for (unsigned int i = 0; i < setup->count; i++) {
		item = nla_nest_start(msg, NBD_SOCK_ITEM | NLA_F_NESTED);
		if (!item || nla_put_u32(msg, NBD_SOCK_FD, (uint32_t)setup->sockets[i]))
			return -ENOMEM;
		nla_nest_end(msg, item);
	}
	nla_nest_end(msg, list);
	return 0;
}

static int knbd_put(struct nl_msg *msg, const struct knbd_setup *setup)
{
	if ((setup->index != KNBD_ANY && nla_put_u32(msg, NBD_ATTR_INDEX, setup->index)) ||
	    nla_put_u64(msg, NBD_ATTR_SIZE_BYTES, setup->size) ||
	    nla_put_u64(msg, NBD_ATTR_BLOCK_SIZE_BYTES, setup->block) ||
	    nla_put_u64(msg, NBD_ATTR_SERVER_FLAGS, setup->flags))
		return -ENOMEM;
	return knbd_put_sockets(msg, setup);
}

static int knbd_reply(struct nlattr **attrs, void *data)
{
	uint32_t *index = data;

	if (!attrs[NBD_ATTR_INDEX] || nla_len(attrs[NBD_ATTR_INDEX]) != sizeof(uint32_t))
		return -EBADMSG;
	*index = nla_get_u32(attrs[NBD_ATTR_INDEX]);
	return 0;
}

int knbd_connect(struct control *control, const struct knbd_setup *setup, uint32_t *index,
		struct error *error)
{
	struct nl_msg *msg = control_message(control, NBD_CMD_CONNECT, 0);
	int err;

	if (!msg || knbd_put(msg, setup)) {
		nlmsg_free(msg);
		return error_set(error, -ENOMEM, "out of memory for a message");
	}
	err = control_request(control, msg, NBD_ATTR_MAX, knbd_reply, index, error);
	if (err == -EBUSY)
		return error_set(error, err,
				 "/dev/nbd%" PRIu32 " is in use: give another --index, or leave it out",
				 setup->index);
	return err ? error_prefix(error, "cannot connect /dev/nbd") : 0;
}

uint32_t knbd_owner(uint32_t index)
{
	uint32_t pid = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/block/nbd%" PRIu32 "/pid", index);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%" SCNu32, &pid) != 1)
		pid = 0;
	fclose(file);
	return pid;
}

/* It lets go of its configuration some time later if somebody is just closing it. */
static void knbd_wait_free(uint32_t index)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	for (int ms = 0; ms < FREE_MS && knbd_owner(index); ms++)
		nanosleep(&pause, NULL);
}

int knbd_disconnect(struct control *control, uint32_t index, struct error *error)
{
	struct nl_msg *msg = control_message(control, NBD_CMD_DISCONNECT, 0);
	int err;

	if (!msg || nla_put_u32(msg, NBD_ATTR_INDEX, index)) {
		nlmsg_free(msg);
		return error_set(error, -ENOMEM, "out of memory for a message");
	}
	err = control_request(control, msg, 0, NULL, NULL, error);
	if (err)
		return error_prefix(error, "cannot disconnect /dev/nbd%" PRIu32, index);
	knbd_wait_free(index);
	return 0;
}
