// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * peer: a helper that does what no good helper does. It reads a script from stdin, one command a
 * line, and stops with status 1 at the first that does not do what the script expects.
 *
 * It speaks netlink over plain sockets: a library would refuse to build half of what it sends. A
 * line that starts with !ERRNO[,ERRNO...] must be refused with (one of) these, with text in the
 * extended acknowledgement, and must leave everything that DEVICE_GET tells as it was. The kernel's
 * own refusals of some things have no text: !?ERRNO.
 *
 * What belongs to one device, "the device", is the last one that "new" or "attach" was answered
 * for, or that "set index", "set generation" name.
 *
 *   socket S | listen S [BYTES] | close S  make a socket, one that hears the events and has room for
 *                                     so much, close it
 *   map A SIZE [ro|memfd|private] [hole]  an area of memory named A: read-only, a memfd that can be a
 *                                     store, pages that are not shared; half of it unmapped
 *   unmap A                           and away with it
 *   seal A                            unmap a memfd, and see that nobody else holds a page of it
 *   S COMMAND ATTR...                 send: features new get dump set del attach start bind complete
 *                                     request open claim fill chunks take done sync finalize release
 *                                     retire watch written unwatch drop tell firm cmdN. INDEX and GENERATION
 *                                     are those of the device, EPOCH that of the last watch
 *     name=VALUE                      in its usual form; @A, @tN, @seq, +N, -N (to the present one);
 *                                     store=A or a descriptor that the test has opened
 *     name:HEX | #N:HEX               these bytes, whatever they mean
 *     comp=TAG:ERROR:BYTES,...        COMPLETIONS;   fill=BYTES  one DATA attribute
 *     addr=VALUE,...                  ADDRESSES
 *     ext=OFFSET:LENGTH[:FLAGS[:RESERVED]],...  EXTENTS
 *     wrong=WHAT:ERRNO:SINCE,...      TROUBLES; troubles=N: so many of them are told
 *     as=A                            with open: map the store that comes as A
 *     -name                           leave out what is otherwise added
 *   answer [ext=...|none] [nr=N] [next=BYTES] [dirty=BYTES]  what the last claim, take, written or
 *                                     chunks was answered; FLAGS are letters: l(ocal) b(usy) d(irty)
 *                                     @epoch, @epoch-N: of the last watch, of the Nth before it;
 *                                     @next: of the last answer
 *   recv S [NR] | quiet S MS          a message of NR requests arrives | none does
 *   check N key=VALUE...              request N (from 0, as received): op offset length area flags
 *   expect key=VALUE... | await ...   DEVICE_GET says so | will say so
 *   event S NAME [key=VALUE...]       the next event of the device; @sync: of the last sync
 *   silent S                          no event of any came
 *   lost S                            read all there is; the kernel has said that there was more
 *   serve COMMAND                     run it by sh with the queues served from memory, and a managed
 *                                     device pushed there at each FLUSH: must succeed
 *   sh COMMAND | spawn COMMAND        run it; in the background
 *   wait STATUS                       of the oldest spawned; "any" for whatever, "fail" for not 0
 *   poke A OFFSET LENGTH BYTE | peek  write into an area, or compare; area "served" is what serve has
 *   fail N                            the N-th allocation of each command that is sent fails; what is
 *                                     refused for that is sent again; 0: none fails
 *   set index N | set generation N | limit memlock SIZE | nocap N | show
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/r3map.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BUFFER		(2U << 20)	/* bytes of the largest message */
#define NAMED_MAX	16
#define REQUESTS_MAX	4096
#define MESSAGE_WAIT	30000		/* ms, times $TEST_SLOW; only a hang takes so long */

static int patience = MESSAGE_WAIT;	/* ms */

struct attr {
	const char *name;
	int type;
	char kind;			/* 4, 8, s(tring), f(lag), b(inary) */
};

#define D(name, kind) { #name, R3MAP_A_DEVICE_##name, kind }
static const struct attr device_attrs[] = {
	D(INDEX, '4'), D(GENERATION, '8'), D(STATE, '4'), D(STATE_TIME, '8'), D(EVENT, '4'),
	D(TIME, '8'), D(SIZE, '8'), D(FLAGS, '4'), D(LOGICAL_BLOCK, '4'), D(PHYSICAL_BLOCK, '4'),
	D(IO_MIN, '4'), D(IO_OPT, '4'), D(MAX_IO, '4'), D(MAX_DISCARD, '4'), D(MAX_ZEROES, '4'),
	D(DISCARD_GRANULARITY, '4'), D(QUEUES, '4'), D(DEPTH, '4'), D(TRANSPORT, '4'),
	D(TIMEOUT, '4'), D(PARK, '4'), D(PARK_LEFT, '4'), D(BACKEND, 's'), D(FORCE, 'f'),
	D(HELPER_PID, '4'), D(OPENERS, '4'), D(IN_FLIGHT, '4'), D(WAITING, '4'), D(AREA, '8'),
	D(MEMORY, '8'), D(CHUNK, '4'), D(STORE, '4'), D(FLUSH, '4'), D(LOCAL, '8'), D(DIRTY, '8'),
	D(SYNC, '8'), D(ERRNO, '4'), D(MAP, '4'), D(MAP_REGION, '8'), D(DEADLINE, '4'),
	D(HOLD_TIME, '4'), D(HOLD, '4'), D(HELD, '4'), D(EPOCHS, '4'), D(FREEZE_TIME, '8'),
	D(DRAIN_TIME, '8'), D(HELD_SINCE, '8'), D(FIRST_IO, '8'),
	D(THROTTLE, '8'), D(THROTTLED, '4'), D(TROUBLES, 'b'), { NULL, 0, 0 },
};

#define Q(name, kind) { #name, R3MAP_A_QUEUE_##name, kind }
static const struct attr queue_attrs[] = {
	Q(INDEX, '4'), Q(GENERATION, '8'), Q(QUEUE, '4'), Q(AREA_ADDR, '8'), Q(AREA_SIZE, '8'),
	Q(SEQ, '4'), Q(REQUESTS, 'b'), Q(COMPLETIONS, 'b'), Q(DATA, 'b'),
	Q(ADDRESSES, 'b'), { NULL, 0, 0 },
};

#define K(name, kind) { #name, R3MAP_A_CHUNK_##name, kind }
static const struct attr chunk_attrs[] = {
	K(INDEX, '4'), K(GENERATION, '8'), K(OFFSET, '8'), K(LENGTH, '8'), K(LIMIT, '8'),
	K(NEXT, '8'), K(EXTENTS, 'b'), K(ERROR, '4'), K(FD, '4'), K(EPOCH, '8'), K(GRAIN, '4'),
	K(DIRTY, '8'), K(BITMAP, '8'), K(BITMAP_SIZE, '4'), K(KEEP, 'f'),
	K(LOOSE, 'f'), { NULL, 0, 0 },
};

#define C(name) { #name, R3MAP_A_COUNTER_##name, '8' }
static const struct attr counter_attrs[] = {
	C(READS), C(READ_BYTES), C(WRITES), C(WRITE_BYTES), C(FLUSHES), C(DISCARDS), C(ZEROES),
	C(ERRORS), C(TIMEOUTS), C(PARKED), C(REISSUED), C(REFUSED), C(REQUEST_MESSAGES),
	C(COMPLETE_MESSAGES), C(DELAYED), C(WOULD_BLOCK), C(HITS), C(MISSES), C(FETCHES),
	C(FETCH_BYTES), C(FILL_BYTES), C(PUSH_BYTES), C(DEMANDS), C(COALESCED), C(LENT),
	{ NULL, 0, 0 },
};

static const char *const states[] = {
	"unspec", "new", "live", "parked", "failed", "deleting", "removed",
};
static const char *const events[] = {
	"unspec", "created", "ready", "attached", "parked", "failed", "changed", "deleting",
	"removed", "synced", "finalized", "released", "retired", "trouble", "recovered",
};
static const char *const holds[] = { "unspec", "none", "all", "writes", "refused" };
static const char *const flushes[] = { "unspec", "local", "durable", "remote" };
static const char *const ops[] = { "read", "write", "flush", "discard", "zeroes", "fetch" };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct { const char *name; int cmd; } commands[] = {
	{ "features", R3MAP_CMD_FEATURES_GET }, { "new", R3MAP_CMD_DEVICE_NEW },
	{ "get", R3MAP_CMD_DEVICE_GET }, { "dump", R3MAP_CMD_DEVICE_GET },
	{ "set", R3MAP_CMD_DEVICE_SET }, { "del", R3MAP_CMD_DEVICE_DEL },
	{ "attach", R3MAP_CMD_DEVICE_ATTACH }, { "start", R3MAP_CMD_DEVICE_START },
	{ "bind", R3MAP_CMD_QUEUE_BIND }, { "request", R3MAP_CMD_QUEUE_REQUEST },
	{ "complete", R3MAP_CMD_QUEUE_COMPLETE }, { "open", R3MAP_CMD_STORE_OPEN },
	{ "claim", R3MAP_CMD_CHUNK_CLAIM }, { "fill", R3MAP_CMD_CHUNK_FILL },
	{ "chunks", R3MAP_CMD_CHUNK_GET }, { "take", R3MAP_CMD_DIRTY_TAKE },
	{ "done", R3MAP_CMD_DIRTY_DONE }, { "sync", R3MAP_CMD_DEVICE_SYNC },
	{ "finalize", R3MAP_CMD_DEVICE_FINALIZE }, { "release", R3MAP_CMD_DEVICE_RELEASE },
	{ "retire", R3MAP_CMD_DEVICE_RETIRE }, { "watch", R3MAP_CMD_EPOCH_OPEN },
	{ "written", R3MAP_CMD_EPOCH_TAKE }, { "unwatch", R3MAP_CMD_EPOCH_CLOSE },
	{ "drop", R3MAP_CMD_CHUNK_DROP }, { "tell", R3MAP_CMD_DEVICE_TELL },
	{ "firm", R3MAP_CMD_CHUNK_FIRM },
};

struct message {
	struct message *next;
	size_t length;
	char bytes[];			/* with its nlmsghdr */
};

struct peer_socket {
	char name[16];			/* "": free */
	int fd;
	int queue;			/* bound to this one, or -1 */
	bool lossy;			/* what does not fit may be lost... */
	bool lost;			/* ... and was */
	struct message *first;		/* what came while something else was waited for */
	struct message **last;
};

struct area {
	char name[16];
	char *at;
	size_t size;
	int fd;				/* -1: anonymous */
};

struct extents {			/* the answer to CHUNK_CLAIM and _GET, DIRTY_TAKE, EPOCH_TAKE */
	unsigned int count;
	uint64_t next;
	uint64_t dirty;
	struct r3map_extent list[R3MAP_EPOCH_EXTENTS];
};

struct facts {				/* what DEVICE_GET said */
	bool there;
	uint64_t value[__R3MAP_A_DEVICE_MAX];
	uint64_t counter[__R3MAP_A_COUNTER_MAX];
	char backend[R3MAP_MAX_BACKEND];
	struct extents chunks;		/* and CHUNK_GET, of a managed device */
};

static struct peer_socket sockets[NAMED_MAX];
static struct area areas[NAMED_MAX];
static struct area *queue_area[R3MAP_MAX_QUEUES];
static struct r3map_desc requests[REQUESTS_MAX];
static unsigned int requests_used;
static pid_t spawned[NAMED_MAX];
static unsigned int spawned_used;
static unsigned int line_number;
static uint32_t last_seq, device_index, nl_seq;
static uint64_t device_generation, device_size, last_sync, last_epoch;
static bool device_known, device_inlined, device_managed;
static struct extents answer;		/* the last one */
static struct area *device_store;	/* of the managed device */
static int opened;			/* descriptor of the last STORE_OPEN */
static uint16_t family;
static uint32_t group_events;
static char *served;			/* what "serve" reads and writes */
static char text[512];			/* of the last refusal */
static struct peer_socket *look;	/* for the peer's own questions */
static unsigned int fail_nth, failures;
static int fail_fd = -1;
static char *buffer;			/* of BUFFER bytes, for what is received */

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "peer: line %u: ", line_number);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	/* A spawned command may wait for us in the kernel: our sockets' end lets it go. */
	exit(1);
}

/* --- messages ----------------------------------------------------------------------------- */

struct out {
	struct nlmsghdr *nlh;
	size_t room;
};

static void out_begin(struct out *out, uint16_t type, uint8_t cmd, uint16_t flags)
{
	struct genlmsghdr *genl;

	out->room = BUFFER;
	out->nlh = calloc(1, out->room);
	out->nlh->nlmsg_len = NLMSG_HDRLEN + GENL_HDRLEN;
	out->nlh->nlmsg_type = type;
	out->nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	out->nlh->nlmsg_seq = ++nl_seq;
	genl = NLMSG_DATA(out->nlh);
	genl->cmd = cmd;
	genl->version = 1;
}

static void out_attr(struct out *out, int type, const void *data, size_t length)
{
	struct nlattr *attr = (struct nlattr *)((char *)out->nlh + out->nlh->nlmsg_len);

	if (out->nlh->nlmsg_len + NLA_HDRLEN + length + 4 > out->room || length > 65531)
		die("the attribute is too long");
	attr->nla_type = (uint16_t)type;
	attr->nla_len = (uint16_t)(NLA_HDRLEN + length);
	memcpy((char *)attr + NLA_HDRLEN, data, length);
	out->nlh->nlmsg_len += NLA_ALIGN(NLA_HDRLEN + (uint32_t)length);
}

/* For every attribute in @length bytes at @at. */
#define each_attr(attr, at, length)						\
	for (struct nlattr *attr = (struct nlattr *)(at),				\
	     *attr##_end = (struct nlattr *)((char *)(at) + (length));			\
	     attr_ok(attr, attr##_end);							\
	     attr = (struct nlattr *)((char *)attr + NLA_ALIGN(attr->nla_len)))

static bool attr_ok(const struct nlattr *attr, const struct nlattr *end)
{
	size_t left = (const char *)end - (const char *)attr;

	return (const char *)attr < (const char *)end && left >= NLA_HDRLEN &&
	       attr->nla_len >= NLA_HDRLEN && attr->nla_len <= left;
}

static int attr_type(const struct nlattr *attr)
{
	return attr->nla_type & NLA_TYPE_MASK;
}

static void *attr_data(const struct nlattr *attr)
{
	return (char *)attr + NLA_HDRLEN;
}

static size_t attr_length(const struct nlattr *attr)
{
	return attr->nla_len - NLA_HDRLEN;
}

static uint64_t attr_number(const struct nlattr *attr)
{
	uint64_t wide = 0;

	memcpy(&wide, attr_data(attr), attr_length(attr) < 8 ? attr_length(attr) : 8);
	return wide;
}

static void *message_attrs(const struct nlmsghdr *nlh)
{
	return (char *)NLMSG_DATA(nlh) + GENL_HDRLEN;
}

static size_t message_length(const struct nlmsghdr *nlh)
{
	return nlh->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN;
}

static uint8_t message_cmd(const struct nlmsghdr *nlh)
{
	return ((const struct genlmsghdr *)NLMSG_DATA(nlh))->cmd;
}

/* --- sockets ------------------------------------------------------------------------------ */

static struct peer_socket *socket_find(const char *name)
{
	for (int i = 0; i < NAMED_MAX; i++)
		if (sockets[i].name[0] && !strcmp(sockets[i].name, name))
			return &sockets[i];
	return NULL;
}

static struct peer_socket *socket_open(const char *name)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK };
	int on = 1, bytes = 8 << 20;

	for (int i = 0; i < NAMED_MAX; i++) {
		struct peer_socket *s = &sockets[i];

		if (s->name[0])
			continue;
		s->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
		if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&address, sizeof(address)))
			die("cannot open a socket: %s", strerror(errno));
		setsockopt(s->fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
		setsockopt(s->fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
		setsockopt(s->fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
		setsockopt(s->fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
		snprintf(s->name, sizeof(s->name), "%s", name);
		s->queue = -1;
		s->lossy = s->lost = false;
		s->first = NULL;
		s->last = &s->first;
		return s;
	}
	die("too many sockets");
}

static void socket_close(struct peer_socket *s)
{
	close(s->fd);
	s->name[0] = '\0';
	while (s->first) {
		struct message *m = s->first;

		s->first = m->next;
		free(m);
	}
}

static void message_keep(struct peer_socket *s, const struct nlmsghdr *nlh)
{
	struct message *m = malloc(sizeof(*m) + nlh->nlmsg_len);

	m->next = NULL;
	m->length = nlh->nlmsg_len;
	memcpy(m->bytes, nlh, nlh->nlmsg_len);
	*s->last = m;
	s->last = &m->next;
}

/* Reads what there is into the list; waits up to @ms for the first. False when nothing came. */
static bool socket_read(struct peer_socket *s, int ms)
{
	struct pollfd fd = { .fd = s->fd, .events = POLLIN };
	ssize_t got;

	if (poll(&fd, 1, ms) <= 0)
		return false;
	got = recv(s->fd, buffer, BUFFER, 0);
	if (got < 0 && errno == ENOBUFS && s->lossy) {
		s->lost = true;
		return true;
	}
	if (got < 0)
		die("cannot receive on %s: %s", s->name, strerror(errno));
	for (struct nlmsghdr *nlh = (struct nlmsghdr *)buffer; NLMSG_OK(nlh, got);
	     nlh = NLMSG_NEXT(nlh, got))
		message_keep(s, nlh);
	return true;
}

/* Takes the first kept message that @want accepts; NULL when there is none. */
static struct message *message_take(struct peer_socket *s, bool (*want)(const struct nlmsghdr *,
								       uint32_t), uint32_t arg)
{
	for (struct message **at = &s->first; *at; at = &(*at)->next) {
		struct message *m = *at;

		if (!want((struct nlmsghdr *)m->bytes, arg))
			continue;
		*at = m->next;
		if (s->last == &m->next)
			s->last = at;
		return m;
	}
	return NULL;
}

static struct message *message_wait(struct peer_socket *s, bool (*want)(const struct nlmsghdr *,
								       uint32_t), uint32_t arg, int ms)
{
	struct message *m;

	while (!(m = message_take(s, want, arg)))
		if (!socket_read(s, ms))
			return NULL;
	return m;
}

static bool want_answer(const struct nlmsghdr *nlh, uint32_t seq)
{
	return nlh->nlmsg_seq == seq && (nlh->nlmsg_type != family ||
		(message_cmd(nlh) != R3MAP_CMD_QUEUE_REQUEST &&
		 message_cmd(nlh) != R3MAP_CMD_DEVICE_EVENT));
}

static bool want_request(const struct nlmsghdr *nlh, uint32_t unused)
{
	(void)unused;
	return nlh->nlmsg_type == family && message_cmd(nlh) == R3MAP_CMD_QUEUE_REQUEST;
}

static bool want_event(const struct nlmsghdr *nlh, uint32_t index)
{
	if (nlh->nlmsg_type != family || message_cmd(nlh) != R3MAP_CMD_DEVICE_EVENT)
		return false;
	each_attr(attr, message_attrs(nlh), message_length(nlh))
		if (attr_type(attr) == R3MAP_A_DEVICE_INDEX)
			return attr_number(attr) == index;
	return false;
}

static void error_text(const struct nlmsghdr *nlh)
{
	size_t skip = sizeof(struct nlmsgerr);
	const struct nlmsgerr *e = NLMSG_DATA(nlh);

	text[0] = '\0';
	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED))
		skip += e->msg.nlmsg_len - sizeof(e->msg);
	each_attr(attr, (char *)e + skip, nlh->nlmsg_len - NLMSG_HDRLEN - skip)
		if (attr_type(attr) == NLMSGERR_ATTR_MSG)
			snprintf(text, sizeof(text), "%.*s", (int)attr_length(attr),
				 (char *)attr_data(attr));
}

/*
 * Only where the kernel has CONFIG_FAULT_INJECTION; its test has looked. The kernel handles a
 * command before send() returns, so nothing else of this process is let down.
 */
static void fail_arm(unsigned int nth)
{
	char word[16];
	ssize_t got;

	if (!fail_nth)
		return;
	if (fail_fd < 0)
		fail_fd = open("/proc/self/fail-nth", O_RDWR | O_CLOEXEC);
	/* What is left of the number tells whether it came to that. */
	got = nth ? 0 : pread(fail_fd, word, sizeof(word) - 1, 0);
	if (got > 0) {
		word[got] = '\0';
		failures += atoi(word) == 0;
		printf("#    %ld allocations\n", (long)fail_nth - atoi(word));
	}
	snprintf(word, sizeof(word), "%u", nth);
	if (fail_fd < 0 || pwrite(fail_fd, word, strlen(word), 0) < 0)
		die("cannot inject failures: %s", strerror(errno));
}

/*
 * Sends and waits for the answer. Each message of the family that comes with it is given to @reply.
 * Returns 0 or a negative errno; the kernel's words are in text.
 */
static int transact(struct peer_socket *s, struct out *out,
		    void (*reply)(const struct nlmsghdr *nlh, void *data), void *data)
{
	uint32_t seq = out->nlh->nlmsg_seq;
	struct nlmsghdr *nlh;
	struct message *m;
	int err;

	text[0] = '\0';
	if (s != look)
		fail_arm(fail_nth);
	err = send(s->fd, out->nlh, out->nlh->nlmsg_len, 0) < 0 ? -errno : 0;
	if (s != look)
		fail_arm(0);
	if (err) {
		free(out->nlh);
		snprintf(text, sizeof(text), "send: %s", strerror(-err));
		return err;
	}
	free(out->nlh);
	for (;;) {
		m = message_wait(s, want_answer, seq, patience);
		if (!m)
			die("no answer from the kernel");
		nlh = (struct nlmsghdr *)m->bytes;
		if (nlh->nlmsg_type == NLMSG_ERROR || nlh->nlmsg_type == NLMSG_DONE) {
			err = *(int *)NLMSG_DATA(nlh);
			if (nlh->nlmsg_type == NLMSG_ERROR)
				error_text(nlh);
			free(m);
			return err;
		}
		if (reply)
			reply(nlh, data);
		free(m);
	}
}

static void family_reply(const struct nlmsghdr *nlh, void *data)
{
	(void)data;
	each_attr(attr, message_attrs(nlh), message_length(nlh)) {
		if (attr_type(attr) == CTRL_ATTR_FAMILY_ID)
			family = (uint16_t)attr_number(attr);
		if (attr_type(attr) != CTRL_ATTR_MCAST_GROUPS)
			continue;
		each_attr(group, attr_data(attr), attr_length(attr))
			each_attr(field, attr_data(group), attr_length(group))
				if (attr_type(field) == CTRL_ATTR_MCAST_GRP_ID)
					group_events = (uint32_t)attr_number(field);
	}
}

static void family_find(void)
{
	struct out out;
	int err;

	out_begin(&out, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, NLM_F_ACK);
	out_attr(&out, CTRL_ATTR_FAMILY_NAME, R3MAP_FAMILY_NAME, sizeof(R3MAP_FAMILY_NAME));
	err = transact(look, &out, family_reply, NULL);
	if (err)
		die("there is no family r3map: %s", strerror(-err));
}

/* --- what the device says ------------------------------------------------------------------ */

static void facts_reply(const struct nlmsghdr *nlh, void *data)
{
	struct facts *facts = data;

	facts->there = true;
	each_attr(attr, message_attrs(nlh), message_length(nlh)) {
		int type = attr_type(attr);

		if (type == R3MAP_A_DEVICE_BACKEND)
			snprintf(facts->backend, sizeof(facts->backend), "%s",
				 (char *)attr_data(attr));
		else if (type == R3MAP_A_DEVICE_COUNTERS)
			each_attr(counter, attr_data(attr), attr_length(attr)) {
				if (attr_type(counter) <= R3MAP_A_COUNTER_MAX)
					facts->counter[attr_type(counter)] = attr_number(counter);
			}
		else if (type == R3MAP_A_DEVICE_TROUBLES)
			facts->value[type] = attr_length(attr) / sizeof(struct r3map_trouble);
		else if (type <= R3MAP_A_DEVICE_MAX)
			facts->value[type] = attr_number(attr);
	}
}

static void extents_reply(const struct nlmsghdr *nlh, void *data)
{
	struct extents *extents = data;

	each_attr(attr, message_attrs(nlh), message_length(nlh)) {
		if (attr_type(attr) == R3MAP_A_CHUNK_NEXT)
			extents->next = attr_number(attr);
		if (attr_type(attr) == R3MAP_A_CHUNK_DIRTY)
			extents->dirty = attr_number(attr);
		if (attr_type(attr) != R3MAP_A_CHUNK_EXTENTS)
			continue;
		if (attr_length(attr) > sizeof(extents->list) ||
		    attr_length(attr) % sizeof(extents->list[0]))
			die("EXTENTS has %zu bytes", attr_length(attr));
		extents->count = (unsigned int)(attr_length(attr) / sizeof(extents->list[0]));
		memcpy(extents->list, attr_data(attr), attr_length(attr));
	}
}

/* False when the device is gone. */
static bool facts_get(struct facts *facts)
{
	struct out out;

	memset(facts, 0, sizeof(*facts));
	if (!device_known)
		return false;
	out_begin(&out, family, R3MAP_CMD_DEVICE_GET, NLM_F_ACK);
	out_attr(&out, R3MAP_A_DEVICE_INDEX, &device_index, 4);
	transact(look, &out, facts_reply, facts);
	if (!facts->there || !facts->value[R3MAP_A_DEVICE_CHUNK])
		return facts->there;
	out_begin(&out, family, R3MAP_CMD_CHUNK_GET, NLM_F_ACK);
	out_attr(&out, R3MAP_A_CHUNK_INDEX, &device_index, 4);
	switch (transact(look, &out, extents_reply, &facts->chunks)) {
	case 0:
		return true;
	case -ENODEV:		/* it went meanwhile */
		return facts->there = false;
	default:
		die("CHUNK_GET: %s", text);
	}
}

/* What a refusal must not change: everything but time, the number of refusals, and what others do. */
static void facts_compare(const struct facts *a, const struct facts *b)
{
	if (a->there != b->there)
		die("the refused command has changed whether there is a device");
	if (!a->there)
		return;
	if (strcmp(a->backend, b->backend))
		die("the refused command has changed the backend");
	for (const struct attr *attr = device_attrs; attr->name; attr++) {
		if (attr->type == R3MAP_A_DEVICE_TIME || attr->type == R3MAP_A_DEVICE_PARK_LEFT ||
		    attr->type == R3MAP_A_DEVICE_OPENERS || attr->type == R3MAP_A_DEVICE_BACKEND)
			continue;
		if (a->value[attr->type] != b->value[attr->type])
			die("the refused command has changed %s from %llu to %llu", attr->name,
			    (unsigned long long)a->value[attr->type],
			    (unsigned long long)b->value[attr->type]);
	}
	if (a->chunks.count != b->chunks.count || a->chunks.next != b->chunks.next ||
	    memcmp(a->chunks.list, b->chunks.list, a->chunks.count * sizeof(a->chunks.list[0])))
		die("the refused command has changed the chunks");
	for (const struct attr *attr = counter_attrs; attr->name; attr++)
		if (attr->type != R3MAP_A_COUNTER_REFUSED &&
		    a->counter[attr->type] != b->counter[attr->type])
			die("the refused command has changed the counter %s", attr->name);
}

/* --- words --------------------------------------------------------------------------------- */

static uint64_t number(const char *word)
{
	static const char units[] = "KMGTPE";
	const char *unit;
	uint64_t value;
	char *end;

	if (word[0] == '@') {
		for (int i = 0; i < NAMED_MAX; i++) {
			size_t n = strlen(areas[i].name);

			if (n && !strncmp(areas[i].name, word + 1, n) &&
			    (!word[1 + n] || word[1 + n] == '+'))
				return (uintptr_t)areas[i].at +
				       (word[1 + n] ? number(word + 2 + n) : 0);
		}
		if (!strcmp(word, "@seq"))
			return last_seq;
		if (!strcmp(word, "@sync"))
			return last_sync;
		if (!strcmp(word, "@next"))
			return answer.next;
		if (!strncmp(word, "@epoch", 6))
			return last_epoch - (word[6] ? number(word + 7) : 0);
		if (!strncmp(word, "@seq+", 5))
			return last_seq + (uint32_t)number(word + 5);
		if (word[1] == 't' && isdigit(word[2])) {
			unsigned long n = strtoul(word + 2, &end, 10);

			if (n >= requests_used)
				die("request %lu was not received", n);
			value = requests[n].tag;
			return *end == '+' ? value + strtoull(end + 1, NULL, 0) : value;
		}
		die("there is no '%s'", word);
	}
	value = strtoull(word, &end, 0);
	unit = *end ? strchr(units, *end) : NULL;
	if (unit && !end[1])
		return value << (10 * (unit - units + 1));
	if (end == word || *end)
		die("'%s' is not a number", word);
	return value;
}

static int named(const char *const *names, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (!strcasecmp(names[i], word))
			return (int)i;
	return -1;
}

static const struct attr *attr_find(const struct attr *table, const char *word, size_t n)
{
	for (; table->name; table++)
		if (strlen(table->name) == n && !strncasecmp(table->name, word, n))
			return table;
	return NULL;
}

static struct area *area_find(const char *name)
{
	for (int i = 0; i < NAMED_MAX; i++)
		if (areas[i].name[0] && !strcmp(areas[i].name, name))
			return &areas[i];
	return NULL;
}

static struct area *area_new(const char *name, char *at, size_t size, int fd)
{
	for (int i = 0; i < NAMED_MAX; i++) {
		if (areas[i].name[0])
			continue;
		snprintf(areas[i].name, sizeof(areas[i].name), "%s", name);
		areas[i].at = at;
		areas[i].size = size;
		areas[i].fd = fd;
		return &areas[i];
	}
	die("too many areas");
}

static uint64_t attr_value(const struct attr *table, const struct attr *attr, const char *word)
{
	bool device = table == device_attrs;
	int n = -1;

	if (device && attr->type == R3MAP_A_DEVICE_STATE)
		n = named(states, COUNT(states), word);
	if (device && attr->type == R3MAP_A_DEVICE_FLUSH)
		n = named(flushes, COUNT(flushes), word);
	if (device && attr->type == R3MAP_A_DEVICE_HOLD)
		n = named(holds, COUNT(holds), word);
	if (device && (attr->type == R3MAP_A_DEVICE_STORE || attr->type == R3MAP_A_DEVICE_MAP) &&
	    area_find(word))
		n = area_find(word)->fd;
	if (device && attr->type == R3MAP_A_DEVICE_TRANSPORT)
		n = !strcmp(word, "shared") ? R3MAP_TRANSPORT_SHARED :
		    !strcmp(word, "inline") ? R3MAP_TRANSPORT_INLINE : -1;
	if (n >= 0)
		return (uint64_t)n;
	if (!strcasecmp(attr->name, "GENERATION") && (word[0] == '+' || word[0] == '-'))
		return device_generation + (uint64_t)strtoll(word, NULL, 0);
	return number(word);
}

static size_t hex_parse(const char *word, unsigned char *bytes, size_t room)
{
	unsigned int byte;
	size_t n = 0;

	for (; word[0] && word[1]; word += 2) {
		if (n == room || sscanf(word, "%2x", &byte) != 1)
			die("'%s' is not hexadecimal", word);
		bytes[n++] = (unsigned char)byte;
	}
	return n;
}

static void put_completions(struct out *out, char *words)
{
	struct r3map_completion list[1024];
	size_t n = 0;

	for (char *word = strtok(words, ","); word; word = strtok(NULL, ",")) {
		char *error = strchr(word, ':');
		char *bytes = error ? strchr(error + 1, ':') : NULL;

		if (!bytes || n == 1024)
			die("a completion is TAG:ERROR:BYTES");
		*error = *bytes = '\0';
		list[n++] = (struct r3map_completion){
			.tag = number(word), .error = (int32_t)strtol(error + 1, NULL, 0),
			.bytes = (uint32_t)number(bytes + 1),
		};
	}
	out_attr(out, R3MAP_A_QUEUE_COMPLETIONS, list, n * sizeof(list[0]));
}

static void put_addresses(struct out *out, char *words)
{
	uint64_t list[1024];
	size_t n = 0;

	for (char *word = strtok(words, ","); word; word = strtok(NULL, ",")) {
		if (n == 1024)
			die("too many addresses");
		list[n++] = number(word);
	}
	out_attr(out, R3MAP_A_QUEUE_ADDRESSES, list, n * sizeof(list[0]));
}

/* "l", "bd", a number ... */
static uint32_t extent_flags(const char *word)
{
	uint32_t flags = 0;

	if (isdigit(word[0]))
		return (uint32_t)number(word);
	for (; *word; word++)
		flags |= *word == 'l' ? R3MAP_EXTENT_LOCAL : *word == 'b' ? R3MAP_EXTENT_BUSY :
			 *word == 'd' ? R3MAP_EXTENT_DIRTY : 1U << 31;
	return flags;
}

/* OFFSET:LENGTH[:FLAGS[:RESERVED]],... in a buffer that the next call uses again. */
static struct r3map_extent *extents_parse(char *words, size_t *nr)
{
	static struct r3map_extent list[1024];
	char *rest = NULL;
	size_t n = 0;

	for (char *word = strtok_r(words, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
		char *field[4] = { NULL }, *inner = NULL;
		int fields = 0;

		for (char *f = strtok_r(word, ":", &inner); f && fields < 4;
		     f = strtok_r(NULL, ":", &inner))
			field[fields++] = f;
		if (fields < 2 || n == 1024)
			die("an extent is OFFSET:LENGTH[:FLAGS[:RESERVED]]");
		list[n++] = (struct r3map_extent){
			.offset = number(field[0]), .length = number(field[1]),
			.flags = field[2] ? extent_flags(field[2]) : 0,
			.reserved = field[3] ? (uint32_t)number(field[3]) : 0,
		};
	}
	*nr = n;
	return list;
}

/* WHAT:ERRNO:SINCE,... as TROUBLES. */
static void put_troubles(struct out *out, char *words)
{
	struct r3map_trouble list[8];
	char *rest = NULL;
	size_t n = 0;

	for (char *word = strtok_r(words, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
		unsigned int what, error;
		unsigned long long since;

		if (n == COUNT(list) || sscanf(word, "%u:%u:%llu", &what, &error, &since) != 3)
			die("a trouble is WHAT:ERRNO:SINCE");
		list[n++] = (struct r3map_trouble){ what, error, since };
	}
	out_attr(out, R3MAP_A_DEVICE_TROUBLES, list, n * sizeof(list[0]));
}

/* --- sending what the script says ------------------------------------------------------------ */

static void put_word(struct out *out, const struct attr *table, char *word)
{
	static unsigned char bytes[65536];
	bool queue = table == queue_attrs;
	const struct attr *attr;
	size_t n = strcspn(word, "=:"), count;
	uint64_t value;

	if (word[0] == '#') {
		out_attr(out, atoi(word + 1), bytes,
			 word[n] ? hex_parse(word + n + 1, bytes, sizeof(bytes)) : 0);
		return;
	}
	if (queue && !strncmp(word, "comp=", 5)) {
		put_completions(out, word + 5);
		return;
	}
	if (queue && !strncmp(word, "addr=", 5)) {
		put_addresses(out, word + 5);
		return;
	}
	if (queue && !strncmp(word, "fill=", 5)) {
		memset(bytes, 0x5a, sizeof(bytes));
		out_attr(out, R3MAP_A_QUEUE_DATA, bytes, number(word + 5));
		return;
	}
	if (table == device_attrs && !strncmp(word, "wrong=", 6)) {
		put_troubles(out, word + 6);
		return;
	}
	if (table == chunk_attrs && !strncmp(word, "as=", 3))
		return;
	if (table == chunk_attrs && !strncmp(word, "ext=", 4)) {
		const struct r3map_extent *list = extents_parse(word + 4, &count);

		out_attr(out, R3MAP_A_CHUNK_EXTENTS, list, count * sizeof(*list));
		return;
	}
	attr = attr_find(table, word, n);
	if (!attr)
		die("there is no attribute '%.*s'", (int)n, word);
	if (word[n] == ':') {
		out_attr(out, attr->type, bytes, hex_parse(word + n + 1, bytes, sizeof(bytes)));
	} else if (attr->kind == 's') {
		out_attr(out, attr->type, word + n + 1, strlen(word + n + 1) + 1);
	} else if (attr->kind == 'f') {
		out_attr(out, attr->type, NULL, 0);
	} else {
		value = attr_value(table, attr, word + n + 1);
		out_attr(out, attr->type, &value, attr->kind == '4' ? 4 : 8);
	}
}

static bool word_given(char **words, const char *name)
{
	size_t n = strlen(name);

	for (; *words; words++) {
		const char *word = **words == '-' ? *words + 1 : *words;

		if (!strncasecmp(word, name, n) && (!word[n] || word[n] == '=' || word[n] == ':'))
			return true;
	}
	return false;
}

static void made_reply(const struct nlmsghdr *nlh, void *data)
{
	struct facts *facts = data;
	char path[32];

	switch (message_cmd(nlh)) {
	case R3MAP_CMD_CHUNK_CLAIM:
	case R3MAP_CMD_CHUNK_GET:
	case R3MAP_CMD_CHUNK_FIRM:
	case R3MAP_CMD_DIRTY_TAKE:
	case R3MAP_CMD_EPOCH_TAKE:
		memset(&answer, 0, sizeof(answer));
		extents_reply(nlh, &answer);
		return;
	case R3MAP_CMD_EPOCH_OPEN:
		each_attr(attr, message_attrs(nlh), message_length(nlh)) {
			if (attr_type(attr) == R3MAP_A_CHUNK_EPOCH)
				last_epoch = attr_number(attr);
			else if (attr_type(attr) == R3MAP_A_CHUNK_GRAIN)
				answer.next = attr_number(attr);
		}
		return;
	case R3MAP_CMD_STORE_OPEN:
		each_attr(attr, message_attrs(nlh), message_length(nlh))
			if (attr_type(attr) == R3MAP_A_CHUNK_FD)
				opened = (int)attr_number(attr);
		return;
	case R3MAP_CMD_DEVICE_SYNC:
		facts_reply(nlh, facts);
		last_sync = facts->value[R3MAP_A_DEVICE_SYNC];
		return;
	case R3MAP_CMD_DEVICE_NEW:
	case R3MAP_CMD_DEVICE_ATTACH:
		break;
	default:
		return;
	}
	facts_reply(nlh, facts);
	device_known = true;
	device_index = (uint32_t)facts->value[R3MAP_A_DEVICE_INDEX];
	device_generation = facts->value[R3MAP_A_DEVICE_GENERATION];
	device_size = facts->value[R3MAP_A_DEVICE_SIZE];
	device_inlined = facts->value[R3MAP_A_DEVICE_TRANSPORT] == R3MAP_TRANSPORT_INLINE;
	device_managed = facts->value[R3MAP_A_DEVICE_CHUNK];
	if (message_cmd(nlh) == R3MAP_CMD_DEVICE_NEW) {
		free(served);
		served = calloc(1, device_size > (256U << 20) ? 256U << 20 : device_size);
	}
	snprintf(path, sizeof(path), "/dev/r3map%u", device_index);
	setenv("DEV", path, 1);
}

static int command_find(const char *word)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(commands[i].name, word))
			return commands[i].cmd;
	if (!strncmp(word, "cmd", 3) && isdigit(word[3]))
		return atoi(word + 3);
	die("there is no command '%s'", word);
}

static struct area *area_at(uint64_t at)
{
	for (int i = 0; i < NAMED_MAX; i++)
		if (areas[i].name[0] && (uintptr_t)areas[i].at == at)
			return &areas[i];
	return NULL;
}

/* What the device's store is mapped as: store=A, or a new area for the one that STORE_OPEN gave. */
static void store_note(int cmd, char **words)
{
	char *at;

	for (char **word = words; *word; word++) {
		if (cmd == R3MAP_CMD_DEVICE_NEW && !strncmp(*word, "store=", 6))
			device_store = area_find(*word + 6);
		if (cmd != R3MAP_CMD_STORE_OPEN || strncmp(*word, "as=", 3))
			continue;
		at = mmap(NULL, device_size, PROT_READ | PROT_WRITE, MAP_SHARED, opened, 0);
		if (at == MAP_FAILED)
			die("cannot map the store: %s", strerror(errno));
		device_store = area_new(*word + 3, at, device_size, opened);
	}
}

static const struct attr *command_attrs(int cmd)
{
	if ((cmd >= R3MAP_CMD_STORE_OPEN && cmd <= R3MAP_CMD_DIRTY_DONE) ||
	    (cmd >= R3MAP_CMD_EPOCH_OPEN && cmd != R3MAP_CMD_DEVICE_TELL))
		return chunk_attrs;
	return cmd >= R3MAP_CMD_QUEUE_BIND && cmd < R3MAP_CMD_STORE_OPEN ? queue_attrs :
									  device_attrs;
}

static int send_words(struct peer_socket *s, int cmd, char **words)
{
	const struct attr *table = command_attrs(cmd);
	struct facts facts = { 0 };
	struct out out;

	out_begin(&out, family, (uint8_t)cmd,
		  !strcmp(words[0], "dump") ? NLM_F_DUMP : NLM_F_ACK);
	if (device_known && cmd != R3MAP_CMD_FEATURES_GET && cmd != R3MAP_CMD_DEVICE_NEW &&
	    strcmp(words[0], "dump") && !word_given(words + 1, "index"))
		out_attr(&out, attr_find(table, "INDEX", 5)->type, &device_index, 4);
	if (device_known && cmd > R3MAP_CMD_DEVICE_GET && cmd != R3MAP_CMD_CHUNK_GET &&
	    !word_given(words + 1, "generation"))
		out_attr(&out, attr_find(table, "GENERATION", 10)->type, &device_generation, 8);
	if ((cmd == R3MAP_CMD_EPOCH_TAKE || cmd == R3MAP_CMD_EPOCH_CLOSE) &&
	    !word_given(words + 1, "epoch"))
		out_attr(&out, R3MAP_A_CHUNK_EPOCH, &last_epoch, 8);
	for (char **word = words + 1; *word; word++) {
		char *copy = strdup(*word);

		if (copy[0] != '-')
			put_word(&out, table, copy);
		free(copy);
	}
	return transact(s, &out, made_reply, &facts);
}

/*
 * With one allocation that fails. What was refused for that has changed nothing, and is sent once
 * more without: so each command of a script comes to its own allocation of this number.
 */
static int send_failing(struct peer_socket *s, int cmd, char **words)
{
	const unsigned int nth = fail_nth;
	struct facts before, after;
	int err;

	facts_get(&before);
	err = send_words(s, cmd, words);
	if (err != -ENOMEM && err != -ENOBUFS)
		return err;
	printf("#    %s: %s\n", strerrorname_np(-err), text);
	facts_get(&after);
	facts_compare(&before, &after);
	fail_nth = 0;
	err = send_words(s, cmd, words);
	fail_nth = nth;
	return err;
}

/* words[0] is the command. */
static int do_send(struct peer_socket *s, char **words)
{
	int cmd = command_find(words[0]);
	int err = fail_nth ? send_failing(s, cmd, words) : send_words(s, cmd, words);

	if (!err)
		store_note(cmd, words + 1);
	if (!err && cmd == R3MAP_CMD_QUEUE_BIND) {
		s->queue = 0;
		for (char **word = words + 1; *word; word++)
			if (!strncmp(*word, "queue=", 6))
				s->queue = atoi(*word + 6);
		for (char **word = words + 1; *word; word++)
			if (!strncmp(*word, "area_addr=", 10))
				queue_area[s->queue] = area_at(number(*word + 10));
	}
	return err;
}

/* --- serving --------------------------------------------------------------------------------- */

struct payload {			/* the DATA attributes of a message, as one row of bytes */
	const struct nlmsghdr *nlh;
	size_t done;
};

static void payload_take(struct payload *payload, char *to, size_t length)
{
	size_t skip = payload->done;

	payload->done += length;
	each_attr(attr, message_attrs(payload->nlh), message_length(payload->nlh)) {
		size_t n = attr_length(attr);

		if (attr_type(attr) != R3MAP_A_QUEUE_DATA)
			continue;
		if (skip >= n) {
			skip -= n;
			continue;
		}
		n -= skip;
		if (n > length)
			n = length;
		memcpy(to, (char *)attr_data(attr) + skip, n);
		to += n;
		length -= n;
		skip = 0;
	}
	if (length)
		die("DATA is %zu bytes too short", length);
}

static void complete(struct peer_socket *s, const uint32_t *seq, const struct r3map_completion *list,
		     unsigned int n, const char *data, size_t length)
{
	struct out out;
	int err;

	out_begin(&out, family, R3MAP_CMD_QUEUE_COMPLETE, NLM_F_ACK);
	out_attr(&out, R3MAP_A_QUEUE_INDEX, &device_index, 4);
	out_attr(&out, R3MAP_A_QUEUE_QUEUE, &s->queue, 4);
	if (seq)
		out_attr(&out, R3MAP_A_QUEUE_SEQ, seq, 4);
	if (n)
		out_attr(&out, R3MAP_A_QUEUE_COMPLETIONS, list, n * sizeof(*list));
	while (length) {
		size_t part = length < R3MAP_MAX_DATA ? length : R3MAP_MAX_DATA;

		out_attr(&out, R3MAP_A_QUEUE_DATA, data, part);
		data += part;
		length -= part;
	}
	err = transact(s, &out, NULL, NULL);
	if (err)
		die("a good completion was refused: %s (%s)", strerror(-err), text);
}

static int chunk_command(int cmd, const struct extents *extents,
			 void (*reply)(const struct nlmsghdr *nlh, void *data), void *data)
{
	struct out out;

	out_begin(&out, family, (uint8_t)cmd, NLM_F_ACK);
	out_attr(&out, R3MAP_A_CHUNK_INDEX, &device_index, 4);
	out_attr(&out, R3MAP_A_CHUNK_GENERATION, &device_generation, 8);
	if (extents)
		out_attr(&out, R3MAP_A_CHUNK_EXTENTS, extents->list,
			 extents->count * sizeof(extents->list[0]));
	return transact(look, &out, reply, data);
}

/* A FLUSH of a managed device: all that is dirty goes to memory. */
static void serve_push(void)
{
	struct extents taken;

	for (;;) {
		memset(&taken, 0, sizeof(taken));
		if (chunk_command(R3MAP_CMD_DIRTY_TAKE, NULL, extents_reply, &taken))
			die("a good take was refused: %s", text);
		if (!taken.count)
			return;
		for (unsigned int i = 0; i < taken.count; i++)
			memcpy(served + taken.list[i].offset,
			       device_store->at + taken.list[i].offset, taken.list[i].length);
		if (chunk_command(R3MAP_CMD_DIRTY_DONE, &taken, NULL, NULL))
			die("a good done was refused: %s", text);
	}
}

static void serve_one(struct peer_socket *s, const struct r3map_desc *d, struct payload *payload)
{
	struct r3map_completion done = { .tag = d->tag };
	char *at = served + d->offset;

	if (d->offset + d->length > device_size)
		die("a request beyond the end");
	if (device_managed && d->op != R3MAP_OP_FETCH && d->op != R3MAP_OP_FLUSH)
		die("a managed device has sent a %s", ops[d->op % COUNT(ops)]);
	if (d->op == R3MAP_OP_FETCH)
		memcpy(device_store->at + d->offset, at, d->length);
	if (d->op == R3MAP_OP_FLUSH && device_managed)
		serve_push();
	if (d->op <= R3MAP_OP_WRITE)
		done.bytes = d->length;
	if (d->op == R3MAP_OP_WRITE_ZEROES || d->op == R3MAP_OP_DISCARD)
		memset(at, 0, d->length);
	if (d->op == R3MAP_OP_WRITE && device_inlined)
		payload_take(payload, at, d->length);
	else if (d->op == R3MAP_OP_WRITE)
		memcpy(at, queue_area[s->queue]->at + d->area, d->length);
	else if (d->op == R3MAP_OP_READ && !device_inlined)
		memcpy(queue_area[s->queue]->at + d->area, at, d->length);
	if (d->op == R3MAP_OP_READ && device_inlined)
		complete(s, NULL, &done, 1, at, d->length);
	else
		complete(s, NULL, &done, 1, NULL, 0);
}

static void serve_message(struct peer_socket *s, const struct nlmsghdr *nlh)
{
	struct payload payload = { .nlh = nlh };
	uint32_t seq = 0;

	each_attr(attr, message_attrs(nlh), message_length(nlh)) {
		if (attr_type(attr) == R3MAP_A_QUEUE_SEQ)
			seq = (uint32_t)attr_number(attr);
		if (attr_type(attr) != R3MAP_A_QUEUE_REQUESTS)
			continue;
		for (size_t i = 0; i < attr_length(attr) / sizeof(struct r3map_desc); i++)
			serve_one(s, (struct r3map_desc *)attr_data(attr) + i, &payload);
	}
	last_seq = seq;
	complete(s, &seq, NULL, 0, NULL, 0);
}

static pid_t run(const char *command)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid)
		return pid;
	execl("/bin/bash", "bash", "-c", command, (char *)NULL);
	_exit(127);
}

static int status_of(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void do_serve(const char *command)
{
	struct pollfd fds[NAMED_MAX];
	int status;
	pid_t pid = run(command);

	while (waitpid(pid, &status, WNOHANG) == 0) {
		for (int i = 0; i < NAMED_MAX; i++) {
			struct peer_socket *s = &sockets[i];
			struct message *m;

			fds[i].fd = s->name[0] && s->queue >= 0 ? s->fd : -1;
			fds[i].events = POLLIN;
			if (fds[i].fd < 0)
				continue;
			while ((m = message_take(s, want_request, 0))) {
				serve_message(s, (struct nlmsghdr *)m->bytes);
				free(m);
			}
		}
		poll(fds, NAMED_MAX, 20);
		for (int i = 0; i < NAMED_MAX; i++)
			if (fds[i].fd >= 0 && fds[i].revents)
				socket_read(&sockets[i], 0);
	}
	if (status_of(status))
		die("status %d from: %s", status_of(status), command);
}

/* --- the other commands ---------------------------------------------------------------------- */

static void do_map(char **words)
{
	size_t size = number(words[2]);
	int prot = words[3] && !strcmp(words[3], "ro") ? PROT_READ : PROT_READ | PROT_WRITE;
	int flags = MAP_ANONYMOUS | MAP_SHARED;
	int fd = -1;
	char *at;

	if (words[3] && !strcmp(words[3], "memfd")) {
		fd = memfd_create(words[1], MFD_CLOEXEC | MFD_ALLOW_SEALING);
		if (fd < 0 || ftruncate(fd, (off_t)size))
			die("cannot make a memfd: %s", strerror(errno));
	}
	if (fd >= 0)
		flags = MAP_SHARED | MAP_NORESERVE;
	else if (words[3] && !strcmp(words[3], "private"))
		flags = MAP_ANONYMOUS | MAP_PRIVATE;
	at = mmap(NULL, size, prot, flags, fd, 0);
	if (at == MAP_FAILED)
		die("cannot map %zu bytes", size);
	if (words[3] && !strcmp(words[words[4] ? 4 : 3], "hole"))
		munmap(at + size / 2, size / 2);
	area_new(words[1], at, size, fd);
}

static void do_unmap(const char *name)
{
	struct area *area = area_find(name);

	if (!area)
		die("there is no area '%s'", name);
	munmap(area->at, area->size);
	if (area->fd >= 0)
		close(area->fd);
	if (device_store == area)
		device_store = NULL;
	area->name[0] = '\0';
}

/* The kernel looks at the references of every page, and gives those that are passing a moment. */
static void do_seal(const char *name)
{
	struct area *area = area_find(name);

	if (!area || area->fd < 0)
		die("there is no memfd '%s'", name);
	munmap(area->at, area->size);
	if (fcntl(area->fd, F_ADD_SEALS, F_SEAL_WRITE))
		die("somebody holds pages of '%s': %s", name, strerror(errno));
	close(area->fd);
	area->name[0] = '\0';
}

static void do_recv(char **words)
{
	struct peer_socket *s = socket_find(words[1]);
	struct message *m = s ? message_wait(s, want_request, 0, patience) : NULL;
	struct nlmsghdr *nlh;
	size_t n = 0;

	if (!m)
		die("no request came");
	nlh = (struct nlmsghdr *)m->bytes;
	each_attr(attr, message_attrs(nlh), message_length(nlh)) {
		const struct r3map_desc *d = attr_data(attr);

		if (attr_type(attr) == R3MAP_A_QUEUE_SEQ)
			last_seq = (uint32_t)attr_number(attr);
		if (attr_type(attr) != R3MAP_A_QUEUE_REQUESTS)
			continue;
		for (n = 0; n < attr_length(attr) / sizeof(*d); n++) {
			if (requests_used == REQUESTS_MAX)
				die("too many requests");
			printf("# request %u: tag %llx %s offset %llu length %u area %u flags %x\n",
			       requests_used, (unsigned long long)d[n].tag,
			       ops[d[n].op % COUNT(ops)],
			       (unsigned long long)d[n].offset, d[n].length, d[n].area, d[n].flags);
			requests[requests_used++] = d[n];
		}
	}
	free(m);
	if (words[2] && n != number(words[2]))
		die("%zu requests came", n);
}

static void do_quiet(char **words)
{
	struct peer_socket *s = socket_find(words[1]);

	if (!s || message_wait(s, want_request, 0, (int)number(words[2])))
		die("a request came");
}

static void do_check(char **words)
{
	const struct r3map_desc *d;
	uint64_t n = number(words[1]);

	if (n >= requests_used)
		die("request %llu was not received", (unsigned long long)n);
	d = &requests[n];
	for (words += 2; *words; words++) {
		char *value = strchr(*words, '=');
		uint64_t is;

		if (!value)
			die("'%s' is not KEY=VALUE", *words);
		*value++ = '\0';
		is = !strcmp(*words, "op") ? d->op : !strcmp(*words, "offset") ? d->offset :
		     !strcmp(*words, "length") ? d->length : !strcmp(*words, "area") ? d->area :
		     !strcmp(*words, "flags") ? d->flags : UINT64_MAX;
		if (is != (!strcmp(*words, "op") ? (uint64_t)named(ops, COUNT(ops), value) : number(value)))
			die("%s of the request is %llu, not %s", *words, (unsigned long long)is,
			    value);
	}
}

/* NULL when all that the words say is so, else what is not. */
static const char *facts_differ(char **words)
{
	static char why[200];
	struct facts facts;

	if (!facts_get(&facts))
		return *words && !strcmp(*words, "gone") ? NULL : "the device is gone";
	for (; *words; words++) {
		size_t n = strcspn(*words, "=");
		const struct attr *attr = attr_find(device_attrs, *words, n);
		const struct attr *counter = attr_find(counter_attrs, *words, n);
		uint64_t is, want;

		if (!strcmp(*words, "gone"))
			return "the device is there";
		/* PARKED is a state and a counter's name: "parked=" means the counter. */
		if (attr && attr->kind == 's') {
			if (!strcmp(facts.backend, *words + n + 1))
				continue;
			return "another backend";
		}
		if (!attr && !counter)
			die("the device has no '%.*s'", (int)n, *words);
		is = attr ? facts.value[attr->type] : facts.counter[counter->type];
		want = attr ? attr_value(device_attrs, attr, *words + n + 1) : number(*words + n + 1);
		if (is != want) {
			snprintf(why, sizeof(why), "%.*s is %llu, not %s", (int)n, *words,
				 (unsigned long long)is, *words + n + 1);
			return why;
		}
	}
	return NULL;
}

static void do_await(char **words)
{
	time_t end = time(NULL) + patience / 1000;
	const char *why;

	while ((why = facts_differ(words))) {
		if (time(NULL) > end)
			die("in vain waited for %s ...: %s", *words, why);
		usleep(5000);
	}
}

static void do_event(char **words)
{
	struct peer_socket *s = socket_find(words[1]);
	struct message *m = s ? message_wait(s, want_event, device_index, patience) : NULL;
	int want = named(events, COUNT(events), words[2]);
	struct facts facts = { 0 };

	if (!m)
		die("no event came");
	facts_reply((struct nlmsghdr *)m->bytes, &facts);
	free(m);
	if (want < 0 || facts.value[R3MAP_A_DEVICE_EVENT] != (uint64_t)want)
		die("the event is %s, not %s", events[facts.value[R3MAP_A_DEVICE_EVENT] % COUNT(events)],
		    words[2]);
	if (!facts.value[R3MAP_A_DEVICE_GENERATION] || !facts.value[R3MAP_A_DEVICE_TIME] ||
	    !facts.value[R3MAP_A_DEVICE_STATE])
		die("the event tells no generation, time or state");
	for (words += 3; *words; words++) {
		size_t n = strcspn(*words, "=");
		const struct attr *attr = attr_find(device_attrs, *words, n);

		if (!attr || !(*words)[n])
			die("'%s' is no fact of an event", *words);
		if (facts.value[attr->type] != attr_value(device_attrs, attr, *words + n + 1))
			die("%.*s of the event is %llu", (int)n, *words,
			    (unsigned long long)facts.value[attr->type]);
	}
}

static void extents_print(const struct extents *extents)
{
	char line[32 + R3MAP_MAX_EXTENTS * 64];
	size_t n = 0;

	for (unsigned int i = 0; i < extents->count; i++)
		n += (size_t)snprintf(line + n, sizeof(line) - n, " %llu:%llu:%x",
				      (unsigned long long)extents->list[i].offset,
				      (unsigned long long)extents->list[i].length,
				      extents->list[i].flags);
	printf("#    answer: next %llu, extents%s\n", (unsigned long long)extents->next,
	       n ? line : " none");
}

static void do_answer(char **words)
{
	extents_print(&answer);
	for (words++; *words; words++) {
		if (!strncmp(*words, "next=", 5)) {
			if (answer.next != number(*words + 5))
				die("next is %llu", (unsigned long long)answer.next);
		} else if (!strncmp(*words, "dirty=", 6)) {
			if (answer.dirty != number(*words + 6))
				die("%llu bytes were dirty", (unsigned long long)answer.dirty);
		} else if (!strncmp(*words, "nr=", 3)) {
			if (answer.count != number(*words + 3))
				die("%u extents were answered", answer.count);
		} else if (!strncmp(*words, "ext=", 4)) {
			const struct r3map_extent *want;
			size_t n = 0;

			want = extents_parse(strcmp(*words + 4, "none") ? *words + 4 : "", &n);
			if (n != answer.count ||
			    memcmp(want, answer.list, n * sizeof(*want)))
				die("other extents were answered");
		} else {
			die("'%s' is nothing that an answer has", *words);
		}
	}
}

static bool want_any_event(const struct nlmsghdr *nlh, uint32_t unused)
{
	(void)unused;
	return nlh->nlmsg_type == family && message_cmd(nlh) == R3MAP_CMD_DEVICE_EVENT;
}

static void do_silent(char **words)
{
	struct peer_socket *s = socket_find(words[1]);

	if (!s || message_wait(s, want_any_event, 0, 0))
		die("an event came");
}

static void do_lost(const char *name)
{
	struct peer_socket *s = socket_find(name);
	struct message *m;

	if (!s)
		die("there is no socket '%s'", name);
	while ((m = message_wait(s, want_any_event, 0, 0)))
		free(m);
	if (!s->lost)
		die("nothing was lost");
	s->lost = false;
}

static void do_poke(char **words, bool compare)
{
	size_t offset, length;
	struct area *area;
	char *at, byte;

	if (!words[2] || !words[3] || !words[4])
		die("usage: poke AREA OFFSET LENGTH BYTE");
	area = area_find(words[1]);
	at = area ? area->at : !strcmp(words[1], "served") ? served : NULL;
	if (!at)
		die("there is no area '%s'", words[1]);
	offset = number(words[2]);
	length = number(words[3]);
	byte = (char)number(words[4]);
	if (!compare)
		memset(at + offset, byte, length);
	for (size_t i = offset; compare && i < offset + length; i++)
		if (at[i] != byte)
			die("byte %zu of the area is %d", i, at[i]);
}

static void do_wait(const char *want)
{
	int status;

	if (!spawned_used)
		die("nothing was spawned");
	/* The bound on a hang is the test's own. */
	if (waitpid(spawned[0], &status, 0) < 0)
		die("cannot wait: %s", strerror(errno));
	memmove(spawned, spawned + 1, --spawned_used * sizeof(*spawned));
	status = status_of(status);
	if (!strcmp(want, "any") || (!strcmp(want, "fail") && status) ||
	    (isdigit(want[0]) && status == atoi(want)))
		return;
	die("the spawned command ended with status %d, not %s", status, want);
}

static void do_nocap(int cap)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		die("capget: %s", strerror(errno));
	data[cap / 32].effective &= ~(1U << cap % 32);
	data[cap / 32].permitted &= ~(1U << cap % 32);
	data[cap / 32].inheritable &= ~(1U << cap % 32);
	if (syscall(SYS_capset, &header, data))
		die("capset: %s", strerror(errno));
}

static void do_set(char **words)
{
	char path[32];

	if (!strcmp(words[1], "index"))
		device_index = (uint32_t)number(words[2]);
	else if (!strcmp(words[1], "generation"))
		device_generation = number(words[2]);
	else
		die("set index, or set generation");
	device_known = true;
	snprintf(path, sizeof(path), "/dev/r3map%u", device_index);
	setenv("DEV", path, 1);
}

static int do_listen(const char *name, const char *room)
{
	struct peer_socket *s = socket_open(name);
	int bytes = room ? (int)number(room) : 0;

	s->lossy = room;
	if (room)
		setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	if (!setsockopt(s->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group_events,
			sizeof(group_events)))
		return 0;
	/* The kernel has no way to give words with this one. */
	snprintf(text, sizeof(text), "setsockopt: %s", strerror(errno));
	socket_close(s);
	return -errno;
}

/* Returns what the kernel said to the command. */
static int do_line(char **words, char *rest)
{
	const char *word = words[0];
	struct peer_socket *s;
	struct rlimit limit;
	int status;

	if (!strcmp(word, "sh")) {
		if (waitpid(run(rest), &status, 0) < 0 || status)
			die("status %d from: %s", status_of(status), rest);
	} else if (!strcmp(word, "spawn")) {
		if (spawned_used == NAMED_MAX)
			die("too many commands");
		spawned[spawned_used++] = run(rest);
	} else if (!strcmp(word, "serve")) {
		do_serve(rest);
	} else if (!strcmp(word, "expect")) {
		const char *why = facts_differ(words + 1);

		if (why)
			die("%s", why);
	} else if (!strcmp(word, "await")) {
		do_await(words + 1);
	} else if (!strcmp(word, "answer")) {
		do_answer(words);
	} else if (!strcmp(word, "show")) {
		printf("index=%u generation=%llu\n", device_index,
		       (unsigned long long)device_generation);
	} else if (!words[1]) {
		die("'%s' wants something behind it", word);
	} else if (!strcmp(word, "socket")) {
		socket_open(words[1]);
	} else if (!strcmp(word, "listen")) {
		return do_listen(words[1], words[2]);
	} else if (!strcmp(word, "close")) {
		s = socket_find(words[1]);
		if (!s)
			die("there is no socket '%s'", words[1]);
		socket_close(s);
	} else if (!strcmp(word, "recv")) {
		do_recv(words);
	} else if (!strcmp(word, "check")) {
		do_check(words);
	} else if (!strcmp(word, "silent")) {
		do_silent(words);
	} else if (!strcmp(word, "wait")) {
		do_wait(words[1]);
	} else if (!strcmp(word, "unmap")) {
		do_unmap(words[1]);
	} else if (!strcmp(word, "seal")) {
		do_seal(words[1]);
	} else if (!strcmp(word, "lost")) {
		do_lost(words[1]);
	} else if (!strcmp(word, "nocap")) {
		do_nocap(atoi(words[1]));
	} else if (!strcmp(word, "fail")) {
		fail_nth = (unsigned int)number(words[1]);
	} else if (!strcmp(word, "poke") || !strcmp(word, "peek")) {
		do_poke(words, !strcmp(word, "peek"));
	} else if ((s = socket_find(word))) {
		return do_send(s, words + 1);
	} else if (!words[2]) {
		die("there is no command or socket '%s'", word);
	} else if (!strcmp(word, "map")) {
		do_map(words);
	} else if (!strcmp(word, "quiet")) {
		do_quiet(words);
	} else if (!strcmp(word, "event")) {
		do_event(words);
	} else if (!strcmp(word, "set")) {
		do_set(words);
	} else if (!strcmp(word, "limit")) {
		limit.rlim_cur = limit.rlim_max = number(words[2]);
		setrlimit(RLIMIT_MEMLOCK, &limit);
	} else {
		die("there is no command or socket '%s'", word);
	}
	return 0;
}

static bool errno_listed(int err, const char *list)
{
	char name[32];

	while (*list) {
		size_t n = strcspn(list, ",");
		const char *is = strerrorname_np(err);

		snprintf(name, sizeof(name), "%.*s", (int)n, list);
		if (is && !strcmp(is, name))
			return true;
		list += n + (list[n] == ',');
	}
	return false;
}

static void line_run(char *line)
{
	char *words[600] = { 0 };
	char *copy, *rest, *want = NULL;
	struct facts before, after;
	unsigned int n = 0;
	bool silent = false;
	int err;

	line += strspn(line, " \t");
	if (!*line || *line == '#')
		return;
	if (*line == '!') {
		want = line + 1;
		silent = *want == '?';
		want += silent;
		line += strcspn(line, " \t");
		*line++ = '\0';
		line += strspn(line, " \t");
	}
	copy = strdup(line);
	rest = line + strcspn(line, " \t");
	rest += strspn(rest, " \t");
	for (char *word = strtok(copy, " \t"); word; word = strtok(NULL, " \t")) {
		if (n == 599)
			die("too many words");
		words[n++] = word;
	}
	printf("# %s%s%s%s\n", want ? "!" : "", want ? want : "", want ? " " : "", line);
	if (!want) {
		err = do_line(words, rest);
		if (err)
			die("%s: %s (%s)", line, strerrorname_np(-err), text);
	} else {
		facts_get(&before);
		err = do_line(words, rest);
		if (!err)
			die("this should have been refused: %s", line);
		printf("#    %s: %s\n", strerrorname_np(-err), text);
		if (!errno_listed(-err, want))
			die("refused with %s (%s), not %s", strerrorname_np(-err), text, want);
		if (!text[0] && !silent)
			die("refused with %s, but without a word", strerrorname_np(-err));
		facts_get(&after);
		facts_compare(&before, &after);
	}
	free(copy);
}

int main(void)
{
	const char *slow = getenv("TEST_SLOW");
	char *line = NULL;
	size_t room = 0;
	ssize_t got;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (slow && atoi(slow) > 1)
		patience *= atoi(slow);
	buffer = malloc(BUFFER);
	look = socket_open(" ");
	family_find();
	while ((got = getline(&line, &room, stdin)) > 0) {
		line_number++;
		if (line[got - 1] == '\n')
			line[got - 1] = '\0';
		line_run(line);
	}
	free(line);
	if (failures)
		printf("# %u allocations have failed\n", failures);
	return 0;
}
