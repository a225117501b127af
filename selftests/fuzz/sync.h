/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whole ends of delta synchronisation, r3map send, receive and hub as they are run, in this one
 * thread: the target plays their pool, so that a script says when a job is done and in which
 * order, and is called in their loop, where it plays whoever is at the other end of their sockets.
 *
 * Each step of a script is followed by as many rounds of the loop as it takes until nothing comes
 * any more. So what is said by an end is looked at before anything else happens.
 *
 * Included by exactly one file of a program, so everything is static but the pool.
 */
#ifndef R3MAP_FUZZ_SYNC_H
#define R3MAP_FUZZ_SYNC_H

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/loop.h"
#include "sync/hash.h"
#include "sync/pool.h"

#define CHUNK		4096u
#define HELD_MAX	256u
#define STREAMS_MAX	64u		/* that are remembered; a script opens no more */
#define REGION_MOST	(1u << 20)	/* bytes of a region that is not refused */
#define QUIET		4u		/* rounds of the loop without a word: it waits for us */
#define TICKS_MAX	200000u		/* rounds of a script, after which it is stuck */
#define FILES		6u
#define PATH_LENGTH	80u		/* bytes of a path to one of them, at most */

/* --- the pool ------------------------------------------------------------------------------ */

static struct pool the_pool = { .threads = 1 };
static char scratch[POOL_SCRATCH];
static struct pool_job *jobs[HELD_MAX], *ran[HELD_MAX];	/* to be run; to be told that they are done */
static unsigned int job_count, ran_count;
static struct loop *loop;		/* of the end under test */
static struct loop_task driver;

static void drive(struct loop_task *task);

int pool_new(struct loop *of, unsigned int threads, struct pool **pool, struct error *error)
{
	(void)threads;
	(void)error;
	loop = of;
	driver = (struct loop_task) { .run = drive };
	loop_task_queue(loop, &driver);
	*pool = &the_pool;
	return 0;
}

void pool_submit(struct pool *pool, struct pool_job *job)
{
	CLAIM(job_count < HELD_MAX);
	job->pool = pool;
	jobs[job_count++] = job;
}

static void job_run(void)
{
	struct pool_job *job = jobs[0];

	CLAIM(ran_count < HELD_MAX);
	memmove(jobs, jobs + 1, --job_count * sizeof(jobs[0]));
	job->run(job, scratch);
	ran[ran_count++] = job;
}

static void job_done(unsigned int which)
{
	struct pool_job *job = ran[which];

	memmove(&ran[which], &ran[which + 1], (--ran_count - which) * sizeof(ran[0]));
	job->done(job);
}

void pool_free(struct pool *pool)
{
	(void)pool;
	while (job_count)
		ran[ran_count++] = jobs[--job_count];
	while (ran_count)
		if (ran[--ran_count]->drop)
			ran[ran_count]->drop(ran[ran_count]);
	if (loop)
		loop_task_cancel(loop, &driver);
	loop = NULL;
}

/* --- files --------------------------------------------------------------------------------- */

/* Of these a script makes regions. The end that has a folder has these names there. */
static const char *const names[FILES] = { "a", "b", "d/c", "d/e", "link/x", "disk" };

#define NAME_LINK	4u		/* leads out of the folder */
#define NAME_DISK	5u		/* --device of r3map receive */

static char base[48];			/* a folder of this process */

static UNUSED char *path_of(const char *folder, const char *name)
{
	static char path[PATH_LENGTH];

	snprintf(path, sizeof(path), "%s/%.8s%s%.8s", base, folder, *folder && *name ? "/" : "", name);
	return path;
}

static int path_remove(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

static void tree_remove(const char *path)
{
	nftw(path, path_remove, 8, FTW_DEPTH | FTW_PHYS);
}

static void base_remove(void)
{
	tree_remove(base);
}

/* Once: a folder in memory, if there is such a thing, for what the ends need to have by path. */
static void base_make(void)
{
	snprintf(base, sizeof(base), "%s/r3map-fuzz.XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	CLAIM(mkdtemp(base));
	atexit(base_remove);
	log_watch();
}

/*
 * Eight bytes that tell where they belong: the region, the chunk, and which writing it was. So
 * whatever lies where it was not written to is seen.
 */
static uint64_t word_of(unsigned int name, uint64_t chunk, unsigned int version)
{
	return htobe64((uint64_t)(name + 1) << 48 | (chunk & 0xffffffff) << 16 | (version + 1));
}

static UNTRACED UNUSED void words_fill(char *bytes, uint32_t length, unsigned int name,
				       uint64_t chunk, unsigned int version)
{
	const uint64_t word = word_of(name, chunk, version);

	for (uint32_t at = 0; at < length; at += sizeof(word))
		memcpy(bytes + at, &word, length - at < sizeof(word) ? length - at : sizeof(word));
}

/* These lie at @offset of region @name: each word of them is one of there, or zero. */
static UNTRACED UNUSED void words_look(const char *bytes, size_t length, unsigned int name,
				       uint64_t offset)
{
	uint64_t word;

	for (size_t at = 0; at + sizeof(word) <= length; at += sizeof(word)) {
		memcpy(&word, bytes + at, sizeof(word));
		CLAIM(!word || be64toh(word) >> 16 ==
			       be64toh(word_of(name, (offset + at) / CHUNK, 0)) >> 16);
	}
}

/* All of a file, in memory that is the next call's, too. Negative: it is not there, or too large. */
static ssize_t file_read(const char *path, char **bytes)
{
	static char content[REGION_MOST + 1];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = -1;

	if (fd >= 0) {
		got = pread(fd, content, sizeof(content), 0);
		close(fd);
	}
	*bytes = content;
	return got > (ssize_t)REGION_MOST ? -1 : got;
}

/* The root of @bytes, worked out anew. */
static void content_root(unsigned int hash, uint32_t chunk, const char *bytes, size_t length,
			 unsigned char root[SYNC_ROOT])
{
	static unsigned char strong[REGION_MOST / SYNC_CHUNK_MIN * SYNC_ROOT];
	struct error error = { 0 };
	struct hashing hashing;
	uint64_t chunks = 0;

	CLAIM(!hashing_init(&hashing, (enum sync_hash)hash, chunk, &error));
	for (size_t at = 0; at < length; at += chunk)
		hashing_strong(&hashing, bytes + at, length - at < chunk ? length - at : chunk,
			       strong + chunks++ * SYNC_ROOT);
	hashing_root(&hashing, length, strong, chunks, root);
}

/* --- connections --------------------------------------------------------------------------- */

/* What we know of a stream, whichever end we play. */
struct said {
	uint32_t number;
	unsigned int name;		/* FILES: one that we did not make up */
	uint64_t size;
	bool opened, closed, failed;
	int64_t credit, window;		/* that the sender has; when nothing is under way */
	unsigned int committing;	/* COMMITs without an answer, that we have heard */
	bool agreed;			/* with the last COMMIT, that is */
	bool sure;			/* of it: it must be committed */
	bool stale;			/* what is heard of it is not of this moment */
	unsigned char root[SYNC_ROOT];	/* of COMMIT */
	uint64_t groups;		/* whose hashes were told */
	struct sync_range want;		/* the first of the last one */
	uint32_t list;			/* of it */
};

struct conn {
	int fd;				/* -1: it is closed */
	bool sender;			/* the part that we play */
	bool deaf;			/* we take nothing */
	bool garbled;			/* it was told what follows no form: who knows what that was */
	bool greeted, greeting;		/* its HELLO came; ours was said */
	bool over;			/* it has closed, or said that it will: ERROR */
	struct sync_hello ours, theirs;
	unsigned int hash;
	uint32_t chunk;
	struct said said[STREAMS_MAX];
	unsigned int count;
	uint32_t numbered;
	char *heard;
	size_t used, room;
	struct sync_message m;		/* the one that is looked at */
};

static size_t piece;			/* bytes of one send, 0: all at once */

/* The target's: @conn->m has come. */
static void message_look(struct conn *conn);
/* The target's: one step of its script. False: it is at its end. */
static bool script_step(void);
/* The target's: all is done that was begun. Whatever makes the end under test return. */
static void script_end(void);

static UNUSED struct said *said_find(struct conn *conn, uint32_t number)
{
	for (unsigned int i = 0; i < conn->count; i++)
		if (conn->said[i].number == number)
			return &conn->said[i];
	return NULL;
}

static UNUSED struct said *said_pick(struct conn *conn, uint8_t pick)
{
	return conn->count ? &conn->said[conn->count - 1 - pick % conn->count] : NULL;
}

static void conn_close(struct conn *conn)
{
	if (conn->fd >= 0)
		close(conn->fd);
	free(conn->heard);
	memset(conn, 0, sizeof(*conn));
	conn->fd = -1;
}

/* Both HELLOs are there: what is agreed on. */
static void conn_agree(struct conn *conn)
{
	const struct sync_hello *sender = conn->sender ? &conn->ours : &conn->theirs;
	const struct sync_hello *receiver = conn->sender ? &conn->theirs : &conn->ours;

	conn->hash = 0;
	for (unsigned int i = 0; i < SYNC_HASHES && sender->hashes[i] && !conn->hash; i++)
		if (memchr(receiver->hashes, sender->hashes[i], SYNC_HASHES))
			conn->hash = sender->hashes[i];
	conn->chunk = receiver->chunk ? receiver->chunk : sender->chunk;
}

/* A whole message is there. */
static void message_take(struct conn *conn)
{
	struct sync_message *m = &conn->m;

	CLAIM(conn->greeted != (m->type == SYNC_HELLO) || m->type == SYNC_ERROR);
	if (m->type == SYNC_HELLO) {
		conn->greeted = true;
		conn->theirs = m->hello;
		CLAIM(m->hello.role == (conn->sender ? SYNC_RECEIVER : SYNC_SENDER));
		conn_agree(conn);
	} else if (m->type == SYNC_ERROR && !m->stream) {
		CLAIM(m->error.text[0]);
		conn->over = true;
	} else if (m->type != SYNC_ALIVE) {
		message_look(conn);
	}
}

/* What of @conn->heard is whole messages is looked at. */
static void heard_look(struct conn *conn)
{
	uint32_t length;
	size_t at = 0;

	while (conn->used - at >= SYNC_HEADER) {
		char *payload;

		CLAIM(sync_decode_header(conn->heard + at, &conn->m, &length));
		if (conn->used - at - SYNC_HEADER < length)
			break;
		CLAIM(!conn->over);
		payload = bytes_copy((uint8_t *)conn->heard + at + SYNC_HEADER, length);
		at += SYNC_HEADER + length;
		CLAIM(sync_decode(payload, length, &conn->m));
		message_take(conn);
		free(payload);
	}
	conn->used -= at;
	memmove(conn->heard, conn->heard + at, conn->used);
}

/* Returns whether there was something. */
static bool conn_hear(struct conn *conn)
{
	ssize_t got;

	if (conn->fd < 0 || conn->deaf)
		return false;
	if (conn->room - conn->used < 65536) {
		conn->room = conn->used + 131072;
		conn->heard = realloc(conn->heard, conn->room);
		CLAIM(conn->heard);
	}
	got = recv(conn->fd, conn->heard + conn->used, conn->room - conn->used, MSG_DONTWAIT);
	if (got < 0 && errno == EAGAIN)
		return false;
	if (got <= 0) {
		conn_close(conn);
		return true;
	}
	conn->used += (size_t)got;
	heard_look(conn);
	return true;
}

/* What does not fit into the socket is lost, and so is the connection. */
static void conn_say(struct conn *conn, const void *data, size_t length)
{
	const char *at = data;

	while (length && conn->fd >= 0) {
		size_t some = piece && piece < length ? piece : length;
		ssize_t took = send(conn->fd, at, some, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (took <= 0) {
			shutdown(conn->fd, SHUT_WR);
			conn->garbled = true;
			return;
		}
		at += took;
		length -= (size_t)took;
	}
}

static UNUSED void message_say(struct conn *conn, const struct sync_message *m)
{
	size_t used = sync_encoded(m);
	char *out = malloc(used + (m->type == SYNC_DATA ? m->data.length : 0));

	CLAIM(out);
	sync_encode(m, out);
	if (m->type == SYNC_DATA) {
		memcpy(out + used, m->data.bytes, m->data.length);
		used += m->data.length;
	}
	conn_say(conn, out, used);
	free(out);
}

static UNUSED void hello_say(struct conn *conn)
{
	conn->greeting = true;
	conn_agree(conn);
	message_say(conn, &(struct sync_message) { .type = SYNC_HELLO, .hello = conn->ours });
}

/* Bytes of the script, as they are. */
static UNUSED void garbage_say(struct conn *conn, struct input *in)
{
	size_t got;
	const uint8_t *bytes = input_bytes(in, input8(in), &got);

	conn->garbled = true;
	conn_say(conn, bytes, got);
}

/* A message with a header in order, whatever it says. */
static UNUSED void form_say(struct conn *conn, struct input *in)
{
	uint8_t type = input8(in), stream = input8(in), length = input8(in);
	char head[SYNC_HEADER] = { 0, (char)type, 0, 0, 0, 0, 0, (char)stream, 0, 0, 0, (char)length };
	const uint8_t *bytes;
	size_t got;

	conn->garbled = true;
	bytes = input_bytes(in, length, &got);
	head[11] = (char)got;
	conn_say(conn, head, sizeof(head));
	conn_say(conn, bytes, got);
}

/* --- the run ------------------------------------------------------------------------------- */

#define CONNS	4u

static struct conn conns[CONNS];
static unsigned int quiet, ticks;
static enum { RUN_SCRIPT, RUN_DRAIN, RUN_END } run;

/* Called once in each round of the loop. */
static void drive(struct loop_task *task)
{
	bool heard = false;

	CLAIM(++ticks < TICKS_MAX);
	loop_task_queue(loop, task);
	for (unsigned int i = 0; i < CONNS; i++)
		heard |= conn_hear(&conns[i]);
	quiet = heard ? 0 : quiet + 1;
	if (quiet < QUIET)
		return;
	quiet = 0;
	if (run == RUN_SCRIPT && script_step())
		return;
	if (run == RUN_SCRIPT) {
		run = RUN_DRAIN;
		for (unsigned int i = 0; i < CONNS; i++)
			conns[i].deaf = false;
	} else if (job_count) {
		job_run();
	} else if (ran_count) {
		job_done(0);
	} else if (run == RUN_DRAIN) {
		run = RUN_END;
		script_end();
	}
}

/* Of descriptors: the same before and after, or some are left. */
static int lowest_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	CLAIM(fd >= 0);
	close(fd);
	return fd;
}

/* Runs an end of it with the script, and claims what must hold of its return. */
static int end_run(int (*end)(struct error *error))
{
	struct error error = { 0 };
	FILE *out = stdout;
	const int before = lowest_fd();
	int code;

	for (unsigned int i = 0; i < CONNS; i++)
		conns[i].fd = -1;
	piece = quiet = ticks = 0;
	run = RUN_SCRIPT;
	stdout = fopen("/dev/null", "w");
	CLAIM(stdout);
	code = end(&error);
	fclose(stdout);
	stdout = out;
	if (code < 0)
		error_look(&error, code);
	for (unsigned int i = 0; i < CONNS; i++)
		conn_close(&conns[i]);
	CLAIM(!job_count && !ran_count);
	CLAIM(lowest_fd() == before);
	return code;
}

#endif
