// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Things by name. See names.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "sync/names.h"

#define SLOTS	64u		/* of a new table, a power of two; a full one gets twice as many */

static uint64_t hash_of(const struct names *names, const char *name)
{
	return XXH3_64bits_withSeed(name, strlen(name), names->seed);
}

static struct name **slot_of(const struct names *names, uint64_t hash)
{
	return &names->slot[hash & (names->slots - 1)];
}

/* As many slots as names at least. */
static int names_grow(struct names *names)
{
	struct names larger = {
		.slots = names->slots ? 2 * names->slots : SLOTS, .count = names->count,
		.seed = names->seed,
	};

	/* Too little randomness at the start of a machine is no reason to wait. */
	if (!names->slots && getrandom(&larger.seed, sizeof(larger.seed), GRND_NONBLOCK) < 0)
		larger.seed = (uintptr_t)names;
	larger.slot = calloc(larger.slots, sizeof(*larger.slot));
	if (!larger.slot)
		return -ENOMEM;
	for (size_t i = 0; i < names->slots; i++) {
		struct name *name = names->slot[i], *next;

		for (; name; name = next) {
			struct name **slot = slot_of(&larger, name->hash);

			next = name->next;
			name->next = *slot;
			*slot = name;
		}
	}
	free(names->slot);
	*names = larger;
	return 0;
}

int names_add(struct names *names, struct name *name)
{
	struct name **slot;

	if (names->count == names->slots && names_grow(names))
		return -ENOMEM;
	name->hash = hash_of(names, name->name);
	slot = slot_of(names, name->hash);
	name->next = *slot;
	*slot = name;
	names->count++;
	return 0;
}

void names_remove(struct names *names, struct name *name)
{
	struct name **at = slot_of(names, name->hash);

	while (*at != name)
		at = &(*at)->next;
	*at = name->next;
	names->count--;
}

/* @at, or the first one behind it that has this name. */
static struct name *chain_find(struct name *at, const char *name, uint64_t hash)
{
	while (at && (at->hash != hash || strcmp(at->name, name) != 0))
		at = at->next;
	return at;
}

struct name *names_find(const struct names *names, const char *name)
{
	const uint64_t hash = hash_of(names, name);

	return names->slots ? chain_find(*slot_of(names, hash), name, hash) : NULL;
}

void names_free(struct names *names)
{
	free(names->slot);
	*names = (struct names) { 0 };
}
