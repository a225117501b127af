// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The server's half of the handshake: whatever a client haggles, every option gets replies with its
 * own number and one that ends them, of a form that the client's own reader takes; bounds on how
 * many and how long options and names are hold; after a GO that was granted requests are served, by
 * another thread where the export belongs to one.
 *
 * Input: a byte for TLS and the sockets, then a script. In the phase of TLS and of requests what
 * is said goes to those; they have targets and libraries of their own.
 */
#define _GNU_SOURCE
#include "fuzz.h"
#include "server.h"

#include "nbd/option.h"

#define OPTIONS_MAX	64u

struct said {
	uint32_t option;
	uint32_t length;		/* of its data */
	size_t end;			/* where the next one begins */
	bool last;
};

static struct said said[OPTIONS_MAX];
static unsigned int said_count, said_answered;
static bool go_said;			/* what follows may be no option, but a bad request */
static size_t read_to;
static bool may_end;			/* what was sent is a reason to end the connection */
static bool half_closed;
static bool greeted, flags_read, zeroes;
static bool over;			/* the handshake; what follows is not looked at */
static bool last;	/* the end of the connection is an answer to what was sent */

/* EXPORT_NAME cannot be refused otherwise, and after STARTTLS nothing may come in the clear. */
static bool is_last(uint32_t option, uint32_t length)
{
	return option == NBD_OPT_EXPORT_NAME ||
	       (option == NBD_OPT_STARTTLS && server.tls != TLS_OFF && !length);
}

/* A client that asks about every export may say two options for each of them. */
static unsigned int options_most(void)
{
	return server.limits.options + 2 * server.exports.count;
}

/* Takes apart what was sent, as a server has to. */
static void sent_read(void)
{
	struct nbd_reader from;
	uint32_t option, length;

	while (!may_end && !last && read_to <= sent_used) {
		from = (struct nbd_reader) { .at = sent + read_to, .left = sent_used - read_to };
		if (!flags_read) {
			uint32_t flags = nbd_get32(&from);

			if (from.failed)
				return;
			flags_read = true;
			zeroes = !(flags & NBD_FLAG_NO_ZEROES);
			may_end = flags & ~3u;
			read_to += 4;
			continue;
		}
		if (from.left < sizeof(struct nbd_option_header))
			return;
		may_end = nbd_get64(&from) != NBD_IHAVEOPT;
		option = nbd_get32(&from);
		length = nbd_get32(&from);
		may_end |= length > SERVE_OPTION_SKIP ||
			   (option == NBD_OPT_EXPORT_NAME && length > SERVE_OPTION_MAX);
		if (may_end)
			return;
		if (said_count >= options_most()) {
			/* Those that end the haggling are not one too many. */
			if (from.left >= length)
				*(option == NBD_OPT_EXPORT_NAME || option == NBD_OPT_GO ||
				  option == NBD_OPT_STARTTLS || option == NBD_OPT_ABORT ?
				  &over : &may_end) = true;
			return;
		}
		read_to += sizeof(struct nbd_option_header) + length;
		last = is_last(option, length);
		go_said |= option == NBD_OPT_GO;
		said[said_count++] = (struct said) { option, length, read_to, last };
	}
}

static void data_look(uint32_t option, uint32_t type, struct nbd_reader *from)
{
	char text[NBD_MAX_STRING + 1];
	uint16_t info;

	switch (type) {
	case NBD_REP_ACK:
		CLAIM(!from->left);
		return;
	case NBD_REP_SERVER:
		CLAIM(option == NBD_OPT_LIST);
		nbd_get_string(from, text);
		break;
	case NBD_REP_INFO:
		CLAIM(option == NBD_OPT_GO || option == NBD_OPT_INFO);
		info = nbd_get16(from);
		if (info == NBD_INFO_EXPORT)
			CLAIM(nbd_get64(from) == REGION && nbd_get16(from) & NBD_FLAG_HAS_FLAGS);
		else if (info == NBD_INFO_BLOCK_SIZE)
			nbd_get(from, 12);
		else
			CLAIM(info == NBD_INFO_NAME || info == NBD_INFO_DESCRIPTION);
		CLAIM(info == NBD_INFO_NAME || info == NBD_INFO_DESCRIPTION || !from->left);
		break;
	case NBD_REP_META_CONTEXT:
		CLAIM(option == NBD_OPT_LIST_META_CONTEXT || option == NBD_OPT_SET_META_CONTEXT);
		nbd_get32(from);
		CLAIM(from->left == strlen(NBD_META_BASE_ALLOCATION));
		break;
	default:
		CLAIM(type & NBD_REP_ERROR);
		CLAIM(from->left && from->left < 200);
	}
	CLAIM(!from->failed);
}

/* Bytes of the export's name in an option that was answered; 0: it has none. */
static uint32_t name_said(const struct said *of)
{
	struct nbd_reader from = { .at = sent + of->end - of->length, .left = of->length };

	switch (of->option) {
	case NBD_OPT_EXPORT_NAME:
		return of->length;
	case NBD_OPT_INFO:
	case NBD_OPT_GO:
	case NBD_OPT_LIST_META_CONTEXT:
	case NBD_OPT_SET_META_CONTEXT:
		return nbd_get32(&from);
	default:
		return 0;
	}
}

/* One reply. Returns its bytes, 0 if it is not all there. */
static size_t reply_look(const char *at, size_t length)
{
	struct nbd_reader from = { .at = at, .left = length };
	uint32_t option, type, data;
	uint64_t magic;

	magic = nbd_get64(&from);
	option = nbd_get32(&from);
	type = nbd_get32(&from);
	data = nbd_get32(&from);
	if (from.failed || from.left < data)
		return 0;
	CLAIM(magic == NBD_REP_MAGIC);
	CLAIM(said_answered < said_count && option == said[said_answered].option);
	from.left = data;
	data_look(option, type, &from);
	if (type == NBD_REP_ACK || (type & NBD_REP_ERROR)) {
		const struct said *of = &said[said_answered++];
		bool long_name = name_said(of) > server.limits.name;

		CLAIM(!long_name || type != NBD_REP_ACK);
		CLAIM(type != NBD_REP_ERR_TOO_BIG || long_name || of->length > SERVE_OPTION_MAX);
		over = type == NBD_REP_ACK && (option == NBD_OPT_GO || option == NBD_OPT_ABORT ||
					       option == NBD_OPT_STARTTLS);
	}
	return sizeof(struct nbd_option_reply_header) + data;
}

static size_t answers_look(const char *from, size_t length)
{
	size_t at = 0, used;

	sent_read();
	if (!greeted) {
		struct nbd_reader greeting = { .at = from, .left = length };

		if (length < sizeof(struct nbd_greeting))
			return 0;
		CLAIM(nbd_get64(&greeting) == NBDMAGIC && nbd_get64(&greeting) == NBD_IHAVEOPT);
		greeted = true;
		at = sizeof(struct nbd_greeting);
	}
	while (!over) {
		if (said_answered < said_count &&
		    said[said_answered].option == NBD_OPT_EXPORT_NAME &&
		    server.tls != TLS_REQUIRE) {
			used = sizeof(struct nbd_export_name_reply) +
			       (zeroes ? NBD_EXPORT_NAME_ZEROES : 0);
			if (length - at < used)
				return at;
			CLAIM(name_said(&said[said_answered++]) <= server.limits.name);
			over = true;
		} else {
			used = reply_look(from + at, length - at);
			if (!used)
				return at;
		}
		at += used;
	}
	return length;
}

/* Data of an option: what a script puts together, with the right length or a wrong one. */
static void option_say(struct input *in)
{
	static const uint8_t numbers[] = { 1, 2, 3, 5, 6, 7, 7, 8, 9, 10, 10, 11, 4, 12, 99, 0 };
	static const char *const names[] = {
		"mem", "slow", "ro", "far", "", "none", "base:allocation", "base:",
	};
	static char packet[65536], filling[32768];
	struct nbd_writer to = { .buf = packet, .room = sizeof(packet) };
	uint8_t which = input8(in), code;
	size_t begin, got;
	const uint8_t *bytes;

	begin = nbd_option_begin(&to, numbers[which & 15]);
	while (in->left && !to.failed) {
		code = input8(in);
		switch (code & 7) {
		case 0:
			goto end;
		case 1:
			nbd_put16(&to, code >> 3);
			break;
		case 2:
			nbd_put32(&to, code >> 3);
			break;
		case 3:
			nbd_put_string(&to, names[code >> 3 & 7]);
			break;
		case 4:
			nbd_put(&to, names[code >> 3 & 7], strlen(names[code >> 3 & 7]));
			break;
		case 5:
			bytes = input_bytes(in, code >> 3, &got);
			nbd_put(&to, bytes, got);
			break;
		case 6:
			nbd_put32(&to, input32(in));
			break;
		default:
			memset(filling, input8(in) | 1, sizeof(filling));
			nbd_put(&to, filling, (size_t)1 << (code >> 3 & 15));
		}
	}
end:
	if (to.failed)
		return;
	nbd_option_end(&to, begin);
	if (which & 0x40)	/* the length is not what it seems */
		packet[begin + 15 - (which >> 4 & 3)] ^= (char)(1 << (which >> 4 & 3));
	client_say(packet, to.used);
}

static void script_run(struct input *in)
{
	static const char filling[4096];
	const uint8_t *bytes;
	uint32_t flags;
	size_t got;

	while (in->left && client_fd >= 0) {
		uint8_t code = input8(in);

		switch (code & 7) {
		case 0:
		case 1:
			option_say(in);
			break;
		case 2:
			flags = htobe32(code >> 3);
			client_say(&flags, sizeof(flags));
			break;
		case 3:
			bytes = input_bytes(in, input16(in), &got);
			client_say(bytes, got);
			break;
		case 4:
			piece = input8(in);
			break;
		case 5:
			client_hear_all();
			break;
		case 6:
			for (got = (size_t)1 << (code >> 3 & 7); got; got--)
				client_say(filling, sizeof(filling));
			break;
		default:
			if (code >> 3 == 1) {
				half_closed = true;
				shutdown(client_fd, SHUT_WR);
				in->left = 0;
			} else if (code >> 3 == 2) {
				client_close();
			} else {
				server_turn();
			}
		}
	}
}

static void end_look(void)
{
	struct peer *peer;
	unsigned int i, open = 0;

	do {
		client_hear_all();
		while (held_count)
			held_complete(0, 0);
		client_hear_all();
	} while (held_count);
	sent_read();
	if (over)
		return;
	peer = peer_of_client();
	CLAIM(greeted || may_end || half_closed);
	CLAIM(ended || peer);
	CLAIM(!may_end || ended);
	CLAIM(!ended || may_end || half_closed || last || go_said);
	for (i = said_answered; i < said_count; i++)
		open += said[i].end <= sent_used && !said[i].last;
	if (!ended || (!may_end && !last && !go_said && read_to == sent_used))
		CLAIM(!open);
	if (!ended) {
		CLAIM(peer->phase == PEER_OPTIONS && !peer->out.used && !peer->requests);
		CLAIM(!heard_used);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t how = input8(&in);
	struct peer *peer;

	if (!server.threads)
		server_make();
	CLAIM(options_most() <= OPTIONS_MAX);
	server.tls = (enum tls_mode)(how % 4 % 3);
	peer = client_connect(how & 4 ? 4096 : 0);
	said_count = said_answered = 0;
	read_to = 0;
	may_end = half_closed = greeted = flags_read = zeroes = over = last = go_said = false;
	if (how & 8)
		peer_start(peer, &threads[1]);
	else
		peer_start(peer, &threads[0]);
	if (how & 16) {		/* most inputs: the flags need not be found out */
		const uint32_t flags = htobe32(how >> 5 & 3);

		client_say(&flags, sizeof(flags));
	}
	script_run(&in);
	if (client_fd >= 0)
		end_look();
	client_gone();
	return 0;
}
