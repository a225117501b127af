// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Control links. See link.h.
 */
#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/uio.h>

#include "lib/error.h"
#include "lib/loop.h"
#include "migrate/dirty.h"
#include "migrate/link.h"
#include "nbd/inquiry.h"
#include "nbd/wait.h"
#include "tls/session.h"

int link_open(struct link *link, const struct nbd_uri *uri, struct tls_credentials *credentials,
	      uint64_t deadline, struct error *error)
{
	const struct nbd_wish wish = { .credentials = credentials };
	struct nbd_inquiry *inquiry;
	int code;

	link->lost = false;
	code = nbd_inquiry_open(uri, &wish, deadline, &inquiry, error);
	if (code)
		return code;
	code = nbd_inquiry_leave(inquiry, NBD_OPT_MIGRATE, MIGRATE_VERSION, uri->name,
				 &link->stream, error);
	if (code)
		nbd_inquiry_close(inquiry);
	if (code == -EOPNOTSUPP)
		return error_set(error, code, "this server is no seeder: start it with 'r3map seed', or mount it");
	return code;
}

void link_close(struct link *link)
{
	stream_bye(&link->stream);
	nbd_disconnect(&link->stream);
}

static int link_lost(struct link *link, int code, const char *doing, struct error *error)
{
	link->lost = true;
	if (code == -ETIMEDOUT)
		return error_set(error, -ETIMEDOUT, "the other end of the migration does not answer");
	if (code == -ECONNRESET)
		return error_set(error, -ECONNRESET, "the other end of the migration is gone");
	return error_set(error, code, "cannot %s the other end of the migration: %s", doing,
			 strerror(-code));
}

static int link_broken(struct link *link, struct error *error, const char *text)
{
	link->lost = true;
	return error_set(error, -EPROTO, "%s", text);
}

bool link_may_open(int code)
{
	switch (code) {
	case -ETIMEDOUT:
	case -ECONNRESET:
	case -ECONNREFUSED:
	case -ENOENT:		/* a socket that its server has not made yet */
	case -ENETUNREACH:
	case -EHOSTUNREACH:
	case -ECONNABORTED:
		return true;
	default:
		return false;
	}
}

int link_send(struct link *link, const struct migrate_message *message, uint64_t deadline,
	      struct error *error)
{
	size_t length = migrate_encode(message, link->buf);
	int code = nbd_send(&link->stream, link->buf, length, deadline);

	if (code)
		return link_lost(link, code, "tell", error);
	link->sent += length;
	return 0;
}

int link_receive(struct link *link, struct migrate_message *message, uint64_t deadline,
		 struct error *error)
{
	uint32_t length, head;
	int code;

	code = nbd_receive(&link->stream, link->buf, MIGRATE_HEADER, deadline);
	if (code)
		return link_lost(link, code, "hear", error);
	if (!migrate_decode_header(link->buf, message, &length))
		return link_broken(link, error, "what the other end sent is no message of a migration");
	head = message->type == MIGRATE_BITMAP && length > MIGRATE_BITMAP_HEAD ? MIGRATE_BITMAP_HEAD : length;
	code = nbd_receive(&link->stream, link->buf, head, deadline);
	if (code)
		return link_lost(link, code, "hear", error);
	link->received += MIGRATE_HEADER + length;
	if (!migrate_decode(link->buf, length, message, link->extents))
		return link_broken(link, error, "what the other end sent makes no sense");
	return 0;
}

/* Does this host have words as the wire does, with the least significant byte first? */
#define WORDS_FIT	(htole64(1) == 1)
#define PIECE		4096u	/* words of which it is decided as a whole how they are told */
#define BITMAP_MOST	(WORDS_FIT ? MIGRATE_WORDS_MAX : PIECE)

/* From one to the other. */
static void words_turn(uint64_t *words, size_t count)
{
	for (size_t i = 0; !WORDS_FIT && i < count; i++)
		words[i] = htole64(words[i]);
}

/* What was gathered in @link->extents. */
static int send_extents(struct link *link, unsigned int *count, bool more, uint64_t deadline,
			struct error *error)
{
	const struct migrate_message m = {
		.type = MIGRATE_EXTENTS,
		.more = more,
		.extents = { link->extents, *count },
	};

	*count = 0;
	return link_send(link, &m, deadline, error);
}

/*
 * What is in a file leaves as its pages, which saves a copy, and memory for it that the kernel clears first. Nobody
 * changes them before the other end has them; see session_take().
 */
static int send_file_words(struct link *link, const struct dirty *dirty, size_t word, struct iovec *head,
			   size_t length, uint64_t deadline)
{
	int code = nbd_send_all(&link->stream, head, 1, deadline);

	return code ? code : nbd_send_file(&link->stream, dirty->file, (off_t)(word * sizeof(*dirty->word)),
					   length, deadline);
}

/* They leave as they are, without a copy, where that is how the wire has them. */
static int send_bitmap(struct link *link, const struct dirty *dirty, size_t word, size_t words,
		       uint64_t deadline, struct error *error)
{
	struct migrate_message m = { .type = MIGRATE_BITMAP };
	struct iovec iov[2];
	size_t length;
	int code;

	m.bitmap.offset = 64ull * word * dirty->grain;
	m.bitmap.count = (unsigned int)words;
	length = migrate_encode(&m, link->buf);
	iov[0] = (struct iovec) { link->buf, length };
	iov[1] = (struct iovec) { dirty->word + word, words * sizeof(*dirty->word) };
	if (!WORDS_FIT) {
		iov[1].iov_base = link->buf + MIGRATE_PAYLOAD_MAX / 2;
		memcpy(iov[1].iov_base, dirty->word + word, iov[1].iov_len);
		words_turn(iov[1].iov_base, words);
	}
	length += iov[1].iov_len;
	if (WORDS_FIT && dirty->file >= 0 && !link->stream.tls)
		code = send_file_words(link, dirty, word, iov, iov[1].iov_len, deadline);
	else
		code = nbd_send_all(&link->stream, iov, 2, deadline);
	if (code)
		return link_lost(link, code, "tell", error);
	link->sent += length;
	return 0;
}

/* Some words, run by run: into @link->extents, where there are @count. */
static int send_runs(struct link *link, const struct dirty *dirty, size_t word, size_t words,
		     unsigned int *count, uint64_t deadline, struct error *error)
{
	uint64_t at = 64ull * word, end = 64ull * (word + words);
	int code = 0;

	while (!code && at < end) {
		if (*count == MIGRATE_EXTENTS_MAX)
			code = send_extents(link, count, true, deadline, error);
		*count += dirty_runs(dirty, &at, end, link->extents + *count,
				     MIGRATE_EXTENTS_MAX - *count);
	}
	return code;
}

/* Of one piece from @word on. */
static size_t words_piece(const struct dirty *dirty, size_t word)
{
	return dirty->words - word < PIECE ? dirty->words - word : PIECE;
}

/* Of all pieces from there on that are told as they are, up to one message; 0: the first is not. */
static size_t words_dense(const struct dirty *dirty, size_t word)
{
	size_t at = word;

	while (at < dirty->words && at - word + PIECE <= BITMAP_MOST &&
	       dirty_dense(dirty, at, words_piece(dirty, at)))
		at += words_piece(dirty, at);
	return at - word;
}

int link_send_dirty(struct link *link, const struct dirty *dirty, uint64_t deadline,
		    struct error *error)
{
	unsigned int count = 0;
	int code = 0;

	for (size_t word = 0, words; !code && word < dirty->words; word += words) {
		words = words_dense(dirty, word);
		if (words) {
			code = send_bitmap(link, dirty, word, words, deadline, error);
		} else {
			words = words_piece(dirty, word);
			code = send_runs(link, dirty, word, words, &count, deadline, error);
		}
	}
	return code ? code : send_extents(link, &count, false, deadline, error);
}

static bool receive_extents(struct dirty *dirty, const struct migrate_message *m)
{
	bool fine = m->type == MIGRATE_EXTENTS;

	for (unsigned int i = 0; fine && i < m->extents.count; i++)
		fine = dirty_set(dirty, m->extents.list[i].offset, m->extents.list[i].length);
	return fine;
}

/* Into their place: nothing else of the list tells of the same. */
static int receive_bitmap(struct link *link, struct dirty *dirty, const struct migrate_message *m,
			  uint64_t deadline, struct error *error)
{
	const uint64_t each = 64ull * dirty->grain;
	uint64_t *words = NULL;
	int code;

	if (!(m->bitmap.offset % each))
		words = dirty_words(dirty, m->bitmap.offset / each, m->bitmap.count);
	if (!words)
		return link_broken(link, error, "what the other end says was written is not within the region");
	code = nbd_receive(&link->stream, words, m->bitmap.count * sizeof(*words), deadline);
	if (code)
		return link_lost(link, code, "hear", error);
	words_turn(words, m->bitmap.count);
	dirty_cut(dirty);
	return 0;
}

int link_receive_dirty(struct link *link, struct dirty *dirty, uint64_t deadline,
		       struct error *error)
{
	struct migrate_message m;
	int code;

	do {
		code = link_receive(link, &m, deadline, error);
		if (code)
			return code;
		if (m.type == MIGRATE_ERROR)
			return error_set(error, m.error.code, "%s", m.error.text);
		if (m.type == MIGRATE_BITMAP)
			code = receive_bitmap(link, dirty, &m, deadline, error);
		else if (!receive_extents(dirty, &m))
			code = link_broken(link, error, "what the other end says was written makes no sense");
		if (code)
			return code;
		if (loop_now() > deadline)
			return link_lost(link, -ETIMEDOUT, "hear", error);
	} while (m.type == MIGRATE_BITMAP || m.more);
	return 0;
}

int link_ask(struct link *link, struct migrate_message *message, enum migrate_type type,
	     uint64_t deadline, struct error *error)
{
	int code = link_send(link, message, deadline, error);

	if (!code)
		code = link_receive(link, message, deadline, error);
	if (code)
		return code;
	if (message->type == MIGRATE_ERROR)
		return error_set(error, message->error.code, "%s", message->error.text);
	if (message->type != type)
		return link_broken(link, error, "the other end answered with something else");
	return 0;
}
