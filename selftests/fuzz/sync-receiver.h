/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A receiver that a script plays, for whatever sends to it: r3map send, or a hub. What it is sent
 * is looked at: no sender says more than it has credit for, before it may, or of what it has not
 * opened.
 *
 * Included behind sync.h by exactly one file of a program.
 */
#ifndef R3MAP_FUZZ_SYNC_RECEIVER_H
#define R3MAP_FUZZ_SYNC_RECEIVER_H

/* The target's: is this DATA, or ZERO, what the sender's file has? */
static void data_look(const struct said *said, const struct sync_message *m);
/* The target's: a COMMIT. */
static void commit_look(const struct conn *conn, const struct said *said);

static uint64_t groups_of(const struct conn *conn, uint64_t size)
{
	const uint64_t bytes = (uint64_t)conn->chunk * SYNC_GROUP;

	return size / bytes + (size % bytes != 0);
}

static void sender_opens(struct conn *conn)
{
	const struct sync_message *m = &conn->m;
	struct said *said = &conn->said[conn->count];
	unsigned int open = 0;

	CLAIM(m->stream > conn->numbered);
	conn->numbered = m->stream;
	for (unsigned int i = 0; i < conn->count; i++) {
		open += !conn->said[i].closed;
		CLAIM(conn->said[i].closed || conn->said[i].name == FILES ||
		      strcmp(m->open.name, names[conn->said[i].name]) != 0);
	}
	CLAIM(open < conn->ours.streams);
	if (conn->count == STREAMS_MAX) {	/* the oldest, which is closed, is forgotten */
		unsigned int i = 0;

		while (i < STREAMS_MAX && !conn->said[i].closed)
			i++;
		CLAIM(i < STREAMS_MAX);
		memmove(&conn->said[i], &conn->said[i + 1], (STREAMS_MAX - 1 - i) * sizeof(*said));
		said = &conn->said[--conn->count];
	}
	*said = (struct said) { .number = m->stream, .size = m->open.size };
	while (said->name < FILES && strcmp(m->open.name, names[said->name]) != 0)
		said->name++;
	conn->count++;
}

static void sender_wants(struct conn *conn, struct said *said)
{
	const struct sync_message *m = &conn->m;
	uint64_t before = 0;

	for (uint32_t i = 0; i < m->want.count; i++) {
		CLAIM(m->want.range[i].first >= before);
		before = m->want.range[i].first + m->want.range[i].count;
	}
	CLAIM(before <= groups_of(conn, said->size));
	said->want = m->want.range[0];
	said->list = m->want.list;
}

static void sender_pays(struct conn *conn, struct said *said)
{
	const uint32_t cost = sync_cost(&conn->m);

	CLAIM(!said->committing && !said->closed);
	CLAIM(cost <= said->credit);
	said->credit -= cost;
}

static void sender_look(struct conn *conn)
{
	const struct sync_message *m = &conn->m;
	struct said *said = m->stream ? said_find(conn, m->stream) : NULL;

	CLAIM(conn->greeting);
	switch (m->type) {
	case SYNC_OPEN:
		sender_opens(conn);
		return;
	case SYNC_REMOVE:
		CLAIM(!m->stream);
		return;
	case SYNC_ROUND:
	case SYNC_END:
		return;
	default:
		break;
	}
	CLAIM(said);
	/* Among the bytes that follow no form may have been an answer. */
	if (conn->garbled && m->type != SYNC_CLOSE)
		return;
	CLAIM(said->opened || m->type == SYNC_CLOSE);
	switch (m->type) {
	case SYNC_CLOSE:
		CLAIM(!said->closed);
		said->closed = true;
		return;
	case SYNC_WANT:
		sender_wants(conn, said);
		return;
	case SYNC_DATA:
		sender_pays(conn, said);
		CLAIM(m->data.offset % conn->chunk == 0 && m->data.offset < said->size);
		CLAIM(m->data.length == (said->size - m->data.offset < conn->chunk ?
					 said->size - m->data.offset : conn->chunk));
		data_look(said, m);
		return;
	case SYNC_ZERO:
		sender_pays(conn, said);
		CLAIM(m->zero.offset % conn->chunk == 0 && m->zero.offset < said->size);
		CLAIM(m->zero.length <= said->size - m->zero.offset);
		data_look(said, m);
		return;
	case SYNC_RESIZE:
		sender_pays(conn, said);
		said->size = m->commit.size;
		return;
	case SYNC_COMMIT:
		sender_pays(conn, said);
		CLAIM(m->commit.size == said->size);
		said->committing = 1;
		memcpy(said->root, m->commit.root, SYNC_ROOT);
		commit_look(conn, said);
		return;
	default:
		CLAIM(!"it is for a receiver");
	}
}

static void list_say(struct conn *conn, const struct said *said, uint32_t list, uint64_t first,
		     uint64_t count)
{
	static unsigned char hashes[SYNC_CONTROL_MAX];
	uint32_t bytes = list == SYNC_STRONG ? SYNC_ROOT : sync_hash_bytes(conn->hash);
	struct sync_message m = { .type = SYNC_HASH_LIST, .stream = said->number };

	if (!bytes || !count)
		return;
	if (count > (SYNC_CONTROL_MAX - 64) / bytes)
		count = (SYNC_CONTROL_MAX - 64) / bytes;
	m.hashes.list = list;
	m.hashes.first = first;
	m.hashes.hash = hashes;
	m.hashes.bytes = (uint32_t)count * bytes;
	message_say(conn, &m);
}

static void opened_say(struct conn *conn, struct said *said, uint32_t flags, uint32_t credit)
{
	struct sync_message m = { .type = SYNC_OPENED, .stream = said->number };

	m.opened.flags = flags;
	m.opened.credit = credit;
	said->opened = true;
	said->credit += credit;
	message_say(conn, &m);
}

static void credit_say(struct conn *conn, struct said *said, uint32_t credit)
{
	said->credit += credit;
	message_say(conn, &(struct sync_message) {
		.type = SYNC_CREDIT, .stream = said->number, .credit = credit });
}

/* COMMITTED or DIFFERS. */
static void verdict_say(struct conn *conn, struct said *said, enum sync_type type, bool right)
{
	struct sync_message m = { .type = type, .stream = said->number };

	if (right)
		memcpy(m.commit.root, said->root, SYNC_ROOT);
	said->committing = 0;
	said->agreed = type == SYNC_COMMITTED && right;
	message_say(conn, &m);
}

/* What a good receiver would say next, one whose files are other ones. @how: and what it may choose. */
static void answer_say(struct conn *conn, struct said *said, uint8_t how)
{
	uint64_t chunks;

	if (!said->opened) {
		opened_say(conn, said, how & 1 ? SYNC_OPENED_EMPTY : 0, 1u << (13 + how % 8));
		if (!(how & 1))
			list_say(conn, said, SYNC_GROUPS, 0, groups_of(conn, said->size));
	} else if (said->list) {
		chunks = said->size / conn->chunk + (said->size % conn->chunk != 0) -
			 said->want.first * SYNC_GROUP;
		if (chunks > said->want.count * SYNC_GROUP)
			chunks = said->want.count * SYNC_GROUP;
		list_say(conn, said, said->list, said->want.first * SYNC_GROUP, chunks);
		said->list = 0;
	} else if (said->committing) {
		verdict_say(conn, said, how & 1 ? SYNC_DIFFERS : SYNC_COMMITTED, true);
	} else {
		credit_say(conn, said, 1u << (9 + how % 10));
	}
}

/* One thing that a receiver says, and seldom should. @code: which. */
static void receiver_step(struct conn *conn, unsigned int code, struct input *in)
{
	struct said *said = said_pick(conn, input8(in));
	struct error error = { .code = -EIO, .text = "it does not go" };
	struct sync_message m = { 0 };

	if (!said && code < 8)
		return;
	switch (code) {
	case 0:
		answer_say(conn, said, input8(in));
		return;
	case 1:
		opened_say(conn, said, input8(in) & 1, input32(in));
		return;
	case 2:
		m.hashes.list = 1 + input8(in) % 3;
		m.hashes.first = input8(in);
		list_say(conn, said, m.hashes.list, m.hashes.first, input8(in));
		return;
	case 3:
		credit_say(conn, said, input32(in) | 1);
		return;
	case 4:
	case 5:
		verdict_say(conn, said, code == 4 ? SYNC_COMMITTED : SYNC_DIFFERS, input8(in) & 1);
		return;
	case 6:
		m.type = SYNC_ERROR;
		m.stream = said->number;
		m.error.code = error.code;
		strcpy(m.error.text, error.text);
		break;
	case 7:
		m.type = input8(in) & 1 ? SYNC_OPEN : SYNC_CLOSE;	/* is for a sender */
		m.stream = said->number;
		strcpy(m.open.name, "a");
		m.open.kind = SYNC_FILE;
		break;
	case 8:
		m.type = SYNC_ROUND;
		m.round = 1 + input8(in);
		break;
	case 9:
		m.type = SYNC_END;
		break;
	case 10:
		m.type = SYNC_ERROR;
		m.error.code = -EIO;
		strcpy(m.error.text, "all of it");
		break;
	case 11:
		form_say(conn, in);
		return;
	default:
		garbage_say(conn, in);
		return;
	}
	message_say(conn, &m);
}

#endif
