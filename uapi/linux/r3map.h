/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * The contract between r3map.ko and its helper: generic netlink family "r3map".
 *
 * The same family is described for machines in Documentation/netlink/specs/r3map.yaml; a self test
 * compares the two. Names and numbers here never change meaning; new ones are appended.
 *
 * Life of a device, seen from the helper:
 *
 *   control socket   DEVICE_NEW (parameters)     -> {index, generation}, state NEW, no disk yet
 *   queue socket 0   QUEUE_BIND (queue 0, area)  one socket a queue, each in its own thread
 *   queue socket n   QUEUE_BIND (queue n, area)
 *   control socket   DEVICE_START                -> /dev/r3mapN answers, state LIVE, event READY
 *   queue sockets    QUEUE_REQUEST <-, QUEUE_COMPLETE ->   until the device is deleted
 *   any socket       DEVICE_DEL                  -> state DELETING, event REMOVED at the end
 *
 * A managed device (CHUNK and STORE at DEVICE_NEW) keeps its bytes in a store, a memfd or a regular
 * file that module and helper share, and a map of chunks. The module serves chunks that are LOCAL
 * from the store, without the helper. For those that are not it sends FETCH requests, and the
 * helper may CLAIM and FILL others in the background. What is written is DIRTY until the helper
 * has taken it and reported it done.
 *
 * When the control socket or any queue socket of a helper is closed (the helper died), the device
 * is PARKED or FAILED, and a new helper may take it over with DEVICE_ATTACH in place of DEVICE_NEW.
 */
#ifndef _UAPI_LINUX_R3MAP_H
#define _UAPI_LINUX_R3MAP_H

#include <linux/types.h>

#define R3MAP_FAMILY_NAME	"r3map"
#define R3MAP_FAMILY_VERSION	1
#define R3MAP_MCGRP_EVENTS	"events"

/* Limits; DEVICE_NEW refuses what is beyond them, FEATURES_GET tells them. */
#define R3MAP_MAX_QUEUES	64
#define R3MAP_MAX_DEPTH		4096		/* tags of one queue */
#define R3MAP_MAX_IO		(32U << 20)	/* bytes of one READ or WRITE, shared transport */
#define R3MAP_MAX_IO_INLINE	(256U << 10)	/* the same, inline transport */
#define R3MAP_MAX_AREA		(1ULL << 30)	/* bytes of one queue's payload area */
#define R3MAP_MAX_BATCH		256		/* requests or completions in one message */
#define R3MAP_MAX_DATA		61440		/* bytes of one DATA attribute (15 pages) */
#define R3MAP_MAX_BACKEND	1024		/* bytes of a backend's name, with its NUL */
#define R3MAP_MAX_TIMEOUT	86400000	/* milliseconds: one day */
#define R3MAP_MIN_CHUNK		4096U		/* bytes of one chunk of a managed device */
#define R3MAP_MAX_CHUNK		(16U << 20)
#define R3MAP_MAX_CHUNKS	(1ULL << 30)	/* chunks of one device */
#define R3MAP_MAX_EXTENTS	256		/* extents in one message */
#define R3MAP_CHUNKS_MESSAGE	65536U		/* chunks that one message asks or tells about */
#define R3MAP_MAX_EPOCHS	8		/* of one device that are open */
#define R3MAP_EPOCH_EXTENTS	1024		/* extents in one answer of EPOCH_TAKE */
#define R3MAP_MAX_BITMAP	2097152		/* bytes of BITMAP */

/*
 * Latencies are counted by powers of two: bucket 0 has what took less than 1 << SHIFT ns, bucket n
 * (1 << SHIFT) << (n - 1) ns and more, up to the next one; the last has all that took longer, too.
 */
#define R3MAP_LATENCY_SHIFT	7		/* 128 ns; the last bucket begins at 137 s */
#define R3MAP_LATENCY_BUCKETS	32
#define R3MAP_LATENCY_SAMPLE	16		/* of so many HITS of a CPU one is timed */

/**
 * enum r3map_cmd - commands of the family
 * @R3MAP_CMD_FEATURES_GET: what this module offers (attributes R3MAP_A_FEATURES_*).
 * @R3MAP_CMD_DEVICE_NEW: make a device; the sending socket becomes its control socket. The reply
 *	carries INDEX and GENERATION. Without INDEX the lowest free one is taken.
 * @R3MAP_CMD_DEVICE_GET: everything about one device (INDEX), or of all of them (dump, without
 *	LATENCY).
 * @R3MAP_CMD_DEVICE_SET: change SIZE, READ_ONLY in FLAGS, TIMEOUT or PARK of INDEX, GENERATION. A
 *	helper may still be sent requests beyond a SIZE that was made smaller, and answers EIO.
 * @R3MAP_CMD_DEVICE_DEL: delete INDEX, GENERATION. Refused with EBUSY while somebody has the
 *	device open, and with EAGAIN while chunks of a managed one are dirty, unless FORCE is given.
 *	Returns at once; event REMOVED tells the end.
 * @R3MAP_CMD_DEVICE_ATTACH: take over INDEX, GENERATION, whose helper is gone. The reply carries
 *	the new GENERATION and all parameters; then QUEUE_BIND and DEVICE_START follow. The device
 *	keeps its size: SIZE may be given, and must then be that of the device, with FORCE, too.
 *	That the backend is large enough is for the helper to know.
 * @R3MAP_CMD_DEVICE_START: all queues are bound, serve. Only from the control socket.
 * @R3MAP_CMD_DEVICE_EVENT: sent by the module to group "events".
 * @R3MAP_CMD_QUEUE_BIND: the sending socket becomes the socket of QUEUE of INDEX, GENERATION. The
 *	area should be anonymous memory or a memfd that is populated: what its page faults wait
 *	for, generic netlink waits for.
 * @R3MAP_CMD_QUEUE_REQUEST: sent by the module to a queue's socket: SEQ, REQUESTS and, for WRITEs
 *	of the inline transport, DATA. At most one of these is unanswered at any time.
 * @R3MAP_CMD_QUEUE_COMPLETE: COMPLETIONS and, for READs of the inline transport, DATA; for READs
 *	that have R3MAP_DESC_LEND, ADDRESSES may say where the bytes are, if not in the area. SEQ is
 *	the number of the last QUEUE_REQUEST received: it answers that message, and the next one
 *	may come. GENERATION may be given, and is checked then. COMPLETIONS may be absent: a helper
 *	that cannot finish anything at once answers with SEQ alone.
 *	It is refused as a whole, and changes nothing, if any part of it is wrong. Unlike all
 *	other commands it needs no capability, but the very socket that QUEUE_BIND was sent from.
 * @R3MAP_CMD_STORE_OPEN: the reply carries FD, a descriptor of the store in the sender's process:
 *	for a helper that took the device over. This and the next commands are for threads of the
 *	helper's process, from any socket; GENERATION must be the present one.
 * @R3MAP_CMD_CHUNK_CLAIM: chunks within OFFSET and LENGTH that are neither LOCAL nor being fetched
 *	become claimed, up to LIMIT bytes (at least one chunk). The reply carries their EXTENTS,
 *	and in NEXT where to look further. Only a claimed chunk may be written in the store. All
 *	claims end with the helper.
 *	With LOOSE the claims are loose: who writes all of such a chunk meanwhile takes it away, and
 *	it may not be written in the store before CHUNK_FIRM.
 * @R3MAP_CMD_CHUNK_FILL: the claimed EXTENTS are in the store and become LOCAL; or, with ERROR,
 *	they are not, and are free again. Refused as a whole if any of it is not claimed, or,
 *	without ERROR, claimed loosely.
 * @R3MAP_CMD_CHUNK_GET: the states of the chunks within OFFSET and LENGTH, as EXTENTS and NEXT. For
 *	everybody with CAP_SYS_ADMIN.
 * @R3MAP_CMD_DIRTY_TAKE: DIRTY chunks within OFFSET and LENGTH, up to LIMIT bytes, as EXTENTS
 *	and NEXT. They are no longer dirty, but taken; if they are written meanwhile, they are
 *	dirty again, and can be taken again once they are done. What was taken and not done when
 *	the helper ends is dirty again.
 * @R3MAP_CMD_DIRTY_DONE: the taken EXTENTS are at the backend; or, with ERROR, not: dirty again.
 * @R3MAP_CMD_DEVICE_SYNC: the helper of INDEX, GENERATION is to make sure that what was completed
 *	before is at the backend and flushed there, as a FLUSH of R3MAP_FLUSH_REMOTE does. The
 *	reply carries SYNC, a number; event SYNCED with that number tells the end.
 * @R3MAP_CMD_DEVICE_FINALIZE: what is in page caches above INDEX, GENERATION is written back,
 *	mounted file systems are frozen, writes are held and those on their way have ended, within
 *	DEADLINE. Event FINALIZED tells the end: ERRNO 0, or what went wrong, and then writes go on
 *	as if nothing had been. Held writes fail after HOLD_TIME, unless RELEASE or RETIRE comes
 *	first.
 * @R3MAP_CMD_DEVICE_RELEASE: what is held by FINALIZE, or since DEVICE_NEW with flag HELD, goes on.
 * @R3MAP_CMD_DEVICE_RETIRE: another host has the region now: writes of a device that is finalized
 *	are refused with EIO, for good.
 * @R3MAP_CMD_EPOCH_OPEN: begin to watch what is written to INDEX, GENERATION. The reply carries
 *	EPOCH, a number, and GRAIN. Nothing is dirty at first. For the helper's process, as the next
 *	two; all epochs end with the helper.
 * @R3MAP_CMD_EPOCH_TAKE: what was written since it was last taken, from OFFSET on, as EXTENTS of
 *	whole grains, and NEXT: where to ask further. DIRTY is what was dirty before, in bytes, if
 *	OFFSET is 0. What is told is not dirty any more.
 * @R3MAP_CMD_EPOCH_CLOSE: nobody wants EPOCH any more.
 * @R3MAP_CMD_CHUNK_DROP: EXTENTS, of a managed device that is held as a whole, become remote again:
 *	they have changed where they come from. What is neither local nor busy may be among them.
 * @R3MAP_CMD_DEVICE_TELL: of the helper of INDEX, GENERATION: TROUBLES is all that is wrong now
 *	between the device and its backend. Event TROUBLE follows if there is one that was not
 *	there before, or with another error; RECOVERED if there are fewer.
 * @R3MAP_CMD_CHUNK_FIRM: what is still claimed loosely within OFFSET and LENGTH becomes claimed as
 *	by CHUNK_CLAIM without LOOSE: EXTENTS and NEXT of the reply. Nobody else writes it now.
 */
enum r3map_cmd {
	R3MAP_CMD_UNSPEC,
	R3MAP_CMD_FEATURES_GET,
	R3MAP_CMD_DEVICE_NEW,
	R3MAP_CMD_DEVICE_GET,
	R3MAP_CMD_DEVICE_SET,
	R3MAP_CMD_DEVICE_DEL,
	R3MAP_CMD_DEVICE_ATTACH,
	R3MAP_CMD_DEVICE_START,
	R3MAP_CMD_DEVICE_EVENT,
	R3MAP_CMD_QUEUE_BIND,
	R3MAP_CMD_QUEUE_REQUEST,
	R3MAP_CMD_QUEUE_COMPLETE,
	R3MAP_CMD_STORE_OPEN,
	R3MAP_CMD_CHUNK_CLAIM,
	R3MAP_CMD_CHUNK_FILL,
	R3MAP_CMD_CHUNK_GET,
	R3MAP_CMD_DIRTY_TAKE,
	R3MAP_CMD_DIRTY_DONE,
	R3MAP_CMD_DEVICE_SYNC,
	R3MAP_CMD_DEVICE_FINALIZE,
	R3MAP_CMD_DEVICE_RELEASE,
	R3MAP_CMD_DEVICE_RETIRE,
	R3MAP_CMD_EPOCH_OPEN,
	R3MAP_CMD_EPOCH_TAKE,
	R3MAP_CMD_EPOCH_CLOSE,
	R3MAP_CMD_CHUNK_DROP,
	R3MAP_CMD_DEVICE_TELL,
	R3MAP_CMD_CHUNK_FIRM,

	__R3MAP_CMD_MAX,
	R3MAP_CMD_MAX = __R3MAP_CMD_MAX - 1,
};

/**
 * enum r3map_state - the states of a device
 * @R3MAP_STATE_NEW: made by DEVICE_NEW, not yet started; there is no disk. Dies with its helper.
 * @R3MAP_STATE_LIVE: a helper serves it.
 * @R3MAP_STATE_PARKED: the helper is gone; bios wait for a new one until PARK is over.
 * @R3MAP_STATE_FAILED: the helper is gone and PARK is over (or was 0): bios get EIO at once.
 * @R3MAP_STATE_DELETING: DEVICE_DEL was accepted; nothing can be opened any more.
 * @R3MAP_STATE_REMOVED: the index is free again. Only seen in the event REMOVED.
 */
enum r3map_state {
	R3MAP_STATE_UNSPEC,
	R3MAP_STATE_NEW,
	R3MAP_STATE_LIVE,
	R3MAP_STATE_PARKED,
	R3MAP_STATE_FAILED,
	R3MAP_STATE_DELETING,
	R3MAP_STATE_REMOVED,

	__R3MAP_STATE_MAX,
	R3MAP_STATE_MAX = __R3MAP_STATE_MAX - 1,
};

/**
 * enum r3map_event - why an event was sent
 * @R3MAP_EVENT_CREATED: DEVICE_NEW succeeded.
 * @R3MAP_EVENT_READY: the device answers, for the first time or again after a recovery.
 * @R3MAP_EVENT_ATTACHED: a new helper took the device over; READY follows when it has started.
 * @R3MAP_EVENT_PARKED: the helper is gone; bios wait.
 * @R3MAP_EVENT_FAILED: the helper is gone; bios fail.
 * @R3MAP_EVENT_CHANGED: SIZE, FLAGS, TIMEOUT or PARK have changed.
 * @R3MAP_EVENT_DELETING: DEVICE_DEL was accepted.
 * @R3MAP_EVENT_REMOVED: the device is gone and the index is free.
 * @R3MAP_EVENT_SYNCED: a DEVICE_SYNC has ended: SYNC says which, ERRNO how.
 * @R3MAP_EVENT_FINALIZED: a DEVICE_FINALIZE has ended: ERRNO says how; FREEZE_TIME, DRAIN_TIME and
 *	HELD_SINCE, as far as it came.
 * @R3MAP_EVENT_RELEASED: what was held goes on.
 * @R3MAP_EVENT_RETIRED: writes are refused from now on.
 * @R3MAP_EVENT_TROUBLE: the helper has told of something that is wrong, see TROUBLES.
 * @R3MAP_EVENT_RECOVERED: some or all of it is well again; TROUBLES is what is left.
 */
enum r3map_event {
	R3MAP_EVENT_UNSPEC,
	R3MAP_EVENT_CREATED,
	R3MAP_EVENT_READY,
	R3MAP_EVENT_ATTACHED,
	R3MAP_EVENT_PARKED,
	R3MAP_EVENT_FAILED,
	R3MAP_EVENT_CHANGED,
	R3MAP_EVENT_DELETING,
	R3MAP_EVENT_REMOVED,
	R3MAP_EVENT_SYNCED,
	R3MAP_EVENT_FINALIZED,
	R3MAP_EVENT_RELEASED,
	R3MAP_EVENT_RETIRED,
	R3MAP_EVENT_TROUBLE,
	R3MAP_EVENT_RECOVERED,

	__R3MAP_EVENT_MAX,
	R3MAP_EVENT_MAX = __R3MAP_EVENT_MAX - 1,
};

/**
 * enum r3map_transport - how payload travels between module and helper
 * @R3MAP_TRANSPORT_SHARED: in an area of the helper's memory that the module pins at QUEUE_BIND.
 * @R3MAP_TRANSPORT_INLINE: in DATA attributes of the messages themselves.
 */
enum r3map_transport {
	R3MAP_TRANSPORT_UNSPEC,
	R3MAP_TRANSPORT_SHARED,
	R3MAP_TRANSPORT_INLINE,

	__R3MAP_TRANSPORT_MAX,
	R3MAP_TRANSPORT_MAX = __R3MAP_TRANSPORT_MAX - 1,
};

/**
 * enum r3map_flush - what a FLUSH of a managed device means
 * @R3MAP_FLUSH_LOCAL: nothing: what was written is in the store.
 * @R3MAP_FLUSH_DURABLE: the store is synced: what was written survives this host, if the store is
 *	a file.
 * @R3MAP_FLUSH_REMOTE: the helper gets a FLUSH request, pushes what is dirty and flushes the
 *	backend: what was written survives without this host.
 */
enum r3map_flush {
	R3MAP_FLUSH_UNSPEC,
	R3MAP_FLUSH_LOCAL,
	R3MAP_FLUSH_DURABLE,
	R3MAP_FLUSH_REMOTE,

	__R3MAP_FLUSH_MAX,
	R3MAP_FLUSH_MAX = __R3MAP_FLUSH_MAX - 1,
};

/**
 * enum r3map_hold - which bios of a device wait, whatever its helper does
 * @R3MAP_HOLD_NONE: none.
 * @R3MAP_HOLD_ALL: all, since DEVICE_NEW with flag HELD.
 * @R3MAP_HOLD_WRITES: those that write: the device is finalized.
 * @R3MAP_HOLD_REFUSED: those get EIO: it was retired, or HOLD_TIME is over.
 */
enum r3map_hold {
	R3MAP_HOLD_UNSPEC,
	R3MAP_HOLD_NONE,
	R3MAP_HOLD_ALL,
	R3MAP_HOLD_WRITES,
	R3MAP_HOLD_REFUSED,

	__R3MAP_HOLD_MAX,
	R3MAP_HOLD_MAX = __R3MAP_HOLD_MAX - 1,
};

/**
 * enum r3map_wrong - what may be wrong although a helper serves the device
 * @R3MAP_WRONG_SERVER: a connection to the backend is lost.
 * @R3MAP_WRONG_PULL: what is pulled in the background cannot be read, or not be stored.
 * @R3MAP_WRONG_PUSH: what was written cannot be brought to the backend.
 */
enum r3map_wrong {
	R3MAP_WRONG_UNSPEC,
	R3MAP_WRONG_SERVER,
	R3MAP_WRONG_PULL,
	R3MAP_WRONG_PUSH,

	__R3MAP_WRONG_MAX,
	R3MAP_WRONG_MAX = __R3MAP_WRONG_MAX - 1,
};

/* FLAGS of a device. */
#define R3MAP_DEVICE_READ_ONLY		(1U << 0)	/* writes are refused by the kernel */
#define R3MAP_DEVICE_WRITE_CACHE	(1U << 1)	/* FLUSH is needed, and FUA is passed on */
#define R3MAP_DEVICE_DISCARD		(1U << 2)	/* DISCARD is passed on */
#define R3MAP_DEVICE_WRITE_ZEROES	(1U << 3)	/* WRITE_ZEROES is passed on */
#define R3MAP_DEVICE_ROTATIONAL		(1U << 4)
#define R3MAP_DEVICE_NO_PART_SCAN	(1U << 5)	/* no partition table is looked for */
#define R3MAP_DEVICE_HELD		(1U << 6)	/* made with all its bios held */
#define R3MAP_DEVICE_FLAGS_ALL		((1U << 7) - 1)

/* FEATURES bits. */
#define R3MAP_FEATURE_SHARED		(1ULL << 0)	/* R3MAP_TRANSPORT_SHARED */
#define R3MAP_FEATURE_INLINE		(1ULL << 1)	/* R3MAP_TRANSPORT_INLINE */
#define R3MAP_FEATURE_RECOVER		(1ULL << 2)	/* DEVICE_ATTACH */
#define R3MAP_FEATURE_RESIZE		(1ULL << 3)	/* DEVICE_SET with SIZE */
#define R3MAP_FEATURE_MANAGED		(1ULL << 4)	/* CHUNK and STORE */
#define R3MAP_FEATURE_MIGRATE		(1ULL << 5)	/* EPOCH_*, DEVICE_FINALIZE, flag HELD */

/* Attributes of FEATURES_GET's reply. */
enum r3map_a_features {
	R3MAP_A_FEATURES_UNSPEC,
	R3MAP_A_FEATURES_PAD,
	R3MAP_A_FEATURES_VERSION,	/* string: the module's version */
	R3MAP_A_FEATURES_FEATURES,	/* u64: R3MAP_FEATURE_* */
	R3MAP_A_FEATURES_MAX_QUEUES,	/* u32 */
	R3MAP_A_FEATURES_MAX_DEPTH,	/* u32 */
	R3MAP_A_FEATURES_MAX_IO,	/* u32, bytes */
	R3MAP_A_FEATURES_MAX_IO_INLINE,	/* u32, bytes */
	R3MAP_A_FEATURES_MAX_AREA,	/* u64, bytes of one queue's area */
	R3MAP_A_FEATURES_MAX_BATCH,	/* u32 */

	__R3MAP_A_FEATURES_MAX,
	R3MAP_A_FEATURES_MAX = __R3MAP_A_FEATURES_MAX - 1,
};

/*
 * Attributes of the DEVICE_* commands. (N) may be given to DEVICE_NEW, (S) to DEVICE_SET, (A) to
 * DEVICE_ATTACH; all but FORCE and EVENT are in DEVICE_GET's reply where they apply.
 */
enum r3map_a_device {
	R3MAP_A_DEVICE_UNSPEC,
	R3MAP_A_DEVICE_PAD,
	R3MAP_A_DEVICE_INDEX,		/* u32: N of /dev/r3mapN (N, S, A) */
	R3MAP_A_DEVICE_GENERATION,	/* u64: grows at each attach; never reused (S, A) */
	R3MAP_A_DEVICE_STATE,		/* u32: enum r3map_state */
	R3MAP_A_DEVICE_STATE_TIME,	/* u64: CLOCK_MONOTONIC ns of the last change of state */
	R3MAP_A_DEVICE_EVENT,		/* u32: enum r3map_event, events only */
	R3MAP_A_DEVICE_TIME,		/* u64: CLOCK_MONOTONIC ns of this message */
	R3MAP_A_DEVICE_SIZE,		/* u64: bytes, whole LOGICAL_BLOCKs (N, S; A: as it is) */
	R3MAP_A_DEVICE_FLAGS,		/* u32: R3MAP_DEVICE_* (N; S: only READ_ONLY may differ) */
	R3MAP_A_DEVICE_LOGICAL_BLOCK,	/* u32: bytes, 512 to 4096 (N; 512) */
	R3MAP_A_DEVICE_PHYSICAL_BLOCK,	/* u32: bytes, >= LOGICAL_BLOCK (N; 4096) */
	R3MAP_A_DEVICE_IO_MIN,		/* u32: bytes (N; PHYSICAL_BLOCK) */
	R3MAP_A_DEVICE_IO_OPT,		/* u32: bytes, 0 for none (N; 0) */
	R3MAP_A_DEVICE_MAX_IO,		/* u32: most bytes of an I/O (N; 1 MiB, inline 128 KiB) */
	R3MAP_A_DEVICE_MAX_DISCARD,	/* u32: most bytes of a DISCARD (N; 1 GiB) */
	R3MAP_A_DEVICE_MAX_ZEROES,	/* u32: most bytes of a WRITE_ZEROES (N; 1 GiB) */
	R3MAP_A_DEVICE_DISCARD_GRANULARITY, /* u32: bytes (N; PHYSICAL_BLOCK) */
	R3MAP_A_DEVICE_QUEUES,		/* u32 (N; 1) */
	R3MAP_A_DEVICE_DEPTH,		/* u32: tags of each queue (N; 128) */
	R3MAP_A_DEVICE_TRANSPORT,	/* u32: enum r3map_transport (N; SHARED) */
	R3MAP_A_DEVICE_TIMEOUT,		/* u32: ms a request may take (N, S; 30000) */
	R3MAP_A_DEVICE_PARK,		/* u32: ms to wait for a new helper, or 0 (N, S; 60000) */
	R3MAP_A_DEVICE_PARK_LEFT,	/* u32: ms until parked bios fail; state PARKED only */
	R3MAP_A_DEVICE_BACKEND,		/* string: what is served (N; A must name the same) */
	R3MAP_A_DEVICE_FORCE,		/* flag: DEL when in use; ATTACH with another BACKEND */
	R3MAP_A_DEVICE_HELPER_PID,	/* u32: process of the control socket, 0 if none */
	R3MAP_A_DEVICE_OPENERS,		/* u32: how many have the device open */
	R3MAP_A_DEVICE_IN_FLIGHT,	/* u32: requests at the helper */
	R3MAP_A_DEVICE_WAITING,		/* u32: requests that wait for tag, room, helper or chunk */
	R3MAP_A_DEVICE_AREA,		/* u64: bytes of pinned payload area, all queues */
	R3MAP_A_DEVICE_MEMORY,		/* u64: bytes of kernel tables of this device */
	R3MAP_A_DEVICE_COUNTERS,	/* nest: enum r3map_a_counter */
	R3MAP_A_DEVICE_CHUNK,		/* u32: bytes of a chunk, a power of two: managed (N) */
	R3MAP_A_DEVICE_STORE,		/* u32: the store, a file descriptor of the sender (N) */
	R3MAP_A_DEVICE_FLUSH,		/* u32: enum r3map_flush (N; REMOTE) */
	R3MAP_A_DEVICE_LOCAL,		/* u64: bytes of the region that are local; managed */
	R3MAP_A_DEVICE_DIRTY,		/* u64: bytes in chunks that are dirty or taken; managed */
	R3MAP_A_DEVICE_SYNC,		/* u64: number of a DEVICE_SYNC */
	R3MAP_A_DEVICE_ERRNO,		/* u32: SYNCED, FINALIZED: 0, or an errno */
	R3MAP_A_DEVICE_MAP,		/* u32: the store's map file, a descriptor as STORE (N) */
	R3MAP_A_DEVICE_MAP_REGION,	/* u64: bytes for each bit of its intents (N) */
	R3MAP_A_DEVICE_LATENCY,		/* nest: enum r3map_a_latency; DEVICE_GET of one device */
	R3MAP_A_DEVICE_DEADLINE,	/* u32: ms that FINALIZE may take (10000) */
	R3MAP_A_DEVICE_HOLD_TIME,	/* u32: ms that writes are held then; 0: no bound (60000) */
	R3MAP_A_DEVICE_HOLD,		/* u32: enum r3map_hold */
	R3MAP_A_DEVICE_HELD,		/* u32: bios that are held */
	R3MAP_A_DEVICE_EPOCHS,		/* u32: epochs that are open */
	R3MAP_A_DEVICE_FREEZE_TIME,	/* u64: ns: writing back and freezing, at FINALIZE */
	R3MAP_A_DEVICE_DRAIN_TIME,	/* u64: ns: until no write was on its way */
	R3MAP_A_DEVICE_HELD_SINCE,	/* u64: CLOCK_MONOTONIC ns of the last write let in */
	R3MAP_A_DEVICE_FIRST_IO,	/* u64: CLOCK_MONOTONIC ns of the first after RELEASE */
	R3MAP_A_DEVICE_THROTTLE,	/* u64: bytes a second that are written at most, or 0 */
	R3MAP_A_DEVICE_THROTTLED,	/* u32: bios that wait for that */
	R3MAP_A_DEVICE_TROUBLES,	/* binary: array of struct r3map_trouble (DEVICE_TELL) */

	__R3MAP_A_DEVICE_MAX,
	R3MAP_A_DEVICE_MAX = __R3MAP_A_DEVICE_MAX - 1,
};

/* Counters of a device since it was made, each a u64. */
enum r3map_a_counter {
	R3MAP_A_COUNTER_UNSPEC,
	R3MAP_A_COUNTER_PAD,
	R3MAP_A_COUNTER_READS,		/* requests completed without error */
	R3MAP_A_COUNTER_READ_BYTES,
	R3MAP_A_COUNTER_WRITES,
	R3MAP_A_COUNTER_WRITE_BYTES,
	R3MAP_A_COUNTER_FLUSHES,
	R3MAP_A_COUNTER_DISCARDS,
	R3MAP_A_COUNTER_ZEROES,
	R3MAP_A_COUNTER_ERRORS,		/* bios that ended with an error */
	R3MAP_A_COUNTER_TIMEOUTS,	/* of these, because TIMEOUT was over */
	R3MAP_A_COUNTER_PARKED,		/* bios that waited for a new helper */
	R3MAP_A_COUNTER_REISSUED,	/* requests handed to a second helper */
	R3MAP_A_COUNTER_REFUSED,	/* QUEUE_COMPLETE messages refused */
	R3MAP_A_COUNTER_REQUEST_MESSAGES,	/* QUEUE_REQUEST messages sent */
	R3MAP_A_COUNTER_COMPLETE_MESSAGES,	/* QUEUE_COMPLETE messages accepted */
	R3MAP_A_COUNTER_DELAYED,	/* times a message waited for memory or for the socket */
	R3MAP_A_COUNTER_WOULD_BLOCK,	/* REQ_NOWAIT bios sent back with EAGAIN */
	R3MAP_A_COUNTER_HITS,		/* managed: bios that found all they needed local */
	R3MAP_A_COUNTER_MISSES,		/* managed: bios that had to wait for a chunk */
	R3MAP_A_COUNTER_FETCHES,	/* managed: FETCH requests completed without error */
	R3MAP_A_COUNTER_FETCH_BYTES,
	R3MAP_A_COUNTER_FILL_BYTES,	/* managed: bytes that CHUNK_FILL made local */
	R3MAP_A_COUNTER_PUSH_BYTES,	/* managed: bytes that DIRTY_DONE reported */
	R3MAP_A_COUNTER_DEMANDS,	/* managed: bios that waited for a FETCH of their own */
	R3MAP_A_COUNTER_COALESCED,	/* managed: for another's fetch or the pull only */
	R3MAP_A_COUNTER_LENT,		/* of READS: copied from where the helper had them */

	__R3MAP_A_COUNTER_MAX,
	R3MAP_A_COUNTER_MAX = __R3MAP_A_COUNTER_MAX - 1,
};

/*
 * What took how long, since the device was made; of what ended without error, each a nest of enum
 * r3map_a_histogram that is absent if there was none. HITS are a sample, see R3MAP_LATENCY_SAMPLE;
 * they, DEMANDS and COALESCED are for managed devices, from the submission to the end without the
 * flush of a PREFLUSH or FUA. The others are what the helper was sent, from the message until its
 * answer.
 */
enum r3map_a_latency {
	R3MAP_A_LATENCY_UNSPEC,
	R3MAP_A_LATENCY_HITS,
	R3MAP_A_LATENCY_DEMANDS,
	R3MAP_A_LATENCY_COALESCED,
	R3MAP_A_LATENCY_READS,
	R3MAP_A_LATENCY_WRITES,
	R3MAP_A_LATENCY_FLUSHES,
	R3MAP_A_LATENCY_DISCARDS,
	R3MAP_A_LATENCY_ZEROES,
	R3MAP_A_LATENCY_FETCHES,

	__R3MAP_A_LATENCY_MAX,
	R3MAP_A_LATENCY_MAX = __R3MAP_A_LATENCY_MAX - 1,
};

enum r3map_a_histogram {
	R3MAP_A_HISTOGRAM_UNSPEC,
	R3MAP_A_HISTOGRAM_PAD,
	R3MAP_A_HISTOGRAM_SUM,		/* u64: ns */
	R3MAP_A_HISTOGRAM_LONGEST,	/* u64: ns */
	R3MAP_A_HISTOGRAM_BUCKETS,	/* binary: R3MAP_LATENCY_BUCKETS u64 */

	__R3MAP_A_HISTOGRAM_MAX,
	R3MAP_A_HISTOGRAM_MAX = __R3MAP_A_HISTOGRAM_MAX - 1,
};

/* Attributes of the QUEUE_* commands. */
enum r3map_a_queue {
	R3MAP_A_QUEUE_UNSPEC,
	R3MAP_A_QUEUE_PAD,
	R3MAP_A_QUEUE_INDEX,		/* u32: of the device */
	R3MAP_A_QUEUE_GENERATION,	/* u64: as DEVICE_NEW or DEVICE_ATTACH told it */
	R3MAP_A_QUEUE_QUEUE,		/* u32: 0 to QUEUES - 1 */
	R3MAP_A_QUEUE_AREA_ADDR,	/* u64: BIND: page-aligned address in the sender's memory */
	R3MAP_A_QUEUE_AREA_SIZE,	/* u64: BIND: bytes, whole pages, at least MAX_IO */
	R3MAP_A_QUEUE_SEQ,		/* u32: number of a QUEUE_REQUEST message */
	R3MAP_A_QUEUE_REQUESTS,		/* binary: array of struct r3map_desc */
	R3MAP_A_QUEUE_COMPLETIONS,	/* binary: array of struct r3map_completion */
	R3MAP_A_QUEUE_DATA,		/* binary, may repeat: payload, in the order of the array */
	R3MAP_A_QUEUE_ADDRESSES,	/* binary: a u64 for each completion: R3MAP_DESC_LEND */

	__R3MAP_A_QUEUE_MAX,
	R3MAP_A_QUEUE_MAX = __R3MAP_A_QUEUE_MAX - 1,
};

/* Attributes of the STORE_*, CHUNK_*, DIRTY_* and EPOCH_* commands. */
enum r3map_a_chunk {
	R3MAP_A_CHUNK_UNSPEC,
	R3MAP_A_CHUNK_PAD,
	R3MAP_A_CHUNK_INDEX,		/* u32: of the device */
	R3MAP_A_CHUNK_GENERATION,	/* u64: of the device */
	R3MAP_A_CHUNK_OFFSET,		/* u64: bytes, a multiple of CHUNK */
	R3MAP_A_CHUNK_LENGTH,		/* u64: bytes */
	R3MAP_A_CHUNK_LIMIT,		/* u64: bytes: no more than these */
	R3MAP_A_CHUNK_NEXT,		/* u64: bytes: where to go on; SIZE: at the end */
	R3MAP_A_CHUNK_EXTENTS,		/* binary: array of struct r3map_extent */
	R3MAP_A_CHUNK_ERROR,		/* s32: a negative errno */
	R3MAP_A_CHUNK_FD,		/* u32 */
	R3MAP_A_CHUNK_EPOCH,		/* u64: number of an epoch */
	R3MAP_A_CHUNK_GRAIN,		/* u32: bytes that an epoch tells apart, a power of two */
	R3MAP_A_CHUNK_DIRTY,		/* u64: bytes */
	R3MAP_A_CHUNK_BITMAP,		/* u64: address in the sender's memory, of u64s */
	R3MAP_A_CHUNK_BITMAP_SIZE,	/* u32: bytes there, a multiple of 8 */
	R3MAP_A_CHUNK_KEEP,		/* flag: what is told stays dirty */
	R3MAP_A_CHUNK_LOOSE,		/* flag: who writes all of a chunk need not wait for it */

	__R3MAP_A_CHUNK_MAX,
	R3MAP_A_CHUNK_MAX = __R3MAP_A_CHUNK_MAX - 1,
};

/* Flags of struct r3map_extent in the answer of CHUNK_GET; 0 otherwise. */
#define R3MAP_EXTENT_LOCAL	(1U << 0)	/* the module serves it from the store */
#define R3MAP_EXTENT_BUSY	(1U << 1)	/* being fetched, or first written */
#define R3MAP_EXTENT_DIRTY	(1U << 2)	/* written, and not yet at the backend */

/**
 * struct r3map_extent - a range of whole chunks
 * @offset: bytes from the start of the device, a multiple of CHUNK.
 * @length: bytes, a multiple of CHUNK unless it ends with the device.
 * @flags: R3MAP_EXTENT_*.
 * @reserved: 0.
 */
struct r3map_extent {
	__u64 offset;
	__u64 length;
	__u32 flags;
	__u32 reserved;
};

/**
 * struct r3map_trouble - one element of TROUBLES: ascending, each kind once at most
 * @wrong: enum r3map_wrong.
 * @error: an errno, what was seen last.
 * @since: CLOCK_MONOTONIC ns.
 */
struct r3map_trouble {
	__u32 wrong;
	__u32 error;
	__u64 since;
};

enum r3map_op {
	R3MAP_OP_READ,
	R3MAP_OP_WRITE,
	R3MAP_OP_FLUSH,
	R3MAP_OP_DISCARD,
	R3MAP_OP_WRITE_ZEROES,
	/* Managed devices are sent FETCH and FLUSH only. */
	R3MAP_OP_FETCH,		/* the range, whole chunks, is to be written into the store */
};

/* Flags of struct r3map_desc. */
#define R3MAP_DESC_FUA		(1U << 0)	/* WRITE, WRITE_ZEROES: be durable first */
#define R3MAP_DESC_NO_UNMAP	(1U << 1)	/* WRITE_ZEROES: keep the space allocated */
#define R3MAP_DESC_REISSUED	(1U << 2)	/* an earlier helper was given this request, too */
#define R3MAP_DESC_SWAP		(1U << 3)	/* swap traffic: answering must not need memory */
#define R3MAP_DESC_SYNC		(1U << 4)	/* FLUSH: of a DEVICE_SYNC, not an fsync */
/*
 * READ: the bytes may be anywhere in the memory of the process that answers, at the address that
 * ADDRESSES has for it; 0: in the area, as always. They are copied before the answer's system call
 * returns. What is not present in memory then is not waited for: the request comes again, without
 * this flag.
 */
#define R3MAP_DESC_LEND		(1U << 5)

/**
 * struct r3map_desc - one request, module to helper
 * @tag: opaque; to be given back in the completion.
 * @offset: bytes from the start of the device.
 * @length: bytes; 0 for FLUSH.
 * @area: where the payload of a READ or WRITE is: bytes from the start of the queue's area, a
 *	multiple of the page size. 0 for the inline transport and for other operations.
 * @op: enum r3map_op.
 * @reserved: 0.
 * @flags: R3MAP_DESC_*.
 * @sent: when the message was sent: CLOCK_MONOTONIC in units of 1024 ns, the lower 32 bits.
 */
struct r3map_desc {
	__u64 tag;
	__u64 offset;
	__u32 length;
	__u32 area;
	__u8  op;
	__u8  reserved;
	__u16 flags;
	__u32 sent;
};

/**
 * struct r3map_completion - the answer to one request, helper to module
 * @tag: of the request.
 * @error: 0, or a negative errno.
 * @bytes: with @error 0, the bytes of payload that were read or written: @length of the request.
 *	Fewer is a short transfer and fails the bio with EIO; more is refused. 0 for other
 *	operations.
 */
struct r3map_completion {
	__u64 tag;
	__s32 error;
	__u32 bytes;
};

#endif /* _UAPI_LINUX_R3MAP_H */
