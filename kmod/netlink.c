// SPDX-License-Identifier: GPL-2.0-only
/*
 * The family: policies, operations, groups. Each command has a policy of its own, so that one which
 * it does not use is refused before a handler runs.
 */
#include <linux/capability.h>
#include <linux/limits.h>
#include <linux/r3map.h>

#include "compat.h"
#include "main.h"
#include "netlink.h"

#define FEATURES (R3MAP_FEATURE_SHARED | R3MAP_FEATURE_INLINE | \
		  R3MAP_FEATURE_RECOVER | R3MAP_FEATURE_RESIZE | R3MAP_FEATURE_MANAGED | \
		  R3MAP_FEATURE_MIGRATE)

/* A policy's own limits are 16 bits wide; these are for what is larger. Not const before 6.7. */
static struct netlink_range_validation range_size = { .min = 512, .max = S64_MAX };
static struct netlink_range_validation range_bytes = { .min = 512, .max = S32_MAX };
static struct netlink_range_validation range_io_opt = { .max = S32_MAX };
static struct netlink_range_validation range_max_io = { .min = 4096, .max = R3MAP_MAX_IO };
static struct netlink_range_validation range_timeout = {
	.min = 10, .max = R3MAP_MAX_TIMEOUT,
};

static struct netlink_range_validation range_park = { .max = R3MAP_MAX_TIMEOUT };
static struct netlink_range_validation range_throttle = { .max = S64_MAX };
static struct netlink_range_validation range_bitmap = { .min = 8, .max = R3MAP_MAX_BITMAP };
static struct netlink_range_validation range_fd = { .max = S32_MAX };
static struct netlink_range_validation range_chunk = {
	.min = R3MAP_MIN_CHUNK, .max = R3MAP_MAX_CHUNK,
};

static struct netlink_range_validation range_area = {
	.min = PAGE_SIZE, .max = R3MAP_MAX_AREA,
};

#define BLOCK		NLA_POLICY_RANGE(NLA_U32, 512, 4096)
#define BYTES		NLA_POLICY_FULL_RANGE(NLA_U32, &range_bytes)
#define TIMEOUT		NLA_POLICY_FULL_RANGE(NLA_U32, &range_timeout)
#define PARK		NLA_POLICY_FULL_RANGE(NLA_U32, &range_park)
#define BACKEND		{ .type = NLA_NUL_STRING, .len = R3MAP_MAX_BACKEND - 1 }
#define FLAGS		NLA_POLICY_MASK(NLA_U32, R3MAP_DEVICE_FLAGS_ALL)
#define SIZE		NLA_POLICY_FULL_RANGE(NLA_U64, &range_size)

static const struct nla_policy policy_new[] = {
	[R3MAP_A_DEVICE_INDEX] = { .type = NLA_U32 },
	[R3MAP_A_DEVICE_SIZE] = SIZE,
	[R3MAP_A_DEVICE_FLAGS] = FLAGS,
	[R3MAP_A_DEVICE_LOGICAL_BLOCK] = BLOCK,
	[R3MAP_A_DEVICE_PHYSICAL_BLOCK] = BYTES,
	[R3MAP_A_DEVICE_IO_MIN] = BYTES,
	[R3MAP_A_DEVICE_IO_OPT] = NLA_POLICY_FULL_RANGE(NLA_U32, &range_io_opt),
	[R3MAP_A_DEVICE_MAX_IO] = NLA_POLICY_FULL_RANGE(NLA_U32, &range_max_io),
	[R3MAP_A_DEVICE_MAX_DISCARD] = BYTES,
	[R3MAP_A_DEVICE_MAX_ZEROES] = BYTES,
	[R3MAP_A_DEVICE_DISCARD_GRANULARITY] = BYTES,
	[R3MAP_A_DEVICE_QUEUES] = NLA_POLICY_RANGE(NLA_U32, 1, R3MAP_MAX_QUEUES),
	[R3MAP_A_DEVICE_DEPTH] = NLA_POLICY_RANGE(NLA_U32, 1, R3MAP_MAX_DEPTH),
	[R3MAP_A_DEVICE_TRANSPORT] = NLA_POLICY_RANGE(NLA_U32, R3MAP_TRANSPORT_SHARED,
						      R3MAP_TRANSPORT_MAX),
	[R3MAP_A_DEVICE_TIMEOUT] = TIMEOUT,
	[R3MAP_A_DEVICE_PARK] = PARK,
	[R3MAP_A_DEVICE_BACKEND] = BACKEND,
	[R3MAP_A_DEVICE_CHUNK] = NLA_POLICY_FULL_RANGE(NLA_U32, &range_chunk),
	[R3MAP_A_DEVICE_STORE] = NLA_POLICY_FULL_RANGE(NLA_U32, &range_fd),
	[R3MAP_A_DEVICE_FLUSH] = NLA_POLICY_RANGE(NLA_U32, R3MAP_FLUSH_LOCAL, R3MAP_FLUSH_MAX),
	[R3MAP_A_DEVICE_MAP] = NLA_POLICY_FULL_RANGE(NLA_U32, &range_fd),
	[R3MAP_A_DEVICE_MAP_REGION] = { .type = NLA_U64 },
};

/* A command without a policy would take anything. */
static const struct nla_policy policy_features[] = {
	[R3MAP_A_FEATURES_PAD] = { .type = NLA_REJECT },
};

static const struct nla_policy policy_get[] = {
	[R3MAP_A_DEVICE_INDEX] = { .type = NLA_U32 },
};

static const struct nla_policy policy_set[] = {
	[R3MAP_A_DEVICE_INDEX] = { .type = NLA_U32 },
	[R3MAP_A_DEVICE_GENERATION] = { .type = NLA_U64 },
	[R3MAP_A_DEVICE_SIZE] = SIZE,
	[R3MAP_A_DEVICE_FLAGS] = FLAGS,
	[R3MAP_A_DEVICE_TIMEOUT] = TIMEOUT,
	[R3MAP_A_DEVICE_PARK] = PARK,
	[R3MAP_A_DEVICE_THROTTLE] = NLA_POLICY_FULL_RANGE(NLA_U64, &range_throttle),
};

static const struct nla_policy policy_del[] = {
	[R3MAP_A_DEVICE_INDEX] = { .type = NLA_U32 },
	[R3MAP_A_DEVICE_GENERATION] = { .type = NLA_U64 },
	[R3MAP_A_DEVICE_FORCE] = { .type = NLA_FLAG },
};

static const struct nla_policy policy_attach[] = {
	[R3MAP_A_DEVICE_INDEX] = { .type = NLA_U32 },
	[R3MAP_A_DEVICE_GENERATION] = { .type = NLA_U64 },
	[R3MAP_A_DEVICE_SIZE] = SIZE,
	[R3MAP_A_DEVICE_BACKEND] = BACKEND,
	[R3MAP_A_DEVICE_FORCE] = { .type = NLA_FLAG },
};

static const struct nla_policy policy_start[] = {
	[R3MAP_A_DEVICE_INDEX] = { .type = NLA_U32 },
	[R3MAP_A_DEVICE_GENERATION] = { .type = NLA_U64 },
};

static const struct nla_policy policy_bind[] = {
	[R3MAP_A_QUEUE_INDEX] = { .type = NLA_U32 },
	[R3MAP_A_QUEUE_GENERATION] = { .type = NLA_U64 },
	[R3MAP_A_QUEUE_QUEUE] = { .type = NLA_U32 },
	[R3MAP_A_QUEUE_AREA_ADDR] = { .type = NLA_U64 },
	[R3MAP_A_QUEUE_AREA_SIZE] = NLA_POLICY_FULL_RANGE(NLA_U64, &range_area),
};

static const struct nla_policy policy_complete[] = {
	[R3MAP_A_QUEUE_INDEX] = { .type = NLA_U32 },
	[R3MAP_A_QUEUE_GENERATION] = { .type = NLA_U64 },
	[R3MAP_A_QUEUE_QUEUE] = { .type = NLA_U32 },
	[R3MAP_A_QUEUE_SEQ] = { .type = NLA_U32 },
	[R3MAP_A_QUEUE_COMPLETIONS] = {
		.type = NLA_BINARY,
		.len = R3MAP_MAX_BATCH * sizeof(struct r3map_completion),
	},
	[R3MAP_A_QUEUE_DATA] = { .type = NLA_BINARY, .len = R3MAP_MAX_DATA },
	[R3MAP_A_QUEUE_ADDRESSES] = {
		.type = NLA_BINARY,
		.len = R3MAP_MAX_BATCH * sizeof(u64),
	},
};

#define EXTENTS { \
	.type = NLA_BINARY, .len = R3MAP_MAX_EXTENTS * sizeof(struct r3map_extent), \
}

static const struct nla_policy policy_store[] = {
	[R3MAP_A_CHUNK_INDEX] = { .type = NLA_U32 },
	[R3MAP_A_CHUNK_GENERATION] = { .type = NLA_U64 },
};

static const struct nla_policy policy_claim[] = {
	[R3MAP_A_CHUNK_INDEX] = { .type = NLA_U32 },
	[R3MAP_A_CHUNK_GENERATION] = { .type = NLA_U64 },
	[R3MAP_A_CHUNK_OFFSET] = { .type = NLA_U64 },
	[R3MAP_A_CHUNK_LENGTH] = { .type = NLA_U64 },
	[R3MAP_A_CHUNK_LIMIT] = { .type = NLA_U64 },
	[R3MAP_A_CHUNK_LOOSE] = { .type = NLA_FLAG },
};

static const struct nla_policy policy_firm[] = {
	[R3MAP_A_CHUNK_INDEX] = { .type = NLA_U32 },
	[R3MAP_A_CHUNK_GENERATION] = { .type = NLA_U64 },
	[R3MAP_A_CHUNK_OFFSET] = { .type = NLA_U64 },
	[R3MAP_A_CHUNK_LENGTH] = { .type = NLA_U64 },
};

static const struct nla_policy policy_take[] = {
	[R3MAP_A_CHUNK_INDEX] = { .type = NLA_U32 },
	[R3MAP_A_CHUNK_GENERATION] = { .type = NLA_U64 },
	[R3MAP_A_CHUNK_OFFSET] = { .type = NLA_U64 },
	[R3MAP_A_CHUNK_LENGTH] = { .type = NLA_U64 },
	[R3MAP_A_CHUNK_LIMIT] = { .type = NLA_U64 },
};

/* CHUNK_FILL and DIRTY_DONE. */
static const struct nla_policy policy_tell[] = {
	[R3MAP_A_CHUNK_INDEX] = { .type = NLA_U32 },
	[R3MAP_A_CHUNK_GENERATION] = { .type = NLA_U64 },
	[R3MAP_A_CHUNK_EXTENTS] = EXTENTS,
	[R3MAP_A_CHUNK_ERROR] = NLA_POLICY_RANGE(NLA_S32, -MAX_ERRNO, -1),
};

static const struct nla_policy policy_finalize[] = {
	[R3MAP_A_DEVICE_INDEX] = { .type = NLA_U32 },
	[R3MAP_A_DEVICE_GENERATION] = { .type = NLA_U64 },
	[R3MAP_A_DEVICE_DEADLINE] = TIMEOUT,
	[R3MAP_A_DEVICE_HOLD_TIME] = PARK,
};

static const struct nla_policy policy_tell_troubles[] = {
	[R3MAP_A_DEVICE_INDEX] = { .type = NLA_U32 },
	[R3MAP_A_DEVICE_GENERATION] = { .type = NLA_U64 },
	[R3MAP_A_DEVICE_TROUBLES] = {
		.type = NLA_BINARY,
		.len = R3MAP_WRONG_MAX * sizeof(struct r3map_trouble),
	},
};

/* EPOCH_CLOSE. */
static const struct nla_policy policy_epoch[] = {
	[R3MAP_A_CHUNK_INDEX] = { .type = NLA_U32 },
	[R3MAP_A_CHUNK_GENERATION] = { .type = NLA_U64 },
	[R3MAP_A_CHUNK_EPOCH] = { .type = NLA_U64 },
};

static const struct nla_policy policy_epoch_take[] = {
	[R3MAP_A_CHUNK_INDEX] = { .type = NLA_U32 },
	[R3MAP_A_CHUNK_GENERATION] = { .type = NLA_U64 },
	[R3MAP_A_CHUNK_OFFSET] = { .type = NLA_U64 },
	[R3MAP_A_CHUNK_EPOCH] = { .type = NLA_U64 },
	[R3MAP_A_CHUNK_BITMAP] = { .type = NLA_U64 },
	[R3MAP_A_CHUNK_BITMAP_SIZE] = NLA_POLICY_FULL_RANGE(NLA_U32, &range_bitmap),
	[R3MAP_A_CHUNK_KEEP] = { .type = NLA_FLAG },
};

static const struct nla_policy policy_drop[] = {
	[R3MAP_A_CHUNK_INDEX] = { .type = NLA_U32 },
	[R3MAP_A_CHUNK_GENERATION] = { .type = NLA_U64 },
	[R3MAP_A_CHUNK_OFFSET] = { .type = NLA_U64 },
	[R3MAP_A_CHUNK_EXTENTS] = EXTENTS,
	[R3MAP_A_CHUNK_BITMAP] = { .type = NLA_U64 },
	[R3MAP_A_CHUNK_BITMAP_SIZE] = NLA_POLICY_FULL_RANGE(NLA_U32, &range_bitmap),
};

static const struct nla_policy policy_chunk_get[] = {
	[R3MAP_A_CHUNK_INDEX] = { .type = NLA_U32 },
	[R3MAP_A_CHUNK_OFFSET] = { .type = NLA_U64 },
	[R3MAP_A_CHUNK_LENGTH] = { .type = NLA_U64 },
};

#define OP(_cmd, _policy, _doit, ...) {			\
	.cmd = R3MAP_CMD_##_cmd,			\
	.policy = _policy,				\
	.maxattr = ARRAY_SIZE(_policy) - 1,		\
	.doit = r3map_netlink_##_doit,			\
	__VA_ARGS__					\
}

static int r3map_netlink_features_get(struct sk_buff *skb, struct genl_info *info);

static const struct genl_ops family_ops[] = {
	OP(FEATURES_GET, policy_features, features_get),
	OP(DEVICE_NEW, policy_new, device_new),
	OP(DEVICE_GET, policy_get, device_get, .dumpit = r3map_netlink_device_dump),
	OP(DEVICE_SET, policy_set, device_set),
	OP(DEVICE_DEL, policy_del, device_del),
	OP(DEVICE_ATTACH, policy_attach, device_attach),
	OP(DEVICE_START, policy_start, device_start),
	OP(QUEUE_BIND, policy_bind, queue_bind),
	OP(QUEUE_COMPLETE, policy_complete, queue_complete),
	OP(STORE_OPEN, policy_store, store_open),
	OP(CHUNK_CLAIM, policy_claim, chunk_claim),
	OP(CHUNK_FILL, policy_tell, chunk_fill),
	OP(CHUNK_GET, policy_chunk_get, chunk_get),
	OP(DIRTY_TAKE, policy_take, dirty_take),
	OP(DIRTY_DONE, policy_tell, dirty_done),
	OP(DEVICE_SYNC, policy_start, device_sync),
	OP(DEVICE_FINALIZE, policy_finalize, device_finalize),
	OP(DEVICE_RELEASE, policy_start, device_release),
	OP(DEVICE_RETIRE, policy_start, device_retire),
	OP(EPOCH_OPEN, policy_store, epoch_open),
	OP(EPOCH_TAKE, policy_epoch_take, epoch_take),
	OP(EPOCH_CLOSE, policy_epoch, epoch_close),
	OP(CHUNK_DROP, policy_drop, chunk_drop),
	OP(DEVICE_TELL, policy_tell_troubles, device_tell),
	OP(CHUNK_FIRM, policy_firm, chunk_firm),
};

static const struct genl_multicast_group family_groups[] = {
	{ .name = R3MAP_MCGRP_EVENTS, R3MAP_MCGRP_FLAGS },
};

/*
 * netnsok: the helper may live in a network namespace of its own, next to its server. parallel_ops:
 * the module locks for itself, and one device's commands do not wait for another's. But all
 * handlers hold a lock that the coming and going of any family waits for, and then holds up all
 * others: none of them may wait for I/O.
 */
struct genl_family r3map_family = {
	.name = R3MAP_FAMILY_NAME,
	.version = R3MAP_FAMILY_VERSION,
	.netnsok = true,
	.parallel_ops = true,
	.module = THIS_MODULE,
	.ops = family_ops,
	.n_ops = ARRAY_SIZE(family_ops),
	.mcgrps = family_groups,
	.n_mcgrps = ARRAY_SIZE(family_groups),
};

int r3map_netlink_may(struct sk_buff *skb, struct netlink_ext_ack *extack)
{
	if (netlink_capable(skb, CAP_SYS_ADMIN))
		return 0;
	NL_SET_ERR_MSG(extack, "r3map needs CAP_SYS_ADMIN in the initial user namespace");
	return -EPERM;
}

static int features_put(struct sk_buff *skb)
{
	if (nla_put_string(skb, R3MAP_A_FEATURES_VERSION, R3MAP_VERSION) ||
	    nla_put_u64_64bit(skb, R3MAP_A_FEATURES_FEATURES, FEATURES,
			      R3MAP_A_FEATURES_PAD) ||
	    nla_put_u32(skb, R3MAP_A_FEATURES_MAX_QUEUES, R3MAP_MAX_QUEUES) ||
	    nla_put_u32(skb, R3MAP_A_FEATURES_MAX_DEPTH, R3MAP_MAX_DEPTH) ||
	    nla_put_u32(skb, R3MAP_A_FEATURES_MAX_IO, R3MAP_MAX_IO) ||
	    nla_put_u32(skb, R3MAP_A_FEATURES_MAX_IO_INLINE, R3MAP_MAX_IO_INLINE) ||
	    nla_put_u64_64bit(skb, R3MAP_A_FEATURES_MAX_AREA, R3MAP_MAX_AREA,
			      R3MAP_A_FEATURES_PAD) ||
	    nla_put_u32(skb, R3MAP_A_FEATURES_MAX_BATCH, R3MAP_MAX_BATCH))
		return -EMSGSIZE;
	return 0;
}

static int r3map_netlink_features_get(struct sk_buff *skb, struct genl_info *info)
{
	struct sk_buff *reply;
	void *head;
	int err;

	err = r3map_netlink_may(skb, info->extack);
	if (err)
		return err;
	reply = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!reply)
		return -ENOMEM;
	head = genlmsg_put_reply(reply, info, &r3map_family, 0, R3MAP_CMD_FEATURES_GET);
	if (!head || features_put(reply)) {
		nlmsg_free(reply);
		return -EMSGSIZE;
	}
	genlmsg_end(reply, head);
	return genlmsg_reply(reply, info);
}

int r3map_netlink_init(void)
{
	return genl_register_family(&r3map_family);
}

void r3map_netlink_exit(void)
{
	genl_unregister_family(&r3map_family);
}
