// SPDX-License-Identifier: GPL-2.0-only
/*
 * Handlers of the EPOCH_* commands.
 */
#include <linux/r3map.h>
#include <linux/slab.h>

#include "device.h"
#include "epoch.h"
#include "netlink.h"

/* The epoch that is meant, of @dev; or an ERR_PTR. */
static struct r3map_epoch *epoch_find(struct r3map_device *dev, struct genl_info *info)
{
	struct nlattr *attr = info->attrs[R3MAP_A_CHUNK_EPOCH];
	struct r3map_epoch *epoch;

	if (!attr) {
		GENL_SET_ERR_MSG(info, "EPOCH is missing");
		return ERR_PTR(-EINVAL);
	}
	epoch = r3map_epoch_find(&dev->epochs, nla_get_u64(attr));
	if (!epoch) {
		NL_SET_ERR_MSG_ATTR(info->extack, attr, "no such epoch is open");
		return ERR_PTR(-ENOENT);
	}
	return epoch;
}

static int epoch_reply_open(struct genl_info *info, const struct r3map_epoch *epoch)
{
	struct sk_buff *reply;
	void *head;

	reply = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_NOIO);
	if (!reply)
		return -ENOMEM;
	head = genlmsg_put_reply(reply, info, &r3map_family, 0, R3MAP_CMD_EPOCH_OPEN);
	if (!head || nla_put_u64_64bit(reply, R3MAP_A_CHUNK_EPOCH, epoch->number,
				       R3MAP_A_CHUNK_PAD) ||
	    nla_put_u32(reply, R3MAP_A_CHUNK_GRAIN, 1U << epoch->shift)) {
		nlmsg_free(reply);
		return -EMSGSIZE;
	}
	genlmsg_end(reply, head);
	return genlmsg_reply(reply, info);
}

int r3map_netlink_epoch_open(struct sk_buff *skb, struct genl_info *info)
{
	struct r3map_device *dev = r3map_netlink_find_helped(skb, info);
	struct r3map_epoch *epoch;
	int err;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	epoch = r3map_epoch_open(&dev->epochs, dev->size,
				 max_t(u32, PAGE_SIZE, dev->params.chunk), info->extack);
	err = PTR_ERR_OR_ZERO(epoch);
	if (!err) {
		err = epoch_reply_open(info, epoch);
		/* Nobody knows of it, so nobody would close it. */
		if (err)
			r3map_epoch_close(&dev->epochs, epoch);
	}
	r3map_netlink_unlock_put(dev);
	return err;
}

int r3map_netlink_epoch_close(struct sk_buff *skb, struct genl_info *info)
{
	struct r3map_device *dev = r3map_netlink_find_helped(skb, info);
	struct r3map_epoch *epoch;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	epoch = epoch_find(dev, info);
	if (!IS_ERR(epoch))
		r3map_epoch_close(&dev->epochs, epoch);
	if (!dev->epochs.nr)
		r3map_throttle_set(&dev->throttle, 0);
	r3map_netlink_unlock_put(dev);
	return PTR_ERR_OR_ZERO(epoch);
}

static int epoch_reply_take(struct genl_info *info, const struct r3map_epoch_query *query,
			    const u64 *dirty)
{
	size_t bytes = query->nr * sizeof(*query->extents);
	struct sk_buff *reply;
	void *head;

	reply = genlmsg_new(nla_total_size(bytes) + 2 * nla_total_size_64bit(sizeof(u64)),
			    GFP_NOIO);
	if (!reply)
		return -ENOMEM;
	head = genlmsg_put_reply(reply, info, &r3map_family, 0, R3MAP_CMD_EPOCH_TAKE);
	if (!head || nla_put(reply, R3MAP_A_CHUNK_EXTENTS, bytes, query->extents) ||
	    nla_put_u64_64bit(reply, R3MAP_A_CHUNK_NEXT, query->offset, R3MAP_A_CHUNK_PAD) ||
	    (dirty && nla_put_u64_64bit(reply, R3MAP_A_CHUNK_DIRTY, *dirty,
					R3MAP_A_CHUNK_PAD))) {
		nlmsg_free(reply);
		return -EMSGSIZE;
	}
	genlmsg_end(reply, head);
	return genlmsg_reply(reply, info);
}

/* The last grain may end behind the device. */
static void epoch_cut(struct r3map_epoch_query *query, u64 size)
{
	struct r3map_extent *last = query->nr ? &query->extents[query->nr - 1] : NULL;

	if (last && last->length > size - last->offset)
		last->length = size - last->offset;
}

static int epoch_take(struct r3map_device *dev, struct r3map_epoch *epoch, u64 offset,
		      struct genl_info *info)
{
	struct r3map_epoch_query query = { .offset = offset, .end = dev->size };
	u64 dirty;
	int err;

	query.extents = kvmalloc_array(R3MAP_EPOCH_EXTENTS, sizeof(*query.extents), GFP_NOIO);
	if (!query.extents)
		return -ENOMEM;
	if (!offset)
		dirty = r3map_epoch_dirty(epoch);
	r3map_epoch_take(epoch, &query);
	epoch_cut(&query, dev->size);
	err = epoch_reply_take(info, &query, offset ? NULL : &dirty);
	if (err)
		r3map_epoch_untake(epoch, &query);
	kvfree(query.extents);
	return err;
}

static int epoch_reply_copy(struct genl_info *info, u64 next)
{
	struct sk_buff *reply;
	void *head;

	reply = genlmsg_new(nla_total_size_64bit(sizeof(u64)), GFP_NOIO);
	if (!reply)
		return -ENOMEM;
	head = genlmsg_put_reply(reply, info, &r3map_family, 0, R3MAP_CMD_EPOCH_TAKE);
	if (!head || nla_put_u64_64bit(reply, R3MAP_A_CHUNK_NEXT, next, R3MAP_A_CHUNK_PAD)) {
		nlmsg_free(reply);
		return -EMSGSIZE;
	}
	genlmsg_end(reply, head);
	return genlmsg_reply(reply, info);
}

/* To the helper's memory. A reply that is lost is the helper's to look for: the words are there. */
static int epoch_copy(struct r3map_device *dev, struct r3map_epoch *epoch, u64 offset,
		      struct genl_info *info)
{
	bool keep = info->attrs[R3MAP_A_CHUNK_KEEP];
	unsigned long first, words, done;
	u64 __user *to;
	int err;

	err = r3map_netlink_bitmap(info, &to, &words);
	if (err)
		return err;
	if (offset & ((BITS_PER_LONG << (u64)epoch->shift) - 1)) {
		GENL_SET_ERR_MSG(info, "OFFSET is not that of a word of the bitmap");
		return -EINVAL;
	}
	first = BIT_WORD(offset >> epoch->shift);
	done = r3map_epoch_copy(epoch, first, words, to, keep, r3map_hold_still(&dev->held));
	if (!done) {
		GENL_SET_ERR_MSG(info, "BITMAP is not in memory, or is not to be written");
		return -EFAULT;
	}
	return epoch_reply_copy(info, min(offset + ((u64)done * BITS_PER_LONG << epoch->shift),
					  dev->size));
}

int r3map_netlink_epoch_take(struct sk_buff *skb, struct genl_info *info)
{
	struct r3map_device *dev = r3map_netlink_find_helped(skb, info);
	struct nlattr *at = info->attrs[R3MAP_A_CHUNK_OFFSET];
	u64 offset = at ? nla_get_u64(at) : 0;
	struct r3map_epoch *epoch;
	int err;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	epoch = epoch_find(dev, info);
	if (IS_ERR(epoch)) {
		err = PTR_ERR(epoch);
	} else if (offset >= dev->size || offset & ((1ull << epoch->shift) - 1)) {
		NL_SET_ERR_MSG_ATTR(info->extack, at, "OFFSET is not that of a grain");
		err = -EINVAL;
	} else if (info->attrs[R3MAP_A_CHUNK_BITMAP]) {
		err = epoch_copy(dev, epoch, offset, info);
	} else if (info->attrs[R3MAP_A_CHUNK_KEEP] || info->attrs[R3MAP_A_CHUNK_BITMAP_SIZE]) {
		GENL_SET_ERR_MSG(info, "BITMAP is missing");
		err = -EINVAL;
	} else {
		err = epoch_take(dev, epoch, offset, info);
	}
	r3map_netlink_unlock_put(dev);
	return err;
}
