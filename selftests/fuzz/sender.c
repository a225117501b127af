// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * r3map send, as it is run, and a receiver that says anything at any time, while its files are
 * written to: it never says more than it has credit for, nor what its files have not; memory is
 * bounded by the pool's jobs; it says that all is there only if the receiver has committed the
 * roots of all of it, and else what is wrong, in a sentence.
 *
 * Input: what its files are, and its options; then a script of what is said, what the pool does,
 * and what is written.
 */
#define _GNU_SOURCE
#include "fuzz.h"
#include "sync.h"
#include "sync-receiver.h"

#include "sync/send.h"

#define SOURCES	4u			/* files that it may have */
/* Batches for two threads, and parts of four scans. */
#define JOBS_MOST	(2 * 2 + 4 * 4 + 4)

static struct input script;
static struct send_options options;
static int listener;
static bool written;			/* files have been changed since they were made */
static bool signalled, accepted;
static unsigned int sources;		/* that were made */
static bool complete;			/* ROUND: of each of them the last COMMIT was said to be right */

static void source_write(unsigned int name, uint64_t size, uint64_t at, unsigned int version)
{
	char words[CHUNK];
	int fd = open(path_of("src", names[name]), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	CLAIM(fd >= 0);
	CLAIM(!ftruncate(fd, (off_t)size));
	for (uint64_t from = at & ~(uint64_t)(CHUNK - 1); from < size && from < at + 2 * CHUNK; from += CHUNK) {
		words_fill(words, CHUNK, name, from / CHUNK, version);
		CLAIM(pwrite(fd, words, size - from < CHUNK ? size - from : CHUNK, (off_t)from) > 0);
	}
	close(fd);
}

/* Whatever it reads, it reads of that place of that file. */
static void data_look(const struct said *said, const struct sync_message *m)
{
	if (m->type == SYNC_DATA && said->name < FILES)
		words_look(m->data.bytes, m->data.length, said->name, m->data.offset);
}

static void commit_look(const struct conn *conn, const struct said *said)
{
	unsigned char root[SYNC_ROOT];
	char *bytes;
	ssize_t got;

	if (written || said->name >= FILES)
		return;
	got = file_read(path_of("src", names[said->name]), &bytes);
	CLAIM(got == (ssize_t)said->size);
	content_root(conn->hash, conn->chunk, bytes, (size_t)got, root);
	CLAIM(!memcmp(root, said->root, SYNC_ROOT));
}

static void message_look(struct conn *conn)
{
	unsigned int count = 0;

	sender_look(conn);
	if (conn->m.type != SYNC_ROUND)
		return;
	for (unsigned int i = 0; i < conn->count; i++)
		count += conn->said[i].agreed;
	complete = count == sources;
}

static void source_step(void)
{
	static const uint32_t sizes[] = {
		0, 1, CHUNK, CHUNK + 8, 5 * CHUNK, 20 * CHUNK + 24, 3, 17 * CHUNK,
	};
	uint8_t which = input8(&script), how = input8(&script);
	unsigned int name = which % SOURCES;

	written = true;
	if (how == 0xff)
		unlink(path_of("src", names[name]));
	else
		source_write(name, sizes[how & 7], (uint64_t)(how >> 3) * CHUNK, which >> 2);
}

static bool script_step(void)
{
	struct conn *conn = &conns[0];
	uint8_t code;

	CLAIM(job_count + ran_count <= JOBS_MOST);
	if (!accepted) {	/* once: it would look for it again only after a while */
		accepted = true;
		conn->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		CLAIM(conn->fd >= 0);
		conn->ours = (struct sync_hello) {
			.version_min = SYNC_VERSION, .version_max = SYNC_VERSION,
			.role = SYNC_RECEIVER, .streams = 1 + input8(&script) % 8,
			.hashes = { SYNC_XXH3, SYNC_CRC32C, SYNC_BLAKE2 },
		};
		hello_say(conn);
		return true;
	}
	if (!script.left || conn->fd < 0)
		return false;
	code = input8(&script);
	switch (code >> 4 & 7) {
	case 0:
	case 1:
		receiver_step(conn, code & 0x1f, &script);
		break;
	case 2:
		if (conn->count)
			answer_say(conn, said_pick(conn, code & 0xf), input8(&script));
		break;
	case 3:
		if (job_count)
			job_run();
		break;
	case 4:
		if (ran_count)
			job_done(code % ran_count);
		break;
	case 5:
		while (ran_count || job_count)
			job_count ? job_run() : job_done(0);
		break;
	case 6:
		source_step();
		break;
	default:
		if (code == 0x7f && !signalled) {
			signalled = true;
			raise(SIGTERM);
		} else if (code == 0x7e) {
			usleep(1100);		/* the next round is due */
		} else if (code == 0x7d) {
			conn->deaf = !conn->deaf;
		} else {
			piece = code & 0xf;
		}
	}
	return true;
}

/* It has nobody to send to any more, and with an interval looks for one in vain. */
static void script_end(void)
{
	const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	conn_close(&conns[0]);
	CLAIM(dup2(null, listener) == listener);	/* its number stays in use */
	close(null);
	if (options.interval && !signalled)
		raise(SIGTERM);
	signalled = true;
}

static int send_end(struct error *error)
{
	static char folder[PATH_LENGTH + 1];
	char *paths[] = { folder };

	snprintf(folder, sizeof(folder), "%s/", path_of("src", ""));
	return send_run(&options, paths, 1, error);
}

static void listen_make(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	strcpy(address.sun_path, path_of("r", ""));
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	CLAIM(listener >= 0 && !bind(listener, (struct sockaddr *)&address, sizeof(address)));
	CLAIM(!listen(listener, 4));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t chunks[] = { 0, 1, 4, 18 };
	static char to[PATH_LENGTH + 8];
	uint8_t how, files;
	int code;

	script = (struct input) { data, size };
	how = input8(&script);
	files = input8(&script);
	if (!*base)
		base_make();
	written = signalled = accepted = complete = false;
	sources = 0;
	CLAIM(!mkdir(path_of("src", ""), 0700) && !mkdir(path_of("src", "d"), 0700));
	for (unsigned int i = 0; i < SOURCES; i++, files >>= 2)
		if (files & 3) {
			source_write(i, chunks[files & 3] * CHUNK + i * 8, i * CHUNK, 0);
			sources++;
		}
	listen_make();
	snprintf(to, sizeof(to), "unix:%s", path_of("r", ""));
	options = (struct send_options) {
		.to = to, .interval = how & 1, .hash = (how >> 1 & 3) - 1, .chunk = CHUNK << (how >> 3 & 1),
		.json = how & 0x10, .limits = { .handshake = 600000, .idle = 600000 },
	};
	code = end_run(send_end);
	CLAIM(code || written || options.interval || complete);
	close(listener);
	unlink(path_of("r", ""));
	tree_remove(path_of("src", ""));
	return 0;
}
