// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The attribute LATENCY of DEVICE_GET. See latency.h.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <string.h>

#include "lib/error.h"
#include "lib/latency.h"
#include "nl/control.h"
#include "nl/latency.h"

static const char *const kind_names[] = {
	[R3MAP_A_LATENCY_HITS] = "hits",
	[R3MAP_A_LATENCY_DEMANDS] = "demands",
	[R3MAP_A_LATENCY_COALESCED] = "coalesced",
	[R3MAP_A_LATENCY_READS] = "reads",
	[R3MAP_A_LATENCY_WRITES] = "writes",
	[R3MAP_A_LATENCY_FLUSHES] = "flushes",
	[R3MAP_A_LATENCY_DISCARDS] = "discards",
	[R3MAP_A_LATENCY_ZEROES] = "zeroes",
	[R3MAP_A_LATENCY_FETCHES] = "fetches",
};
_Static_assert(sizeof(kind_names) / sizeof(kind_names[0]) == __R3MAP_A_LATENCY_MAX,
	       "a name for each kind");

/* 0 or -EBADMSG. */
static int histogram_parse(struct nlattr *nest, struct latency_view *view)
{
	struct nlattr *attrs[__R3MAP_A_HISTOGRAM_MAX];

	if (nla_parse_nested(attrs, R3MAP_A_HISTOGRAM_MAX, nest, NULL) ||
	    !attrs[R3MAP_A_HISTOGRAM_SUM] || !attrs[R3MAP_A_HISTOGRAM_LONGEST] ||
	    !attrs[R3MAP_A_HISTOGRAM_BUCKETS] ||
	    nla_len(attrs[R3MAP_A_HISTOGRAM_SUM]) != sizeof(uint64_t) ||
	    nla_len(attrs[R3MAP_A_HISTOGRAM_LONGEST]) != sizeof(uint64_t) ||
	    nla_len(attrs[R3MAP_A_HISTOGRAM_BUCKETS]) != sizeof(view->bucket))
		return -EBADMSG;
	*view = (struct latency_view) {
		.sum = nla_get_u64(attrs[R3MAP_A_HISTOGRAM_SUM]),
		.longest = nla_get_u64(attrs[R3MAP_A_HISTOGRAM_LONGEST]),
		.one_in = 1,
	};
	memcpy(view->bucket, nla_data(attrs[R3MAP_A_HISTOGRAM_BUCKETS]), sizeof(view->bucket));
	for (unsigned int i = 0; i < R3MAP_LATENCY_BUCKETS; i++)
		view->count += view->bucket[i];
	return 0;
}

static int latency_reply(struct nlattr **attrs, void *data)
{
	struct nlattr *kinds[__R3MAP_A_LATENCY_MAX];
	struct latency_view view;
	cJSON *object = data;

	if (!attrs[R3MAP_A_DEVICE_LATENCY] ||
	    nla_parse_nested(kinds, R3MAP_A_LATENCY_MAX, attrs[R3MAP_A_DEVICE_LATENCY], NULL))
		return -EBADMSG;
	for (unsigned int i = 1; i <= R3MAP_A_LATENCY_MAX; i++) {
		if (!kinds[i])
			continue;
		if (histogram_parse(kinds[i], &view))
			return -EBADMSG;
		if (i == R3MAP_A_LATENCY_HITS)
			view.one_in = R3MAP_LATENCY_SAMPLE;
		if (!cJSON_AddItemToObject(object, kind_names[i], latency_json(&view)))
			return -ENOMEM;
	}
	return 0;
}

int device_latency(struct control *control, uint32_t index, cJSON *object, struct error *error)
{
	struct nl_msg *msg = control_message(control, R3MAP_CMD_DEVICE_GET, 0);
	int err;

	if (!msg || nla_put_u32(msg, R3MAP_A_DEVICE_INDEX, index)) {
		nlmsg_free(msg);
		return error_set(error, -ENOMEM, "out of memory");
	}
	err = control_request(control, msg, R3MAP_A_DEVICE_MAX, latency_reply, object, error);
	if (err == -EBADMSG)
		return error_set(error, err, "the module tells no latencies: module and program do not fit");
	return err;
}
