// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writing QUEUE_REQUEST messages and moving payload in and out of DATA attributes.
 *
 * Nothing here may sleep or fail once the message is allocated: its size was computed exactly.
 */
#include <linux/bio.h>
#include <linux/highmem.h>
#include <net/genetlink.h>

#include "device.h"
#include "message.h"
#include "netlink.h"
#include "queue.h"
#include "request.h"

struct sk_buff *r3map_message_new(u32 nr, u32 payload, gfp_t gfp)
{
	size_t size = 3 * nla_total_size(sizeof(u32)) +
		      nla_total_size(nr * sizeof(struct r3map_desc));
	struct sk_buff *skb;

	if (payload)
		size += payload + DIV_ROUND_UP(payload, R3MAP_MAX_DATA) * nla_total_size(0);
	skb = genlmsg_new(size + NLA_ALIGNTO, gfp | __GFP_NOWARN);
	/*
	 * Made from the reserves, in the path of memory reclaim, it would be dropped by the socket
	 * filter and reported as sent: the socket is not one of those that may use them. But what
	 * is asked for here is to write memory out.
	 */
	if (skb)
		skb->pfmemalloc = false;
	return skb;
}

struct r3map_desc *r3map_message_begin(struct sk_buff *skb, const struct r3map_queue *queue,
				       u32 portid, u32 seq, u32 nr)
{
	struct nlattr *requests;

	genlmsg_put(skb, portid, 0, &r3map_family, 0, R3MAP_CMD_QUEUE_REQUEST);
	nla_put_u32(skb, R3MAP_A_QUEUE_INDEX, queue->dev->index);
	nla_put_u32(skb, R3MAP_A_QUEUE_QUEUE, queue->id);
	nla_put_u32(skb, R3MAP_A_QUEUE_SEQ, seq);
	/* With these before it the array is aligned to 8 bytes, as struct r3map_desc wants. */
	requests = nla_reserve(skb, R3MAP_A_QUEUE_REQUESTS, nr * sizeof(struct r3map_desc));
	return nla_data(requests);
}

void r3map_message_describe(struct r3map_desc *desc, struct r3map_request *request, u64 tag,
			    u64 now)
{
	blk_opf_t opf = request->bio ? request->bio->bi_opf : 0;
	u16 flags = 0;

	if (request->op != R3MAP_OP_FLUSH && (opf & REQ_FUA))
		flags |= R3MAP_DESC_FUA;
	if (request->op == R3MAP_OP_WRITE_ZEROES && (opf & REQ_NOUNMAP))
		flags |= R3MAP_DESC_NO_UNMAP;
	if (request->issued)
		flags |= R3MAP_DESC_REISSUED;
	if (opf & REQ_SWAP)
		flags |= R3MAP_DESC_SWAP;
	if (request->op == R3MAP_OP_FLUSH && !request->bio)
		flags |= R3MAP_DESC_SYNC;
	*desc = (struct r3map_desc) {
		.tag = tag,
		.op = request->op,
		.flags = flags,
		.area = request->area,
		.sent = now >> 10,
	};
	request->sent = now;
	if (request->op != R3MAP_OP_FLUSH) {
		desc->offset = request->offset;
		desc->length = request->length;
	}
}

static void data_next(struct r3map_data_writer *writer)
{
	u32 room = min_t(u32, writer->left, R3MAP_MAX_DATA);

	writer->at = nla_data(nla_reserve(writer->skb, R3MAP_A_QUEUE_DATA, room));
	writer->room = room;
	writer->left -= room;
}

void r3map_data_begin(struct r3map_data_writer *writer, struct sk_buff *skb, u32 payload)
{
	*writer = (struct r3map_data_writer) { .skb = skb, .left = payload };
}

void r3map_data_store(struct r3map_data_writer *writer, struct bio *bio)
{
	struct bvec_iter iter;
	struct bio_vec bv;

	bio_for_each_segment(bv, bio, iter) {
		const char *from = bvec_kmap_local(&bv);
		u32 done = 0;

		while (done < bv.bv_len) {
			u32 n;

			if (!writer->room)
				data_next(writer);
			n = min(bv.bv_len - done, writer->room);
			memcpy(writer->at, from + done, n);
			writer->at += n;
			writer->room -= n;
			done += n;
		}
		kunmap_local(from);
	}
}

void r3map_message_end(struct sk_buff *skb)
{
	struct nlmsghdr *nlh = nlmsg_hdr(skb);

	genlmsg_end(skb, genlmsg_data(nlmsg_data(nlh)));
}

u64 r3map_data_length(const struct nlmsghdr *nlh)
{
	const struct nlattr *attr;
	int remaining;
	u64 length = 0;

	nlmsg_for_each_attr(attr, nlh, GENL_HDRLEN, remaining)
		if (nla_type(attr) == R3MAP_A_QUEUE_DATA)
			length += nla_len(attr);
	return length;
}

void r3map_data_open(struct r3map_data_reader *reader, const struct nlmsghdr *nlh)
{
	*reader = (struct r3map_data_reader) {
		.nlh = nlh,
		.next = nlmsg_attrdata(nlh, GENL_HDRLEN),
		.remaining = nlmsg_attrlen(nlh, GENL_HDRLEN),
	};
}

static bool data_find(struct r3map_data_reader *reader)
{
	while (nla_ok(reader->next, reader->remaining)) {
		const struct nlattr *attr = reader->next;

		reader->next = nla_next(attr, &reader->remaining);
		if (nla_type(attr) == R3MAP_A_QUEUE_DATA && nla_len(attr)) {
			reader->at = nla_data(attr);
			reader->left = nla_len(attr);
			return true;
		}
	}
	return false;
}

/* The bytes that are at hand, at most @most; there is one more attribute if there are none. */
static u32 data_at_hand(struct r3map_data_reader *reader, u32 most)
{
	if (!reader->left && WARN_ON_ONCE(!data_find(reader)))
		return 0;
	return min(most, reader->left);
}

static void data_consume(struct r3map_data_reader *reader, u32 n)
{
	reader->at += n;
	reader->left -= n;
	reader->position += n;
}

void r3map_data_load(struct r3map_data_reader *reader, u32 position, struct bio *bio)
{
	struct bvec_iter iter;
	struct bio_vec bv;
	u32 n;

	while (reader->position < position) {
		n = data_at_hand(reader, position - reader->position);
		if (!n)
			return;
		data_consume(reader, n);
	}
	bio_for_each_segment(bv, bio, iter) {
		char *to = bvec_kmap_local(&bv);
		u32 done = 0;

		while (done < bv.bv_len) {
			n = data_at_hand(reader, bv.bv_len - done);
			if (!n)
				break;
			memcpy(to + done, reader->at, n);
			data_consume(reader, n);
			done += n;
		}
		flush_dcache_page(bv.bv_page);
		kunmap_local(to);
	}
}
