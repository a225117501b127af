// SPDX-License-Identifier: GPL-2.0-only
/*
 * Handlers of the STORE_*, CHUNK_* and DIRTY_* commands: what the helper of a managed device asks
 * and tells about the store.
 */
#include <linux/file.h>
#include <linux/r3map.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "device.h"
#include "managed.h"
#include "netlink.h"

/* The device that is meant, with a reference, or an ERR_PTR. */
static struct r3map_device *chunk_find_any(struct sk_buff *skb, struct genl_info *info)
{
	struct r3map_device *dev;
	int err;

	err = r3map_netlink_may(skb, info->extack);
	if (err)
		return ERR_PTR(err);
	if (!info->attrs[R3MAP_A_CHUNK_INDEX]) {
		GENL_SET_ERR_MSG(info, "INDEX is missing");
		return ERR_PTR(-EINVAL);
	}
	dev = r3map_device_find(nla_get_u32(info->attrs[R3MAP_A_CHUNK_INDEX]));
	if (!dev) {
		GENL_SET_ERR_MSG(info, "there is no device with this index");
		return ERR_PTR(-ENODEV);
	}
	return dev;
}

static int chunk_check_managed(const struct r3map_device *dev, struct genl_info *info)
{
	if (dev->managed)
		return 0;
	GENL_SET_ERR_MSG(info, "the device is not managed");
	return -EOPNOTSUPP;
}

static int chunk_check_helper(const struct r3map_device *dev, struct genl_info *info)
{
	lockdep_assert_held(&dev->lock);
	if (!info->attrs[R3MAP_A_CHUNK_GENERATION]) {
		GENL_SET_ERR_MSG(info, "GENERATION is missing");
		return -EINVAL;
	}
	if (nla_get_u64(info->attrs[R3MAP_A_CHUNK_GENERATION]) != dev->generation) {
		GENL_SET_ERR_MSG(info, "the device has another generation now");
		return -ESTALE;
	}
	if (!dev->control.sk || dev->helper != task_tgid(current)) {
		GENL_SET_ERR_MSG(info, "only the helper of the device may do this");
		return -EPERM;
	}
	return 0;
}

struct r3map_device *r3map_netlink_find_helped(struct sk_buff *skb, struct genl_info *info)
{
	struct r3map_device *dev = chunk_find_any(skb, info);
	int err;

	if (IS_ERR(dev))
		return dev;
	mutex_lock(&dev->lock);
	err = chunk_check_helper(dev, info);
	if (!err)
		return dev;
	r3map_netlink_unlock_put(dev);
	return ERR_PTR(err);
}

/* The managed device that is meant, with a reference, or an ERR_PTR. */
static struct r3map_device *chunk_find(struct sk_buff *skb, struct genl_info *info)
{
	struct r3map_device *dev = chunk_find_any(skb, info);
	int err;

	if (IS_ERR(dev))
		return dev;
	err = chunk_check_managed(dev, info);
	if (!err)
		return dev;
	r3map_device_put(dev);
	return ERR_PTR(err);
}

/* The same for its helper only, and locked. */
static struct r3map_device *chunk_find_lock(struct sk_buff *skb, struct genl_info *info)
{
	struct r3map_device *dev = r3map_netlink_find_helped(skb, info);
	int err;

	if (IS_ERR(dev))
		return dev;
	err = chunk_check_managed(dev, info);
	if (!err)
		return dev;
	r3map_netlink_unlock_put(dev);
	return ERR_PTR(err);
}

/* --- asking ------------------------------------------------------------------------------- */

typedef void query_fn(struct r3map_chunks *chunks, struct r3map_chunk_query *query);
typedef void undo_fn(struct r3map_device *dev, const struct r3map_chunk_query *query);

static int query_parse(const struct r3map_device *dev, struct genl_info *info, u8 cmd,
		       struct r3map_chunk_query *query)
{
	const struct r3map_chunks *chunks = &dev->managed->chunks;
	struct nlattr *at = info->attrs[R3MAP_A_CHUNK_OFFSET];
	struct nlattr *len = info->attrs[R3MAP_A_CHUNK_LENGTH];
	u64 offset = at ? nla_get_u64(at) : 0, length;

	if (offset >= chunks->size || (offset & (dev->params.chunk - 1))) {
		NL_SET_ERR_MSG_ATTR(info->extack, at, "OFFSET is not that of a chunk");
		return -EINVAL;
	}
	length = len ? nla_get_u64(len) : chunks->size - offset;
	if (!length || length > chunks->size - offset) {
		NL_SET_ERR_MSG_ATTR(info->extack, len, "LENGTH is 0 or beyond the end");
		return -EINVAL;
	}
	query->range = r3map_chunks_touched(chunks, offset, length);
	query->max = U64_MAX;
	/* Without a policy for it, there is no place for it, either. */
	if ((cmd == R3MAP_CMD_CHUNK_CLAIM || cmd == R3MAP_CMD_DIRTY_TAKE) &&
	    info->attrs[R3MAP_A_CHUNK_LIMIT])
		query->max = nla_get_u64(info->attrs[R3MAP_A_CHUNK_LIMIT]);
	query->loose = cmd == R3MAP_CMD_CHUNK_CLAIM && info->attrs[R3MAP_A_CHUNK_LOOSE];
	return 0;
}

static int query_reply(struct genl_info *info, const struct r3map_chunks *chunks,
		       const struct r3map_chunk_query *query, u8 cmd)
{
	size_t bytes = query->nr * sizeof(*query->extents);
	struct sk_buff *reply;
	void *head;

	reply = genlmsg_new(nla_total_size(bytes) + nla_total_size_64bit(sizeof(u64)), GFP_NOIO);
	if (!reply)
		return -ENOMEM;
	head = genlmsg_put_reply(reply, info, &r3map_family, 0, cmd);
	if (!head || nla_put(reply, R3MAP_A_CHUNK_EXTENTS, bytes, query->extents) ||
	    nla_put_u64_64bit(reply, R3MAP_A_CHUNK_NEXT,
			      min((u64)query->next << chunks->shift, chunks->size),
			      R3MAP_A_CHUNK_PAD)) {
		nlmsg_free(reply);
		return -EMSGSIZE;
	}
	genlmsg_end(reply, head);
	return genlmsg_reply(reply, info);
}

/* Asks @fn, and answers. If the answer cannot be sent, @undo takes back what was given. */
static int query_answer(struct r3map_device *dev, struct genl_info *info, query_fn *fn, u8 cmd,
			undo_fn *undo)
{
	struct r3map_chunks *chunks = &dev->managed->chunks;
	struct r3map_chunk_query query = {};
	int err;

	err = query_parse(dev, info, cmd, &query);
	if (err)
		return err;
	query.extents = kmalloc_array(R3MAP_MAX_EXTENTS, sizeof(*query.extents), GFP_NOIO);
	if (!query.extents)
		return -ENOMEM;
	fn(chunks, &query);
	err = query_reply(info, chunks, &query, cmd);
	if (err && undo)
		undo(dev, &query);
	kfree(query.extents);
	return err;
}

static void claim_undo(struct r3map_device *dev, const struct r3map_chunk_query *query)
{
	LIST_HEAD(woken);

	r3map_chunks_unclaim(&dev->managed->chunks, query->extents, query->nr, &woken);
	r3map_managed_stall(dev->managed, &woken);
}

static void firm_undo(struct r3map_device *dev, const struct r3map_chunk_query *query)
{
	LIST_HEAD(woken);

	r3map_chunks_loosen(&dev->managed->chunks, query->extents, query->nr, &woken);
	r3map_managed_stall(dev->managed, &woken);
}

static void take_undo(struct r3map_device *dev, const struct r3map_chunk_query *query)
{
	r3map_chunks_done(&dev->managed->chunks, query->extents, query->nr, false, NULL);
}

/* A query of the helper, by which it gets chunks. */
static int query_helper(struct sk_buff *skb, struct genl_info *info, query_fn *fn, u8 cmd,
			undo_fn *undo)
{
	struct r3map_device *dev = chunk_find_lock(skb, info);
	int err;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = query_answer(dev, info, fn, cmd, undo);
	r3map_netlink_unlock_put(dev);
	return err;
}

int r3map_netlink_chunk_claim(struct sk_buff *skb, struct genl_info *info)
{
	return query_helper(skb, info, r3map_chunks_claim, R3MAP_CMD_CHUNK_CLAIM, claim_undo);
}

int r3map_netlink_chunk_firm(struct sk_buff *skb, struct genl_info *info)
{
	return query_helper(skb, info, r3map_chunks_firm, R3MAP_CMD_CHUNK_FIRM, firm_undo);
}

int r3map_netlink_dirty_take(struct sk_buff *skb, struct genl_info *info)
{
	return query_helper(skb, info, r3map_chunks_take, R3MAP_CMD_DIRTY_TAKE, take_undo);
}

int r3map_netlink_chunk_get(struct sk_buff *skb, struct genl_info *info)
{
	struct r3map_device *dev = chunk_find(skb, info);
	int err;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = query_answer(dev, info, r3map_chunks_get, R3MAP_CMD_CHUNK_GET, NULL);
	r3map_device_put(dev);
	return err;
}

/* --- telling ------------------------------------------------------------------------------ */

/* What the helper tells of: a copy, since attributes are aligned to 4 bytes only. */
static struct r3map_extent *tell_extents(struct genl_info *info, u32 *nr)
{
	struct nlattr *attr = info->attrs[R3MAP_A_CHUNK_EXTENTS];
	struct r3map_extent *extents;

	*nr = attr ? nla_len(attr) / sizeof(*extents) : 0;
	if (!*nr || nla_len(attr) % sizeof(*extents)) {
		GENL_SET_ERR_MSG(info, "EXTENTS is not an array of extents");
		return ERR_PTR(-EINVAL);
	}
	extents = kmemdup(nla_data(attr), nla_len(attr), GFP_NOIO);
	return extents ?: ERR_PTR(-ENOMEM);
}

static u64 tell_bytes(const struct r3map_extent *extents, u32 nr)
{
	u64 bytes = 0;

	while (nr-- > 0)
		bytes += extents[nr].length;
	return bytes;
}

int r3map_netlink_chunk_fill(struct sk_buff *skb, struct genl_info *info)
{
	bool filled = !info->attrs[R3MAP_A_CHUNK_ERROR];
	struct r3map_extent *extents;
	struct r3map_device *dev;
	LIST_HEAD(woken);
	int err;
	u32 nr;

	dev = chunk_find_lock(skb, info);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	extents = tell_extents(info, &nr);
	if (IS_ERR(extents)) {
		r3map_netlink_unlock_put(dev);
		return PTR_ERR(extents);
	}
	err = r3map_chunks_fill(&dev->managed->chunks, extents, nr, filled, &woken, info->extack);
	if (!err && filled)
		r3map_managed_add(dev->managed, R3MAP_A_COUNTER_FILL_BYTES,
				  tell_bytes(extents, nr));
	kfree(extents);
	mutex_unlock(&dev->lock);
	/* Without the lock: payload is copied. */
	r3map_managed_run(dev->managed, &woken);
	r3map_device_put(dev);
	return err;
}

int r3map_netlink_dirty_done(struct sk_buff *skb, struct genl_info *info)
{
	bool pushed = !info->attrs[R3MAP_A_CHUNK_ERROR];
	struct r3map_extent *extents;
	struct r3map_device *dev;
	int err;
	u32 nr;

	dev = chunk_find_lock(skb, info);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	extents = tell_extents(info, &nr);
	if (IS_ERR(extents)) {
		r3map_netlink_unlock_put(dev);
		return PTR_ERR(extents);
	}
	err = r3map_chunks_done(&dev->managed->chunks, extents, nr, pushed, info->extack);
	if (!err && pushed) {
		WRITE_ONCE(dev->managed->pushed, jiffies);
		r3map_managed_add(dev->managed, R3MAP_A_COUNTER_PUSH_BYTES,
				  tell_bytes(extents, nr));
	}
	kfree(extents);
	r3map_netlink_unlock_put(dev);
	return err;
}

int r3map_netlink_bitmap(struct genl_info *info, u64 __user **at, unsigned long *words)
{
	struct nlattr *address = info->attrs[R3MAP_A_CHUNK_BITMAP];
	struct nlattr *size = info->attrs[R3MAP_A_CHUNK_BITMAP_SIZE];

	if (!size || nla_get_u32(size) % sizeof(u64)) {
		GENL_SET_ERR_MSG(info, "BITMAP_SIZE is missing, or no multiple of 8");
		return -EINVAL;
	}
	if (nla_get_u64(address) % sizeof(u64)) {
		NL_SET_ERR_MSG_ATTR(info->extack, address, "BITMAP is no multiple of 8");
		return -EINVAL;
	}
	*at = u64_to_user_ptr(nla_get_u64(address));
	*words = nla_get_u32(size) / sizeof(u64);
	return 0;
}

/* By a bitmap in the helper's memory, a page of it at a time. */
static int drop_bitmap(struct r3map_chunks *chunks, struct genl_info *info)
{
	struct nlattr *offset = info->attrs[R3MAP_A_CHUNK_OFFSET];
	u64 at = offset ? nla_get_u64(offset) : 0;
	unsigned long words, first, some, *bits;
	u64 __user *from;
	int err;

	err = r3map_netlink_bitmap(info, &from, &words);
	if (err)
		return err;
	first = at >> chunks->shift;
	if (at >= chunks->size || at & ((BITS_PER_LONG << (u64)chunks->shift) - 1) ||
	    words > BITS_TO_LONGS(chunks->nr - first)) {
		GENL_SET_ERR_MSG(info, "BITMAP is not within the device");
		return -EINVAL;
	}
	bits = kmalloc(PAGE_SIZE, GFP_NOIO);
	if (!bits)
		return -ENOMEM;
	for (; words && !err; words -= some) {
		some = min_t(unsigned long, words, PAGE_SIZE / sizeof(*bits));
		if (copy_from_user_nofault(bits, from, some * sizeof(*bits))) {
			GENL_SET_ERR_MSG(info, "BITMAP is not in memory");
			err = -EFAULT;
		} else {
			err = r3map_chunks_drop_bits(chunks, first, bits, some, info->extack);
		}
		first += some * BITS_PER_LONG;
		from += some;
		cond_resched();
	}
	kfree(bits);
	return err;
}

static int drop_extents(struct r3map_chunks *chunks, struct genl_info *info)
{
	struct r3map_extent *extents;
	int err;
	u32 nr;

	extents = tell_extents(info, &nr);
	if (IS_ERR(extents))
		return PTR_ERR(extents);
	err = r3map_chunks_drop(chunks, extents, nr, info->extack);
	kfree(extents);
	return err;
}

int r3map_netlink_chunk_drop(struct sk_buff *skb, struct genl_info *info)
{
	struct r3map_device *dev = chunk_find_lock(skb, info);
	int err;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	if (r3map_hold_level(&dev->held) != R3MAP_HOLD_ALL) {
		GENL_SET_ERR_MSG(info, "the device is not held: somebody may read what is local");
		err = -EBUSY;
		goto unlock;
	}
	if (dev->managed->mapfile) {
		GENL_SET_ERR_MSG(info, "the store outlives the device: what is local stays local");
		err = -EOPNOTSUPP;
		goto unlock;
	}
	if (info->attrs[R3MAP_A_CHUNK_BITMAP])
		err = drop_bitmap(&dev->managed->chunks, info);
	else
		err = drop_extents(&dev->managed->chunks, info);
unlock:
	r3map_netlink_unlock_put(dev);
	return err;
}

/* --- the store ---------------------------------------------------------------------------- */

int r3map_netlink_store_open(struct sk_buff *skb, struct genl_info *info)
{
	struct r3map_device *dev = chunk_find_lock(skb, info);
	struct sk_buff *reply = NULL;
	struct file *file;
	void *head;
	int err, fd;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	/* The handler runs in the sender's process, as chunk_find_lock() has seen. */
	file = r3map_store_reopen(dev->managed->store.file);
	if (IS_ERR(file)) {
		err = PTR_ERR(file);
		goto unlock;
	}
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		err = fd;
		goto put_file;
	}
	err = -ENOMEM;
	reply = genlmsg_new(nla_total_size(sizeof(u32)), GFP_NOIO);
	if (!reply)
		goto put_fd;
	head = genlmsg_put_reply(reply, info, &r3map_family, 0, R3MAP_CMD_STORE_OPEN);
	if (!head || nla_put_u32(reply, R3MAP_A_CHUNK_FD, fd)) {
		nlmsg_free(reply);
		err = -EMSGSIZE;
		goto put_fd;
	}
	genlmsg_end(reply, head);
	err = genlmsg_reply(reply, info);
	if (err)
		goto put_fd;
	fd_install(fd, file);
	goto unlock;

put_fd:
	put_unused_fd(fd);
put_file:
	fput(file);
unlock:
	r3map_netlink_unlock_put(dev);
	return err;
}
