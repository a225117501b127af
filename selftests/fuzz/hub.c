// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * r3map receive and r3map hub, as they are run, with senders that say anything at any time, and a
 * hub's receivers that do so as well. Whatever a sender says: no byte lies where it was not written
 * to, nothing outside of the folder is touched, a sender never has more credit than it began with,
 * each OPEN has an answer, and what is committed is the root of what is in the file then. What is
 * at rest and is committed rightly is not said to differ. In the end nothing is left open, and an
 * error has a sentence.
 *
 * Input: which of both, and its options; then a script of what is said, and what the pool does.
 */
#define _GNU_SOURCE
#include "fuzz.h"
#include "sync.h"
#include "sync-receiver.h"

#include "sync/hub.h"
#include "sync/marks.h"
#include "sync/receive.h"

#define SENDERS		2u		/* connections 0 and 1; 2 and 3 are a hub's receivers */
#define WINDOW_MAX	(8u << 20)	/* of credit beyond two chunks, for one stream */
#define MEMORY		(32u << 10)	/* of hash tables: a region of REGION_MOST has enough, two have not */
/* A write for each stream, and parts of the scans of those that were opened. */
#define JOBS_MOST	(2 * SENDERS * STREAMS_MAX)

static struct input script;
static bool hub, once, tainted, signalled, at_rest;
static bool all;			/* of the pool's jobs are to be done */
static int64_t window;
static unsigned int hub_hash;
static uint32_t connected;		/* once each, as bits */

/* --- what is in the files ------------------------------------------------------------------ */

static const char *place_of(unsigned int name)
{
	return name == NAME_DISK && !hub ? path_of("disk", "") : path_of("dir", names[name]);
}

static void words_write(const char *path, unsigned int name, uint64_t size)
{
	static char words[REGION_MOST];
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	CLAIM(fd >= 0);
	for (uint64_t at = 0; at < size; at += CHUNK)
		words_fill(words + at, CHUNK, name, at / CHUNK, 0xfe);
	CLAIM(write(fd, words, size) == (ssize_t)size);
	close(fd);
}

static void folder_make(bool marked)
{
	struct error error = { 0 };
	int fd;

	CLAIM(!mkdir(path_of("dir", ""), 0700) && !mkdir(path_of("outside", ""), 0700));
	CLAIM(!symlink("../outside", path_of("dir", "link")));
	words_write(path_of("outside", "x"), NAME_LINK, 16);
	words_write(path_of("dir", "b"), 1, 6 * CHUNK + 8);
	words_write(path_of("disk", ""), NAME_DISK, 3 * CHUNK);
	if (!marked)
		return;
	fd = open(path_of("dir", ""), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLAIM(fd >= 0 && !mark_set(fd, "b", false, &error));
	close(fd);
}

static void folder_look(void)
{
	const uint64_t canary[2] = { word_of(NAME_LINK, 0, 0xfe), word_of(NAME_LINK, 0, 0xfe) };
	char *bytes;

	CLAIM(file_read(path_of("outside", "x"), &bytes) == sizeof(canary));
	CLAIM(!memcmp(bytes, canary, sizeof(canary)));
	for (unsigned int i = 0; i < FILES && !tainted; i++) {
		ssize_t got = file_read(place_of(i), &bytes);

		if (i != NAME_LINK && got > 0)
			words_look(bytes, (size_t)got, i, 0);
	}
	tree_remove(path_of("dir", ""));
	tree_remove(path_of("outside", ""));
	unlink(path_of("disk", ""));
}

/* --- what they say ------------------------------------------------------------------------- */

/* What a hub sends on are words of that place, too. */
static void data_look(const struct said *said, const struct sync_message *m)
{
	if (m->type == SYNC_DATA && said->name < FILES && !tainted)
		words_look(m->data.bytes, m->data.length, said->name, m->data.offset);
}

static void commit_look(const struct conn *conn, const struct said *said)
{
	(void)conn;
	(void)said;
}

/* The root of what is in the file now. False: it is not there, or too large to look. */
static bool root_now(const struct conn *conn, unsigned int name, uint64_t *size,
		     unsigned char root[SYNC_ROOT])
{
	char *bytes;
	ssize_t got = file_read(place_of(name), &bytes);

	if (got < 0)
		return false;
	content_root(conn->hash, conn->chunk, bytes, (size_t)got, root);
	*size = (uint64_t)got;
	return true;
}

static void committed_look(const struct conn *conn, struct said *said)
{
	unsigned char root[SYNC_ROOT];
	uint64_t size;

	CLAIM(said->committing);
	said->committing--;
	if (!said->stale && !said->closed && root_now(conn, said->name, &size, root))
		CLAIM(!memcmp(root, conn->m.commit.root, SYNC_ROOT));
}

static void opened_look(const struct conn *conn, struct said *said)
{
	const int64_t least = 2 * (conn->chunk + SYNC_HEADER + SYNC_DATA_HEAD);
	int64_t given = 0;

	CLAIM(!said->opened);
	said->opened = true;
	said->window = conn->m.opened.credit;
	said->credit += said->window;	/* some may have been spent already, if this was heard late */
	CLAIM(said->window >= least && said->window <= least + WINDOW_MAX);
	for (unsigned int i = 0; i < conn->count; i++)
		if (conn->said[i].opened && !conn->said[i].closed && !conn->said[i].failed)
			given += conn->said[i].window - least;
	CLAIM(given <= window);
	CLAIM(said->size / conn->chunk * SYNC_ROOT <= MEMORY);
}

/* Of a receiver, and of streams whose names we know. */
static void receiver_look(struct conn *conn)
{
	const struct sync_message *m = &conn->m;
	struct said *said = m->stream ? said_find(conn, m->stream) : NULL;
	uint32_t bytes;

	if (m->type == SYNC_ROUND || m->type == SYNC_END) {
		CLAIM(!m->stream);
		return;
	}
	if (!said)
		CLAIM(conn->garbled);
	if (!said || conn->garbled)
		return;
	CLAIM(!said->failed);
	switch (m->type) {
	case SYNC_OPENED:
		opened_look(conn, said);
		return;
	case SYNC_ERROR:
		CLAIM(m->error.text[0]);
		said->failed = true;
		return;
	case SYNC_HASH_LIST:
		bytes = m->hashes.list == SYNC_STRONG ? SYNC_ROOT : sync_hash_bytes(conn->hash);
		CLAIM(said->opened && m->hashes.bytes % bytes == 0);
		return;
	case SYNC_CREDIT:
		said->credit += m->credit;
		CLAIM(said->opened && said->credit <= said->window);
		return;
	case SYNC_DIFFERS:
		CLAIM(said->committing && !said->sure);
		said->committing--;
		return;
	case SYNC_COMMITTED:
		committed_look(conn, said);
		return;
	default:
		CLAIM(!"it is for a sender");
	}
}

static void message_look(struct conn *conn)
{
	if (conn->sender)
		receiver_look(conn);
	else
		sender_look(conn);
}

/* --- what we say as a sender --------------------------------------------------------------- */

static const uint64_t sizes[] = {
	0, CHUNK, 8, CHUNK + 8, 3 * CHUNK, 20 * CHUNK + 16, 7, 2 * CHUNK - 1,
	REGION_MOST, 1, 5 * CHUNK, (uint64_t)1 << 40, INT64_MAX, 6 * CHUNK + 8, 17 * CHUNK, 2 * CHUNK,
};

static void open_say(struct conn *conn, struct input *in)
{
	uint8_t which = input8(in), size = input8(in);
	struct sync_message m = { .type = SYNC_OPEN, .stream = conn->numbered + 1 + (size >> 6) };
	struct said *said = &conn->said[conn->count];

	if (conn->count == STREAMS_MAX)
		return;
	m.open.kind = SYNC_FILE;
	m.open.mode = 0644;
	m.open.size = sizes[size & 15];
	strcpy(m.open.name, which & 0x80 ? MARKS_FOLDER "/x" : names[which % FILES]);
	conn->numbered = m.stream;
	*said = (struct said) {
		.number = m.stream, .name = which % FILES, .size = m.open.size,
		.stale = which & 0x80 || conn->deaf,
	};
	conn->count++;
	message_say(conn, &m);
}

static void data_say(struct conn *conn, struct said *said, uint8_t at, uint8_t how)
{
	static char bytes[SYNC_CHUNK_MAX];
	struct sync_message m = { .type = SYNC_DATA, .stream = said->number };
	const uint32_t chunk = conn->chunk >= CHUNK && conn->chunk <= SYNC_CHUNK_MAX ? conn->chunk : CHUNK;

	m.data.offset = (uint64_t)at * chunk;
	m.data.length = chunk;
	if (m.data.offset < said->size && said->size - m.data.offset < chunk)
		m.data.length = (uint32_t)(said->size - m.data.offset);
	if (how == 0xff)
		m.data.length = chunk / 2;
	for (uint32_t from = 0; from < m.data.length; from += CHUNK)
		words_fill(bytes + from, CHUNK, said->name, (m.data.offset + from) / CHUNK, how);
	m.data.bytes = bytes;
	said->credit -= sync_cost(&m);
	message_say(conn, &m);
}

static void commit_say(struct conn *conn, struct said *said, bool right)
{
	struct sync_message m = { .type = SYNC_COMMIT, .stream = said->number };
	const int64_t cost = sync_cost(&m);
	uint64_t size = said->size;

	if (right)
		right = root_now(conn, said->name, &size, m.commit.root);
	m.commit.size = size;
	said->sure = right && at_rest && said->opened && !said->closed && !said->failed && !conn->garbled &&
		     !said->stale && size == said->size && cost <= said->credit;
	said->committing++;
	said->credit -= sync_cost(&m);
	message_say(conn, &m);
}

static void want_say(struct conn *conn, const struct said *said, struct input *in)
{
	struct sync_message m = { .type = SYNC_WANT, .stream = said->number };
	uint8_t what = input8(in);

	m.want.list = what & 1 ? SYNC_STRONG : SYNC_CHUNKS;
	m.want.count = 1 + (what >> 1 & 3);
	for (unsigned int i = 0; i < m.want.count; i++)
		m.want.range[i] = (struct sync_range) { input8(in) & 7, 1 + (what >> 4) };
	message_say(conn, &m);
}

static void sender_step(struct conn *conn, unsigned int code, struct input *in)
{
	struct said *said = code < 7 ? said_pick(conn, input8(in)) : NULL;
	struct sync_message m = { 0 };
	uint8_t at;

	if (code < 7 && !said)
		return;
	switch (code) {
	case 0:
		at = input8(in);
		data_say(conn, said, at, input8(in));
		return;
	case 1:
		m.type = SYNC_ZERO;
		m.stream = said->number;
		m.zero.offset = (uint64_t)input8(in) * conn->chunk;
		m.zero.length = (uint64_t)(1 + input8(in)) * conn->chunk;
		if (m.zero.offset < said->size && m.zero.length > said->size - m.zero.offset)
			m.zero.length = said->size - m.zero.offset;
		if (!m.zero.length)
			return;
		said->credit -= sync_cost(&m);
		break;
	case 2:
		m.type = SYNC_RESIZE;
		m.stream = said->number;
		m.commit.size = said->size = sizes[input8(in) & 15];
		said->credit -= sync_cost(&m);
		break;
	case 3:
	case 4:
		commit_say(conn, said, code == 3);
		return;
	case 5:
		want_say(conn, said, in);
		return;
	case 6:
		m.type = SYNC_CLOSE;
		m.stream = said->number;
		said->closed = true;
		break;
	case 7:
		open_say(conn, in);
		return;
	case 8:
		m.type = SYNC_REMOVE;
		strcpy(m.open.name, names[input8(in) % FILES]);
		break;
	case 9:
		m.type = SYNC_ROUND;
		m.round = 1 + input8(in);
		break;
	case 10:
		m.type = SYNC_END;
		break;
	case 11:
		m.type = SYNC_ERROR;
		m.stream = input8(in);
		m.error.code = -EIO;
		strcpy(m.error.text, "it does not go");
		break;
	case 12:
		m.type = SYNC_ALIVE;
		break;
	case 13:
		tainted = true;
		form_say(conn, in);
		return;
	default:
		tainted = true;
		garbage_say(conn, in);
		return;
	}
	message_say(conn, &m);
}

/* --- the script ---------------------------------------------------------------------------- */

static void connect_to(struct conn *conn, const char *path, bool sender, uint8_t how)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	strcpy(address.sun_path, path);
	conn->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	CLAIM(conn->fd >= 0);
	if (connect(conn->fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		conn_close(conn);	/* it has ended */
		return;
	}
	conn->sender = sender;
	conn->ours = (struct sync_hello) {
		.version_min = SYNC_VERSION, .version_max = SYNC_VERSION,
		.role = sender ? SYNC_SENDER : SYNC_RECEIVER, .chunk = sender ? CHUNK << (how & 1) : 0,
		.streams = sender ? 0 : 1 + (how >> 1 & 7),
		.hashes = { SYNC_XXH3, SYNC_CRC32C, SYNC_BLAKE2 },
	};
	if (hub)
		conn->ours.hashes[0] = (uint8_t)(hub_hash + 1);
	if (how < 0xf0)
		hello_say(conn);
	else
		conn->garbled = tainted = true;
}

static void conn_step(unsigned int which, unsigned int code)
{
	struct conn *conn = &conns[which];
	const bool sender = which < SENDERS;

	if (conn->fd < 0) {
		if ((sender || hub) && !(connected & 1u << which)) {
			connected |= 1u << which;
			connect_to(conn, path_of(sender ? "s" : "r", ""), sender, input8(&script));
		}
		return;
	}
	if (code == 15)
		conn_close(conn);
	else if (sender)
		sender_step(conn, code, &script);
	else
		receiver_step(conn, code, &script);
}

static void stale_mark(void)
{
	for (unsigned int i = 0; i < SENDERS; i++)
		for (unsigned int k = 0; k < conns[i].count; k++) {
			conns[i].said[k].stale = true;
			conns[i].said[k].sure = false;
		}
}

static void pool_step(unsigned int code)
{
	switch (code) {
	case 0 ... 3:
		if (job_count)
			job_run();
		break;
	case 4 ... 7:
		if (ran_count)
			job_done(code % ran_count);
		break;
	case 8 ... 10:
		all = true;
		break;
	case 11:
		stale_mark();	/* what is said then is heard late */
		conns[input8(&script) % CONNS].deaf ^= true;
		break;
	case 12:
		piece = input8(&script) & 0x1f;
		break;
	default:
		if (input8(&script) == 0xc1 && !signalled) {
			signalled = true;
			raise(SIGTERM);
		}
	}
}

static bool script_step(void)
{
	uint8_t code;

	at_rest = !job_count && !ran_count;
	CLAIM(job_count + ran_count <= JOBS_MOST);
	if (all) {
		if (job_count)
			job_run();
		else if (ran_count)
			job_done(0);
		all = job_count || ran_count;
		return true;
	}
	if (!script.left)
		return false;
	code = input8(&script);
	if ((code & 0x70) == 0x70)
		pool_step(code & 0xf);
	else
		conn_step(code >> 4 & 3, code & 0xf);
	return true;
}

/* Who has had no answer by now gets none. */
static void answers_look(const struct conn *conn)
{
	if (conn->fd < 0 || conn->over || conn->garbled || !conn->greeting)
		return;
	for (unsigned int i = 0; i < conn->count; i++) {
		const struct said *said = &conn->said[i];

		CLAIM(said->opened || said->failed || said->closed);
		CLAIM(!said->committing || !said->sure || said->failed || said->closed);
	}
}

static void script_end(void)
{
	for (unsigned int i = 0; i < SENDERS; i++)
		answers_look(&conns[i]);
	if (!signalled)
		raise(SIGTERM);
	signalled = true;
}

static bool keep, durable;

static int end_under_test(struct error *error)
{
	static char listen[PATH_LENGTH + 8], offer[PATH_LENGTH + 8], disk[PATH_LENGTH + 8], folder[PATH_LENGTH];
	const struct opt_list at = { .count = 1, .items = { listen } };
	const struct opt_list to = { .count = 1, .items = { offer } };
	const struct opt_list devices = { .count = 1, .items = { disk } };
	const struct wire_limits limits = { .handshake = 600000, .idle = 600000 };

	snprintf(listen, sizeof(listen), "unix:%s", path_of("s", ""));
	snprintf(offer, sizeof(offer), "unix:%s", path_of("r", ""));
	snprintf(disk, sizeof(disk), "disk=%s", path_of("disk", ""));
	strcpy(folder, path_of("dir", ""));
	if (hub)
		return hub_run(&(struct hub_options) {
			.listen = at, .offer = to, .hash = (int)hub_hash, .chunk = CHUNK,
			.keep = keep, .durable = durable, .json = keep, .connections = 4,
			.memory = MEMORY, .window = (uint64_t)window, .limits = limits,
		}, folder, error);
	return receive_run(&(struct receive_options) {
		.listen = at, .devices = devices, .once = once, .keep = keep,
		.durable = durable, .json = keep, .connections = 4, .memory = MEMORY,
		.window = (uint64_t)window, .limits = limits,
	}, folder, error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned int hashes[] = { SYNC_XXH3 - 1, SYNC_CRC32C - 1, SYNC_BLAKE2 - 1 };
	uint8_t how;

	script = (struct input) { data, size };
	how = input8(&script);
	if (!*base)
		base_make();
	hub = how & 1;
	window = how & 2 ? 0 : 1 << 20;
	once = how & 4;
	keep = how & 8;
	durable = how & 0x10;
	hub_hash = hashes[(how >> 5) % 3];
	tainted = signalled = all = false;
	connected = 0;
	folder_make(once);
	end_run(end_under_test);
	folder_look();
	return 0;
}
