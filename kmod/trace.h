/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints r3map:*: a request at each step of its way, and every change of state.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM r3map

#if !defined(R3MAP_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define R3MAP_TRACE_H

#include <linux/blkdev.h>
#include <linux/tracepoint.h>

#include "device.h"
#include "queue.h"
#include "request.h"

#define show_op(op) __print_symbolic(op,		\
	{ R3MAP_OP_READ,		"read" },	\
	{ R3MAP_OP_WRITE,		"write" },	\
	{ R3MAP_OP_FLUSH,		"flush" },	\
	{ R3MAP_OP_DISCARD,		"discard" },	\
	{ R3MAP_OP_WRITE_ZEROES,	"zeroes" },	\
	{ R3MAP_OP_FETCH,		"fetch" })

/* A bio came in and became a request of a queue. */
TRACE_EVENT(r3map_submit,
	TP_PROTO(const struct r3map_queue *queue, const struct r3map_request *request),
	TP_ARGS(queue, request),
	TP_STRUCT__entry(
		__field(u32, index)
		__field(u32, queue)
		__field(u8, op)
		__field(u64, offset)
		__field(u32, length)
	),
	TP_fast_assign(
		__entry->index = queue->dev->index;
		__entry->queue = queue->id;
		__entry->op = request->op;
		__entry->offset = request->offset;
		__entry->length = request->length;
	),
	TP_printk("r3map%u queue=%u %s offset=%llu length=%u", __entry->index, __entry->queue,
		  show_op(__entry->op), __entry->offset, __entry->length)
);

/* A message with @nr requests goes to the helper. */
TRACE_EVENT(r3map_send,
	TP_PROTO(const struct r3map_queue *queue, u32 seq, u32 nr),
	TP_ARGS(queue, seq, nr),
	TP_STRUCT__entry(
		__field(u32, index)
		__field(u32, queue)
		__field(u32, seq)
		__field(u32, nr)
	),
	TP_fast_assign(
		__entry->index = queue->dev->index;
		__entry->queue = queue->id;
		__entry->seq = seq;
		__entry->nr = nr;
	),
	TP_printk("r3map%u queue=%u seq=%u requests=%u", __entry->index, __entry->queue,
		  __entry->seq, __entry->nr)
);

/* A bio ends. */
TRACE_EVENT(r3map_complete,
	TP_PROTO(const struct r3map_device *dev, const struct r3map_request *request,
		 blk_status_t status),
	TP_ARGS(dev, request, status),
	TP_STRUCT__entry(
		__field(u32, index)
		__field(u8, op)
		__field(u64, offset)
		__field(u32, length)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->index = dev->index;
		__entry->op = request->op;
		__entry->offset = request->offset;
		__entry->length = request->length;
		__entry->error = blk_status_to_errno(status);
	),
	TP_printk("r3map%u %s offset=%llu length=%u error=%d", __entry->index,
		  show_op(__entry->op), __entry->offset, __entry->length, __entry->error)
);

/* @nr requests of a queue wait for a new helper. */
TRACE_EVENT(r3map_park,
	TP_PROTO(const struct r3map_queue *queue, u32 nr),
	TP_ARGS(queue, nr),
	TP_STRUCT__entry(
		__field(u32, index)
		__field(u32, queue)
		__field(u32, nr)
	),
	TP_fast_assign(
		__entry->index = queue->dev->index;
		__entry->queue = queue->id;
		__entry->nr = nr;
	),
	TP_printk("r3map%u queue=%u requests=%u", __entry->index, __entry->queue, __entry->nr)
);

TRACE_EVENT(r3map_state,
	TP_PROTO(const struct r3map_device *dev, enum r3map_state from, enum r3map_state to),
	TP_ARGS(dev, from, to),
	TP_STRUCT__entry(
		__field(u32, index)
		__field(u64, generation)
		__field(u32, from)
		__field(u32, to)
	),
	TP_fast_assign(
		__entry->index = dev->index;
		__entry->generation = dev->generation;
		__entry->from = from;
		__entry->to = to;
	),
	TP_printk("r3map%u generation=%llu %s -> %s", __entry->index, __entry->generation,
		  r3map_state_name(__entry->from), r3map_state_name(__entry->to))
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
