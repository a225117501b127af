// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The messages of userfaultfd: whatever a peer sends is one or none, and what was taken says the
 * same when it is written and taken once more; regions that were checked fit the backend, and do
 * not overlap.
 *
 * Input: the backend's pages, then a packet.
 */
#include "fuzz.h"

#include "uffd/message.h"

static struct uffd_message m, back;
static char buf[UFFD_MESSAGE_MAX];

static void regions_claim(const struct uffd_hello *hello)
{
	const uint64_t size = uffd_round(hello->size, hello->page);
	struct error error = { 0 };
	unsigned int count = uffd_descriptors(&m, hello);

	CLAIM(count == 1 || count == 2);
	if (uffd_regions_check(&m, hello, &error)) {
		CLAIM(*error.text);
		return;
	}
	for (unsigned int i = 0; i < m.regions.count; i++) {
		const struct uffd_region *a = &m.regions.list[i];

		CLAIM(a->length && a->offset + a->length <= size);
		CLAIM(!((a->address | a->length | a->offset) % hello->page));
		for (unsigned int j = 0; j < i; j++)
			CLAIM(m.regions.list[j].offset + m.regions.list[j].length <= a->offset ||
			      a->offset + a->length <= m.regions.list[j].offset);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { .at = data, .left = size };
	const struct uffd_hello hello = {
		.size = 1 + 4096ull * input16(&in), .page = 4096, .chunk = 4096,
	};
	size_t used;
	char *packet;

	packet = bytes_copy(in.at, in.left);
	if (uffd_decode(packet, in.left, &m)) {
		used = uffd_encode(&m, buf);
		CLAIM(used == in.left);
		CLAIM(uffd_decode(buf, used, &back));
		CLAIM(back.type == m.type);
		/* Cleaned texts change once. */
		CLAIM(m.type == UFFD_ERROR || m.type == UFFD_SYNCED || !memcmp(buf, packet, used));
		if (m.type == UFFD_REGISTER)
			regions_claim(&hello);
	}
	free(packet);
	return 0;
}
