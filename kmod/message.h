/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * QUEUE_REQUEST messages, and the payload of the inline transport on both ways.
 */
#ifndef R3MAP_MESSAGE_H
#define R3MAP_MESSAGE_H

#include <linux/r3map.h>
#include <linux/types.h>

struct bio;
struct netlink_ext_ack;
struct nlattr;
struct nlmsghdr;
struct r3map_queue;
struct r3map_request;
struct sk_buff;

/* A message for @nr requests and @payload bytes of DATA. NULL when there is no memory. */
struct sk_buff *r3map_message_new(u32 nr, u32 payload, gfp_t gfp);

/**
 * r3map_message_begin - write the head of a message of r3map_message_new()
 * @portid: of the socket it will be sent to
 * Context: any.
 * Return: room for @nr descriptors, each to be filled in by r3map_message_describe().
 */
struct r3map_desc *r3map_message_begin(struct sk_buff *skb, const struct r3map_queue *queue,
				       u32 portid, u32 seq, u32 nr);
/* @now: ns, of one message. */
void r3map_message_describe(struct r3map_desc *desc, struct r3map_request *request, u64 tag,
			    u64 now);

/* The payload of several bios, as a row of DATA attributes that are filled one after the other. */
struct r3map_data_writer {
	struct sk_buff *skb;
	u32 left;		/* bytes that are still to come, all attributes */
	u32 room;		/* bytes that are free at @at */
	u8 *at;
};

void r3map_data_begin(struct r3map_data_writer *writer, struct sk_buff *skb, u32 payload);
void r3map_data_store(struct r3map_data_writer *writer, struct bio *bio);

/* Ends the message. */
void r3map_message_end(struct sk_buff *skb);

/* The DATA attributes of a QUEUE_COMPLETE message, read as one row of bytes. */
struct r3map_data_reader {
	const struct nlmsghdr *nlh;
	const struct nlattr *next;	/* the attribute to look at next */
	int remaining;			/* bytes of the message from @next on */
	u32 left;			/* bytes that are left at @at */
	const u8 *at;
	u32 position;			/* bytes read or passed over */
};

/* Bytes of all DATA attributes of @nlh. */
u64 r3map_data_length(const struct nlmsghdr *nlh);
void r3map_data_open(struct r3map_data_reader *reader, const struct nlmsghdr *nlh);
/*
 * The bytes at @position, not before those read last, into @bio. r3map_data_length() has shown that
 * there are enough.
 */
void r3map_data_load(struct r3map_data_reader *reader, u32 position, struct bio *bio);

#endif
