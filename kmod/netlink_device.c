// SPDX-License-Identifier: GPL-2.0-only
/*
 * Handlers of the DEVICE_* commands. What a policy cannot say is checked here, once; device.c may
 * assume it.
 */
#include <linux/log2.h>
#include <linux/r3map.h>
#include <linux/ktime.h>

#include "device.h"
#include "latency.h"
#include "managed.h"
#include "netlink.h"
#include "queue.h"

#define DEFAULT_LOGICAL_BLOCK	512
#define DEFAULT_PHYSICAL_BLOCK	4096
#define DEFAULT_MAX_IO		(1U << 20)
#define DEFAULT_MAX_IO_INLINE	(128U << 10)
#define DEFAULT_MAX_RANGE	(1U << 30)
#define DEFAULT_QUEUES		1
#define DEFAULT_DEPTH		128
#define DEFAULT_TIMEOUT		30000
#define DEFAULT_PARK		60000

static u32 get_u32(struct genl_info *info, int attr, u32 otherwise)
{
	return info->attrs[attr] ? nla_get_u32(info->attrs[attr]) : otherwise;
}

static const u32 *get_u32_ptr(struct genl_info *info, int attr, u32 *value)
{
	if (!info->attrs[attr])
		return NULL;
	*value = nla_get_u32(info->attrs[attr]);
	return value;
}

static const char *get_string(struct genl_info *info, int attr)
{
	return info->attrs[attr] ? nla_data(info->attrs[attr]) : NULL;
}

/* --- finding ------------------------------------------------------------------------------ */

/* The device of INDEX, with a reference, or an ERR_PTR. */
static struct r3map_device *device_find(struct sk_buff *skb, struct genl_info *info)
{
	struct r3map_device *dev;
	int err;

	err = r3map_netlink_may(skb, info->extack);
	if (err)
		return ERR_PTR(err);
	if (GENL_REQ_ATTR_CHECK(info, R3MAP_A_DEVICE_INDEX)) {
		GENL_SET_ERR_MSG(info, "INDEX is missing");
		return ERR_PTR(-EINVAL);
	}
	dev = r3map_device_find(nla_get_u32(info->attrs[R3MAP_A_DEVICE_INDEX]));
	if (!dev) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[R3MAP_A_DEVICE_INDEX],
				    "there is no device with this index");
		return ERR_PTR(-ENODEV);
	}
	return dev;
}

struct r3map_device *r3map_netlink_find_lock(struct sk_buff *skb, struct genl_info *info)
{
	struct r3map_device *dev = device_find(skb, info);

	if (IS_ERR(dev))
		return dev;
	if (GENL_REQ_ATTR_CHECK(info, R3MAP_A_DEVICE_GENERATION)) {
		GENL_SET_ERR_MSG(info, "GENERATION is missing");
		r3map_device_put(dev);
		return ERR_PTR(-EINVAL);
	}
	mutex_lock(&dev->lock);
	if (nla_get_u64(info->attrs[R3MAP_A_DEVICE_GENERATION]) != dev->generation) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[R3MAP_A_DEVICE_GENERATION],
				    "the device has another generation now");
		mutex_unlock(&dev->lock);
		r3map_device_put(dev);
		return ERR_PTR(-ESTALE);
	}
	return dev;
}

void r3map_netlink_unlock_put(struct r3map_device *dev)
{
	mutex_unlock(&dev->lock);
	r3map_device_put(dev);
}

/* --- telling ------------------------------------------------------------------------------ */

int r3map_netlink_put_facts(struct sk_buff *skb, const struct r3map_device *dev)
{
	lockdep_assert_held(&dev->lock);
	if (nla_put_u32(skb, R3MAP_A_DEVICE_INDEX, dev->index) ||
	    nla_put_u64_64bit(skb, R3MAP_A_DEVICE_GENERATION, dev->generation,
			      R3MAP_A_DEVICE_PAD) ||
	    nla_put_u32(skb, R3MAP_A_DEVICE_STATE, dev->state) ||
	    nla_put_u64_64bit(skb, R3MAP_A_DEVICE_STATE_TIME, dev->state_time,
			      R3MAP_A_DEVICE_PAD) ||
	    nla_put_u64_64bit(skb, R3MAP_A_DEVICE_SIZE, dev->size, R3MAP_A_DEVICE_PAD) ||
	    nla_put_u32(skb, R3MAP_A_DEVICE_FLAGS, dev->flags) ||
	    nla_put_u32(skb, R3MAP_A_DEVICE_TIMEOUT, dev->timeout) ||
	    nla_put_u32(skb, R3MAP_A_DEVICE_PARK, dev->park) ||
	    nla_put_u32(skb, R3MAP_A_DEVICE_HOLD, r3map_hold_level(&dev->held)) ||
	    nla_put_u32(skb, R3MAP_A_DEVICE_HELPER_PID, dev->helper_pid) ||
	    nla_put(skb, R3MAP_A_DEVICE_TROUBLES, dev->nr_troubles * sizeof(*dev->troubles),
		    dev->troubles))
		return -EMSGSIZE;
	if (dev->state == R3MAP_STATE_PARKED &&
	    nla_put_u32(skb, R3MAP_A_DEVICE_PARK_LEFT, r3map_device_park_left(dev)))
		return -EMSGSIZE;
	return 0;
}

int r3map_netlink_put_finalized(struct sk_buff *skb, const struct r3map_device *dev)
{
	const struct r3map_finalize *final = &dev->final;

	lockdep_assert_held(&dev->lock);
	if (final->frozen && nla_put_u64_64bit(skb, R3MAP_A_DEVICE_FREEZE_TIME,
					       final->frozen - final->begun, R3MAP_A_DEVICE_PAD))
		return -EMSGSIZE;
	if (final->held && nla_put_u64_64bit(skb, R3MAP_A_DEVICE_HELD_SINCE, final->held,
					     R3MAP_A_DEVICE_PAD))
		return -EMSGSIZE;
	if (final->drained && nla_put_u64_64bit(skb, R3MAP_A_DEVICE_DRAIN_TIME,
						final->drained - final->held,
						R3MAP_A_DEVICE_PAD))
		return -EMSGSIZE;
	return 0;
}

/* What is held, and what watches. */
static int put_migration(struct sk_buff *skb, struct r3map_device *dev)
{
	u64 first = READ_ONCE(dev->held.first);

	if (nla_put_u32(skb, R3MAP_A_DEVICE_HELD, READ_ONCE(dev->held.nr)) ||
	    nla_put_u32(skb, R3MAP_A_DEVICE_EPOCHS, dev->epochs.nr) ||
	    nla_put_u64_64bit(skb, R3MAP_A_DEVICE_THROTTLE, READ_ONCE(dev->throttle.rate),
			      R3MAP_A_DEVICE_PAD) ||
	    nla_put_u32(skb, R3MAP_A_DEVICE_THROTTLED, READ_ONCE(dev->throttle.nr)) ||
	    (first && nla_put_u64_64bit(skb, R3MAP_A_DEVICE_FIRST_IO, first,
					R3MAP_A_DEVICE_PAD)))
		return -EMSGSIZE;
	return r3map_netlink_put_finalized(skb, dev);
}

static int put_params(struct sk_buff *skb, const struct r3map_params *p)
{
	if (nla_put_u32(skb, R3MAP_A_DEVICE_LOGICAL_BLOCK, p->logical_block) ||
	    nla_put_u32(skb, R3MAP_A_DEVICE_PHYSICAL_BLOCK, p->physical_block) ||
	    nla_put_u32(skb, R3MAP_A_DEVICE_IO_MIN, p->io_min) ||
	    nla_put_u32(skb, R3MAP_A_DEVICE_IO_OPT, p->io_opt) ||
	    nla_put_u32(skb, R3MAP_A_DEVICE_MAX_IO, p->max_io) ||
	    nla_put_u32(skb, R3MAP_A_DEVICE_MAX_DISCARD, p->max_discard) ||
	    nla_put_u32(skb, R3MAP_A_DEVICE_MAX_ZEROES, p->max_zeroes) ||
	    nla_put_u32(skb, R3MAP_A_DEVICE_DISCARD_GRANULARITY, p->discard_granularity) ||
	    nla_put_u32(skb, R3MAP_A_DEVICE_QUEUES, p->queues) ||
	    nla_put_u32(skb, R3MAP_A_DEVICE_DEPTH, p->depth) ||
	    nla_put_u32(skb, R3MAP_A_DEVICE_TRANSPORT, p->transport))
		return -EMSGSIZE;
	if (p->chunk && (nla_put_u32(skb, R3MAP_A_DEVICE_CHUNK, p->chunk) ||
			 nla_put_u32(skb, R3MAP_A_DEVICE_FLUSH, p->flush)))
		return -EMSGSIZE;
	return 0;
}

static int put_managed(struct sk_buff *skb, struct r3map_managed *managed)
{
	u64 local, dirty;

	r3map_chunks_count(&managed->chunks, &local, &dirty);
	if (nla_put_u64_64bit(skb, R3MAP_A_DEVICE_LOCAL, local, R3MAP_A_DEVICE_PAD) ||
	    nla_put_u64_64bit(skb, R3MAP_A_DEVICE_DIRTY, dirty, R3MAP_A_DEVICE_PAD))
		return -EMSGSIZE;
	return 0;
}

static int put_counters(struct sk_buff *skb, const u64 *counter)
{
	struct nlattr *nest = nla_nest_start(skb, R3MAP_A_DEVICE_COUNTERS);
	int i;

	if (!nest)
		return -EMSGSIZE;
	for (i = R3MAP_A_COUNTER_READS; i <= R3MAP_A_COUNTER_MAX; i++)
		if (nla_put_u64_64bit(skb, i, counter[i], R3MAP_A_COUNTER_PAD))
			return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int put_queues(struct sk_buff *skb, struct r3map_device *dev)
{
	u64 counter[__R3MAP_A_COUNTER_MAX] = {};
	u32 flying = 0, waiting = dev->managed ? READ_ONCE(dev->managed->chunks.nr_waiters) : 0;
	u32 i, j;
	u64 area = 0;

	for (i = 0; i < dev->params.queues; i++) {
		struct r3map_queue *queue = &dev->queues[i];

		spin_lock(&queue->lock);
		flying += queue->nr_flying;
		waiting += queue->nr_waiting + queue->nr_ready;
		area += r3map_queue_area(queue);
		for (j = 0; j < __R3MAP_A_COUNTER_MAX; j++)
			counter[j] += queue->counter[j];
		spin_unlock(&queue->lock);
	}
	if (nla_put_u32(skb, R3MAP_A_DEVICE_IN_FLIGHT, flying) ||
	    nla_put_u32(skb, R3MAP_A_DEVICE_WAITING, waiting) ||
	    nla_put_u64_64bit(skb, R3MAP_A_DEVICE_AREA, area, R3MAP_A_DEVICE_PAD))
		return -EMSGSIZE;
	if (dev->managed)
		r3map_managed_count(dev->managed, counter);
	return put_counters(skb, counter);
}

/* What took how long, of @kind: a bio of a managed device, or a request at the helper. */
static void latency_of(struct r3map_device *dev, enum r3map_a_latency kind,
		       struct r3map_latency *latency)
{
	static const u8 ops[__R3MAP_A_LATENCY_MAX] = {
		[R3MAP_A_LATENCY_READS] = R3MAP_OP_READ,
		[R3MAP_A_LATENCY_WRITES] = R3MAP_OP_WRITE,
		[R3MAP_A_LATENCY_FLUSHES] = R3MAP_OP_FLUSH,
		[R3MAP_A_LATENCY_DISCARDS] = R3MAP_OP_DISCARD,
		[R3MAP_A_LATENCY_ZEROES] = R3MAP_OP_WRITE_ZEROES,
		[R3MAP_A_LATENCY_FETCHES] = R3MAP_OP_FETCH,
	};
	u32 i;

	if (kind <= R3MAP_A_LATENCY_COALESCED) {
		if (dev->managed)
			r3map_latency_add_cpus(latency, &dev->managed->latency[kind]);
		return;
	}
	for (i = 0; i < dev->params.queues; i++) {
		spin_lock(&dev->queues[i].lock);
		r3map_latency_add(latency, &dev->queues[i].latency[ops[kind]]);
		spin_unlock(&dev->queues[i].lock);
	}
}

static int put_latency(struct sk_buff *skb, struct r3map_device *dev)
{
	struct nlattr *nest = nla_nest_start(skb, R3MAP_A_DEVICE_LATENCY);
	int kind, err = 0;

	if (!nest)
		return -EMSGSIZE;
	for (kind = R3MAP_A_LATENCY_HITS; !err && kind <= R3MAP_A_LATENCY_MAX; kind++) {
		struct r3map_latency latency = {};

		latency_of(dev, kind, &latency);
		err = r3map_latency_put(skb, kind, &latency);
	}
	nla_nest_end(skb, nest);
	return err;
}

static int put_all(struct sk_buff *skb, struct r3map_device *dev)
{
	if (nla_put_u64_64bit(skb, R3MAP_A_DEVICE_TIME, ktime_get_ns(), R3MAP_A_DEVICE_PAD) ||
	    r3map_netlink_put_facts(skb, dev) ||
	    put_params(skb, &dev->params) ||
	    nla_put_string(skb, R3MAP_A_DEVICE_BACKEND, dev->backend) ||
	    nla_put_u32(skb, R3MAP_A_DEVICE_OPENERS, READ_ONCE(dev->openers)) ||
	    nla_put_u64_64bit(skb, R3MAP_A_DEVICE_MEMORY, r3map_device_memory(dev),
			      R3MAP_A_DEVICE_PAD) ||
	    put_migration(skb, dev) ||
	    (dev->managed && put_managed(skb, dev->managed)))
		return -EMSGSIZE;
	return put_queues(skb, dev);
}

/*
 * Answers @info with all there is to say about @dev. Context: dev->lock is held.
 *
 * LATENCY is only told to who asks for one device: of all of them, each would need a large message.
 */
static int device_reply(struct genl_info *info, struct r3map_device *dev, u8 cmd)
{
	bool get = cmd == R3MAP_CMD_DEVICE_GET;
	size_t more = get ? nla_total_size(R3MAP_A_LATENCY_MAX * r3map_latency_size()) : 0;
	struct sk_buff *reply = genlmsg_new(NLMSG_GOODSIZE + more, GFP_NOIO);
	void *head;

	if (!reply)
		return -ENOMEM;
	head = genlmsg_put_reply(reply, info, &r3map_family, 0, cmd);
	if (!head || put_all(reply, dev) || (get && put_latency(reply, dev))) {
		nlmsg_free(reply);
		return -EMSGSIZE;
	}
	genlmsg_end(reply, head);
	return genlmsg_reply(reply, info);
}

int r3map_netlink_device_get(struct sk_buff *skb, struct genl_info *info)
{
	struct r3map_device *dev = device_find(skb, info);
	int err;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	mutex_lock(&dev->lock);
	err = device_reply(info, dev, R3MAP_CMD_DEVICE_GET);
	r3map_netlink_unlock_put(dev);
	return err;
}

int r3map_netlink_device_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct r3map_device *dev;
	u32 index = cb->args[0];
	int err = 0;

	if (!netlink_capable(cb->skb, CAP_SYS_ADMIN))
		return -EPERM;
	while (!err && (dev = r3map_device_next(&index))) {
		void *head = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
					 &r3map_family, NLM_F_MULTI, R3MAP_CMD_DEVICE_GET);

		err = -EMSGSIZE;
		if (head) {
			mutex_lock(&dev->lock);
			err = put_all(skb, dev);
			mutex_unlock(&dev->lock);
			if (err)
				genlmsg_cancel(skb, head);
			else
				genlmsg_end(skb, head);
		}
		r3map_device_put(dev);
		if (!err)
			index++;
	}
	cb->args[0] = index;
	return skb->len ?: err;
}

/* --- making ------------------------------------------------------------------------------- */

static int refuse(struct genl_info *info, int attr, const char *text)
{
	NL_SET_BAD_ATTR(info->extack, info->attrs[attr]);
	if (info->extack)
		info->extack->_msg = text;
	return -EINVAL;
}

static int parse_blocks(struct genl_info *info, struct r3map_params *p)
{
	p->logical_block = get_u32(info, R3MAP_A_DEVICE_LOGICAL_BLOCK, DEFAULT_LOGICAL_BLOCK);
	p->physical_block = get_u32(info, R3MAP_A_DEVICE_PHYSICAL_BLOCK,
				    max_t(u32, DEFAULT_PHYSICAL_BLOCK, p->logical_block));
	p->io_min = get_u32(info, R3MAP_A_DEVICE_IO_MIN, p->physical_block);
	p->io_opt = get_u32(info, R3MAP_A_DEVICE_IO_OPT, 0);
	if (!is_power_of_2(p->logical_block))
		return refuse(info, R3MAP_A_DEVICE_LOGICAL_BLOCK,
			      "LOGICAL_BLOCK is not a power of two");
	if (!is_power_of_2(p->physical_block) || p->physical_block < p->logical_block)
		return refuse(info, R3MAP_A_DEVICE_PHYSICAL_BLOCK,
			      "PHYSICAL_BLOCK is not a power of two, or below LOGICAL_BLOCK");
	if (p->io_min < p->physical_block || p->io_min % p->physical_block)
		return refuse(info, R3MAP_A_DEVICE_IO_MIN,
			      "IO_MIN is not a multiple of PHYSICAL_BLOCK");
	if (p->io_opt % p->physical_block)
		return refuse(info, R3MAP_A_DEVICE_IO_OPT,
			      "IO_OPT is not a multiple of PHYSICAL_BLOCK");
	return 0;
}

static int parse_limits(struct genl_info *info, struct r3map_params *p)
{
	bool inlined = p->transport == R3MAP_TRANSPORT_INLINE;

	p->max_io = get_u32(info, R3MAP_A_DEVICE_MAX_IO,
			    inlined ? DEFAULT_MAX_IO_INLINE : DEFAULT_MAX_IO);
	p->discard_granularity = get_u32(info, R3MAP_A_DEVICE_DISCARD_GRANULARITY,
					 p->physical_block);
	p->max_discard = get_u32(info, R3MAP_A_DEVICE_MAX_DISCARD, DEFAULT_MAX_RANGE);
	p->max_zeroes = get_u32(info, R3MAP_A_DEVICE_MAX_ZEROES, DEFAULT_MAX_RANGE);
	if (p->max_io % PAGE_SIZE)
		return refuse(info, R3MAP_A_DEVICE_MAX_IO, "MAX_IO is not a whole number of pages");
	if (inlined && p->max_io > R3MAP_MAX_IO_INLINE)
		return refuse(info, R3MAP_A_DEVICE_MAX_IO,
			      "MAX_IO is beyond what the inline transport carries");
	if (!is_power_of_2(p->discard_granularity))
		return refuse(info, R3MAP_A_DEVICE_DISCARD_GRANULARITY,
			      "DISCARD_GRANULARITY is not a power of two");
	/* The block layer raises it to the physical block anyway. */
	p->discard_granularity = max(p->discard_granularity, p->physical_block);
	if (p->max_discard % p->discard_granularity)
		return refuse(info, R3MAP_A_DEVICE_MAX_DISCARD,
			      "MAX_DISCARD is not a multiple of DISCARD_GRANULARITY and PHYSICAL_BLOCK");
	if (p->max_zeroes % p->logical_block)
		return refuse(info, R3MAP_A_DEVICE_MAX_ZEROES, "MAX_ZEROES is not whole blocks");
	return 0;
}

static int parse_managed(struct genl_info *info, struct r3map_device_config *config)
{
	struct r3map_params *p = &config->params;

	p->chunk = get_u32(info, R3MAP_A_DEVICE_CHUNK, 0);
	p->flush = get_u32(info, R3MAP_A_DEVICE_FLUSH, R3MAP_FLUSH_REMOTE);
	if (!info->attrs[R3MAP_A_DEVICE_CHUNK] != !info->attrs[R3MAP_A_DEVICE_STORE]) {
		GENL_SET_ERR_MSG(info, "of CHUNK and STORE one is missing");
		return -EINVAL;
	}
	if (!info->attrs[R3MAP_A_DEVICE_MAP] != !info->attrs[R3MAP_A_DEVICE_MAP_REGION]) {
		GENL_SET_ERR_MSG(info, "of MAP and MAP_REGION one is missing");
		return -EINVAL;
	}
	config->map = -1;
	if (!p->chunk) {
		if (info->attrs[R3MAP_A_DEVICE_MAP])
			return refuse(info, R3MAP_A_DEVICE_MAP, "MAP is for managed devices");
		if (info->attrs[R3MAP_A_DEVICE_FLUSH])
			return refuse(info, R3MAP_A_DEVICE_FLUSH, "FLUSH is for managed devices");
		return 0;
	}
	if (!is_power_of_2(p->chunk))
		return refuse(info, R3MAP_A_DEVICE_CHUNK, "CHUNK is not a power of two");
	if (DIV_ROUND_UP_ULL(config->size, p->chunk) > R3MAP_MAX_CHUNKS)
		return refuse(info, R3MAP_A_DEVICE_CHUNK, "CHUNK is too small for this SIZE");
	if (p->transport != R3MAP_TRANSPORT_SHARED)
		return refuse(info, R3MAP_A_DEVICE_TRANSPORT,
			      "a managed device has no payload to transport");
	config->store = nla_get_u32(info->attrs[R3MAP_A_DEVICE_STORE]);
	if (info->attrs[R3MAP_A_DEVICE_MAP]) {
		config->map = nla_get_u32(info->attrs[R3MAP_A_DEVICE_MAP]);
		config->map_region = nla_get_u64(info->attrs[R3MAP_A_DEVICE_MAP_REGION]);
	}
	return 0;
}

static int parse_config(struct genl_info *info, struct r3map_device_config *config)
{
	struct r3map_params *p = &config->params;
	int err;

	if (GENL_REQ_ATTR_CHECK(info, R3MAP_A_DEVICE_SIZE)) {
		GENL_SET_ERR_MSG(info, "SIZE is missing");
		return -EINVAL;
	}
	p->queues = get_u32(info, R3MAP_A_DEVICE_QUEUES, DEFAULT_QUEUES);
	p->depth = get_u32(info, R3MAP_A_DEVICE_DEPTH, DEFAULT_DEPTH);
	p->transport = get_u32(info, R3MAP_A_DEVICE_TRANSPORT, R3MAP_TRANSPORT_SHARED);
	err = parse_blocks(info, p) ?: parse_limits(info, p);
	if (err)
		return err;
	config->any_index = !info->attrs[R3MAP_A_DEVICE_INDEX];
	config->index = get_u32(info, R3MAP_A_DEVICE_INDEX, 0);
	if (config->index > MINORMASK)
		return refuse(info, R3MAP_A_DEVICE_INDEX, "INDEX is too large");
	config->size = nla_get_u64(info->attrs[R3MAP_A_DEVICE_SIZE]);
	if (config->size % p->logical_block)
		return refuse(info, R3MAP_A_DEVICE_SIZE, "SIZE is not a multiple of LOGICAL_BLOCK");
	config->flags = get_u32(info, R3MAP_A_DEVICE_FLAGS, 0);
	config->timeout = get_u32(info, R3MAP_A_DEVICE_TIMEOUT, DEFAULT_TIMEOUT);
	config->park = get_u32(info, R3MAP_A_DEVICE_PARK, DEFAULT_PARK);
	config->backend = get_string(info, R3MAP_A_DEVICE_BACKEND) ?: "";
	return parse_managed(info, config);
}

int r3map_netlink_device_new(struct sk_buff *skb, struct genl_info *info)
{
	struct r3map_device_config config = {};
	struct r3map_device *dev;
	int err;

	err = r3map_netlink_may(skb, info->extack) ?: parse_config(info, &config);
	if (err)
		return err;
	dev = r3map_device_new(&config, r3map_netlink_sender(skb), info->snd_portid,
			       info->extack);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	mutex_lock(&dev->lock);
	err = device_reply(info, dev, R3MAP_CMD_DEVICE_NEW);
	/* Nobody knows of it, so nobody would delete it. */
	if (err)
		r3map_device_delete(dev, true, NULL);
	r3map_netlink_unlock_put(dev);
	return err;
}

int r3map_netlink_device_attach(struct sk_buff *skb, struct genl_info *info)
{
	struct r3map_device *dev = r3map_netlink_find_lock(skb, info);
	u64 size = 0;
	int err;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	if (info->attrs[R3MAP_A_DEVICE_SIZE])
		size = nla_get_u64(info->attrs[R3MAP_A_DEVICE_SIZE]);
	err = r3map_device_attach(dev, r3map_netlink_sender(skb), info->snd_portid,
				  get_string(info, R3MAP_A_DEVICE_BACKEND), size,
				  info->attrs[R3MAP_A_DEVICE_FORCE], info->extack);
	if (!err) {
		err = device_reply(info, dev, R3MAP_CMD_DEVICE_ATTACH);
		/* It does not know its generation, so it could do nothing with the device. */
		if (err)
			r3map_device_detach(dev);
	}
	r3map_netlink_unlock_put(dev);
	return err;
}

int r3map_netlink_device_start(struct sk_buff *skb, struct genl_info *info)
{
	struct r3map_device *dev = r3map_netlink_find_lock(skb, info);
	int err;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = r3map_device_start(dev, r3map_netlink_sender(skb), info->extack);
	r3map_netlink_unlock_put(dev);
	return err;
}

/* --- changing ----------------------------------------------------------------------------- */

/* The rate ends with the last epoch, and with a finalize. */
static bool throttle_may(const struct r3map_device *dev)
{
	return dev->epochs.nr && dev->final.stage == R3MAP_FINAL_IDLE &&
	       r3map_hold_level(&dev->held) == R3MAP_HOLD_NONE;
}

int r3map_netlink_device_set(struct sk_buff *skb, struct genl_info *info)
{
	struct r3map_device *dev = r3map_netlink_find_lock(skb, info);
	struct nlattr *throttle = info->attrs[R3MAP_A_DEVICE_THROTTLE];
	const u64 *size = NULL;
	u32 flags, timeout, park;
	u64 bytes;
	int err;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	if (info->attrs[R3MAP_A_DEVICE_SIZE]) {
		bytes = nla_get_u64(info->attrs[R3MAP_A_DEVICE_SIZE]);
		size = &bytes;
	}
	if (size && bytes % dev->params.logical_block)
		err = refuse(info, R3MAP_A_DEVICE_SIZE, "SIZE is not a multiple of LOGICAL_BLOCK");
	else if (throttle && nla_get_u64(throttle) && !throttle_may(dev))
		err = refuse(info, R3MAP_A_DEVICE_THROTTLE,
			     "nobody watches what is written, or the device is finalized");
	else
		err = r3map_device_set(dev, size,
				       get_u32_ptr(info, R3MAP_A_DEVICE_FLAGS, &flags),
				       get_u32_ptr(info, R3MAP_A_DEVICE_TIMEOUT, &timeout),
				       get_u32_ptr(info, R3MAP_A_DEVICE_PARK, &park),
				       info->extack);
	if (!err && throttle)
		r3map_throttle_set(&dev->throttle, nla_get_u64(throttle));
	r3map_netlink_unlock_put(dev);
	return err;
}

int r3map_netlink_device_del(struct sk_buff *skb, struct genl_info *info)
{
	struct r3map_device *dev = r3map_netlink_find_lock(skb, info);
	int err;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = r3map_device_delete(dev, info->attrs[R3MAP_A_DEVICE_FORCE], info->extack);
	r3map_netlink_unlock_put(dev);
	return err;
}

int r3map_netlink_device_sync(struct sk_buff *skb, struct genl_info *info)
{
	struct r3map_device *dev = r3map_netlink_find_lock(skb, info);
	struct sk_buff *reply;
	u64 number;
	void *head;
	int err;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	if (dev->managed) {
		/* What will be at the backend must be on the disk of the store before. */
		mutex_unlock(&dev->lock);
		err = r3map_managed_save(dev->managed);
		mutex_lock(&dev->lock);
		if (err) {
			GENL_SET_ERR_MSG(info, "the store cannot be written to its disk");
			goto unlock;
		}
	}
	/* Made first: what has been asked for must be told. */
	err = -ENOMEM;
	reply = genlmsg_new(nla_total_size_64bit(sizeof(u64)), GFP_NOIO);
	if (!reply)
		goto unlock;
	err = r3map_device_sync(dev, &number, info->extack);
	if (err) {
		nlmsg_free(reply);
		goto unlock;
	}
	head = genlmsg_put_reply(reply, info, &r3map_family, 0, R3MAP_CMD_DEVICE_SYNC);
	nla_put_u64_64bit(reply, R3MAP_A_DEVICE_SYNC, number, R3MAP_A_DEVICE_PAD);
	genlmsg_end(reply, head);
	err = genlmsg_reply(reply, info);
unlock:
	r3map_netlink_unlock_put(dev);
	return err;
}
