// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The control socket. libnl builds, sends and reads; the one thing done here by hand is the text
 * that the kernel attaches to a refusal (extended acknowledgement), which libnl 3.7 cannot show
 * and which is the sentence the user needs.
 *
 * A socket is used by one thread at a time.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/r3map.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/error.h"
#include "nl/control.h"
#include "nl/extack.h"

/* Bytes of a message that is sent: what names a device, and R3MAP_MAX_EXTENTS. */
#define MESSAGE_MOST	8192

struct control {
	struct nl_sock *sock;
	int family;
};

/* One request under way; lives on the stack of control_request(). */
struct request {
	int (*reply)(struct nlattr **attrs, void *data);
	void *data;
	int max;
	bool done;
	int err;		/* negative errno */
	char text[256];		/* the kernel's words */
};

/* libnl's own codes, for the few ways in which it fails without the kernel. */
static int control_errno(int nle)
{
	switch (-nle) {
	case NLE_SUCCESS:
		return 0;
	case NLE_NOMEM:
		return -ENOMEM;
	case NLE_PERM:
	case NLE_NOACCESS:
		return -EPERM;
	case NLE_OBJ_NOTFOUND:
		return -ENOENT;
	case NLE_AGAIN:
		return -EAGAIN;
	case NLE_AF_NOSUPPORT:
		return -EAFNOSUPPORT;
	default:
		return -EIO;
	}
}

static int control_no_module(struct error *error)
{
	if (geteuid())
		return error_set(error, -ENOENT,
				 "the kernel module r3map is not loaded: ask root to run 'modprobe r3map'");
	return error_set(error, -ENOENT,
			 "the kernel module r3map is not loaded: run 'modprobe r3map', or 'insmod r3map.ko' where it was built");
}

int control_open(struct control **control, struct error *error)
{
	return control_open_family(control, R3MAP_FAMILY_NAME, control_no_module, error);
}

int control_open_family(struct control **control, const char *family,
			int (*missing)(struct error *error), struct error *error)
{
	struct control *c = calloc(1, sizeof(*c));
	int on = 1;
	int err;

	if (!c)
		return error_set(error, -ENOMEM, "out of memory");
	c->sock = nl_socket_alloc();
	if (!c->sock) {
		free(c);
		return error_set(error, -ENOMEM, "out of memory");
	}
	err = genl_connect(c->sock);
	if (err) {
		err = error_set(error, control_errno(err), "cannot open a generic netlink socket: %s",
				nl_geterror(err));
		goto fail;
	}
	c->family = genl_ctrl_resolve(c->sock, family);
	if (c->family < 0) {
		err = missing(error);
		goto fail;
	}
	/* Both are old enough for every kernel that can load the module. */
	setsockopt(nl_socket_get_fd(c->sock), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(nl_socket_get_fd(c->sock), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	nl_socket_disable_auto_ack(c->sock);
	*control = c;
	return 0;

fail:
	control_close(c);
	return err;
}

void control_close(struct control *control)
{
	if (!control)
		return;
	nl_socket_free(control->sock);
	free(control);
}

uint16_t control_family(const struct control *control)
{
	return (uint16_t)control->family;
}

int control_group(struct control *control, const char *name)
{
	int group = genl_ctrl_resolve_grp(control->sock, R3MAP_FAMILY_NAME, name);

	return group < 0 ? control_errno(group) : group;
}

struct nl_msg *control_message(struct control *control, int cmd, int flags)
{
	struct nl_msg *msg = nlmsg_alloc_size(MESSAGE_MOST);

	if (!msg)
		return NULL;
	if (!genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, control->family, 0, flags, (uint8_t)cmd,
			 R3MAP_FAMILY_VERSION)) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

static int request_valid(struct nl_msg *msg, void *arg)
{
	struct request *request = arg;
	struct nlattr *attrs[64];
	int err;

	if (!request->reply)
		return NL_OK;
	if (request->max >= (int)(sizeof(attrs) / sizeof(attrs[0])) ||
	    genlmsg_parse(nlmsg_hdr(msg), 0, attrs, request->max, NULL)) {
		request->err = -EBADMSG;
		return NL_OK;
	}
	err = request->reply(attrs, request->data);
	if (err && !request->err)
		request->err = err;
	return NL_OK;
}

static int request_finish(struct nl_msg *msg, void *arg)
{
	struct request *request = arg;
	struct nlmsghdr *header = nlmsg_hdr(msg);

	/* The end of a dump carries its errno. */
	if (header->nlmsg_type == NLMSG_DONE && nlmsg_datalen(header) >= (int)sizeof(int) &&
	    !request->err)
		request->err = *(int *)nlmsg_data(header);
	request->done = true;
	return NL_STOP;
}

static int request_ack(struct nl_msg *msg, void *arg)
{
	struct request *request = arg;

	(void)msg;
	request->done = true;
	return NL_STOP;
}

static int request_error(struct sockaddr_nl *from, struct nlmsgerr *reply, void *arg)
{
	struct request *request = arg;
	const struct nlmsghdr *header =
		(const struct nlmsghdr *)((const char *)reply - NLMSG_HDRLEN);

	(void)from;
	request->err = reply->error;
	extack_text(header, request->text, sizeof(request->text));
	request->done = true;
	return NL_STOP;
}

int control_request(struct control *control, struct nl_msg *msg, int max,
		    int (*reply)(struct nlattr **attrs, void *data), void *data,
		    struct error *error)
{
	struct request request = { .reply = reply, .data = data, .max = max };
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	bool sent;
	int err;

	if (!cb) {
		nlmsg_free(msg);
		return error_set(error, -ENOMEM, "out of memory");
	}
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, request_valid, &request);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, request_finish, &request);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, request_ack, &request);
	nl_cb_err(cb, NL_CB_CUSTOM, request_error, &request);

	/* A dump ends with DONE, everything else with an acknowledgement. */
	if (!(nlmsg_hdr(msg)->nlmsg_flags & NLM_F_DUMP))
		nlmsg_hdr(msg)->nlmsg_flags |= NLM_F_ACK;
	err = nl_send_auto(control->sock, msg);
	nlmsg_free(msg);
	sent = err >= 0;
	while (err >= 0 && !request.done) {
		err = nl_recvmsgs(control->sock, cb);
		if (err == -NLE_DUMP_INTR)	/* a device came or went: the rest still follows */
			err = 0;
	}
	nl_cb_put(cb);
	/* One whose answer is lost may have been carried out: no code that invites to repeat it. */
	if (err < 0 && !request.done)
		return error_set(error, sent ? -EIO : control_errno(err),
				 "generic netlink failed: %s", nl_geterror(err));
	if (!request.err)
		return 0;
	if (request.text[0])
		return error_set(error, request.err, "%s", request.text);
	if (request.err == -EPERM)
		return error_set(error, request.err, "the kernel refuses: this needs CAP_SYS_ADMIN, run it as root");
	return error_set(error, request.err, "the kernel refuses: %s", strerror(-request.err));
}

static int features_reply(struct nlattr **attrs, void *data)
{
	struct features *f = data;
	const struct { int attr; uint32_t *value; } words[] = {
		{ R3MAP_A_FEATURES_MAX_QUEUES, &f->max_queues },
		{ R3MAP_A_FEATURES_MAX_DEPTH, &f->max_depth },
		{ R3MAP_A_FEATURES_MAX_IO, &f->max_io },
		{ R3MAP_A_FEATURES_MAX_IO_INLINE, &f->max_io_inline },
		{ R3MAP_A_FEATURES_MAX_BATCH, &f->max_batch },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (attrs[words[i].attr])
			*words[i].value = nla_get_u32(attrs[words[i].attr]);
	if (attrs[R3MAP_A_FEATURES_FEATURES])
		f->features = nla_get_u64(attrs[R3MAP_A_FEATURES_FEATURES]);
	if (attrs[R3MAP_A_FEATURES_MAX_AREA])
		f->max_area = nla_get_u64(attrs[R3MAP_A_FEATURES_MAX_AREA]);
	if (attrs[R3MAP_A_FEATURES_VERSION])
		nla_strlcpy(f->version, attrs[R3MAP_A_FEATURES_VERSION], sizeof(f->version));
	return 0;
}

int control_features(struct control *control, struct features *features, struct error *error)
{
	struct nl_msg *msg = control_message(control, R3MAP_CMD_FEATURES_GET, 0);

	if (!msg)
		return error_set(error, -ENOMEM, "out of memory");
	memset(features, 0, sizeof(*features));
	return control_request(control, msg, R3MAP_A_FEATURES_MAX, features_reply, features, error);
}
