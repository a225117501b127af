/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The generic netlink family. See the uapi header for what the commands mean.
 */
#ifndef R3MAP_NETLINK_H
#define R3MAP_NETLINK_H

#include <linux/types.h>
#include <net/genetlink.h>

struct r3map_device;

extern struct genl_family r3map_family;

int r3map_netlink_init(void);
void r3map_netlink_exit(void);

/* The socket that sent the message which is being handled; alive until the handler returns. */
static inline struct sock *r3map_netlink_sender(const struct sk_buff *skb)
{
	return NETLINK_CB(skb).sk;
}

/*
 * CAP_SYS_ADMIN in the initial user namespace, both of the task and of the opener of the socket: a
 * block device is not a network setting, whatever namespace the message came from.
 */
int r3map_netlink_may(struct sk_buff *skb, struct netlink_ext_ack *extack);

/* What every event and every dump tells. Context: dev->lock is held. 0 or -EMSGSIZE. */
int r3map_netlink_put_facts(struct sk_buff *skb, const struct r3map_device *dev);

/* What is known of the last DEVICE_FINALIZE. Context: the same. 0 or -EMSGSIZE. */
int r3map_netlink_put_finalized(struct sk_buff *skb, const struct r3map_device *dev);

/*
 * The device that a DEVICE_* command is about, with a reference, and locked; or an ERR_PTR: INDEX,
 * and GENERATION, which must be the present one, are checked.
 */
struct r3map_device *r3map_netlink_find_lock(struct sk_buff *skb, struct genl_info *info);
/*
 * The same for a command with attributes of enum r3map_a_chunk, and only for the helper's process,
 * which cannot be lost meanwhile.
 */
struct r3map_device *r3map_netlink_find_helped(struct sk_buff *skb, struct genl_info *info);
void r3map_netlink_unlock_put(struct r3map_device *dev);
/* What BITMAP and BITMAP_SIZE say: *@words 64-bit words at *@at. 0 or -EINVAL. */
int r3map_netlink_bitmap(struct genl_info *info, u64 __user **at, unsigned long *words);

/* Handlers. */
int r3map_netlink_device_new(struct sk_buff *skb, struct genl_info *info);
int r3map_netlink_device_get(struct sk_buff *skb, struct genl_info *info);
int r3map_netlink_device_dump(struct sk_buff *skb, struct netlink_callback *cb);
int r3map_netlink_device_set(struct sk_buff *skb, struct genl_info *info);
int r3map_netlink_device_del(struct sk_buff *skb, struct genl_info *info);
int r3map_netlink_device_attach(struct sk_buff *skb, struct genl_info *info);
int r3map_netlink_device_start(struct sk_buff *skb, struct genl_info *info);
int r3map_netlink_queue_bind(struct sk_buff *skb, struct genl_info *info);
int r3map_netlink_queue_complete(struct sk_buff *skb, struct genl_info *info);
int r3map_netlink_store_open(struct sk_buff *skb, struct genl_info *info);
int r3map_netlink_chunk_claim(struct sk_buff *skb, struct genl_info *info);
int r3map_netlink_chunk_fill(struct sk_buff *skb, struct genl_info *info);
int r3map_netlink_chunk_get(struct sk_buff *skb, struct genl_info *info);
int r3map_netlink_dirty_take(struct sk_buff *skb, struct genl_info *info);
int r3map_netlink_device_sync(struct sk_buff *skb, struct genl_info *info);
int r3map_netlink_dirty_done(struct sk_buff *skb, struct genl_info *info);
int r3map_netlink_device_finalize(struct sk_buff *skb, struct genl_info *info);
int r3map_netlink_device_release(struct sk_buff *skb, struct genl_info *info);
int r3map_netlink_device_retire(struct sk_buff *skb, struct genl_info *info);
int r3map_netlink_epoch_open(struct sk_buff *skb, struct genl_info *info);
int r3map_netlink_epoch_take(struct sk_buff *skb, struct genl_info *info);
int r3map_netlink_epoch_close(struct sk_buff *skb, struct genl_info *info);
int r3map_netlink_chunk_drop(struct sk_buff *skb, struct genl_info *info);
int r3map_netlink_chunk_firm(struct sk_buff *skb, struct genl_info *info);
int r3map_netlink_device_tell(struct sk_buff *skb, struct genl_info *info);

#endif
