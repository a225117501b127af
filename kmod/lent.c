// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copying what the helper lends. See lent.h.
 */
#include <linux/bio.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/uaccess.h>

#include "copy.h"
#include "lent.h"

#define LENT_PAGES 16U		/* looked up at a time */

struct lent_reader {
	u64 address;		/* the next byte */
	u32 left;		/* bytes */
	int nr;			/* pages that are looked up; the first is that of @address */
	int used;		/* of these, done with */
	struct page *pages[LENT_PAGES];
};

/* The page of the next byte, held until it is passed; NULL: there is none that can be held. */
static struct page *lent_page(struct lent_reader *reader)
{
	if (reader->used == reader->nr) {
		u32 pages = DIV_ROUND_UP(offset_in_page(reader->address) + (u64)reader->left,
					 PAGE_SIZE);

		reader->used = 0;
		reader->nr = get_user_pages_fast_only(reader->address & PAGE_MASK,
						      min(pages, LENT_PAGES), 0, reader->pages);
		if (reader->nr <= 0) {
			reader->nr = 0;
			return NULL;
		}
	}
	return reader->pages[reader->used];
}

static void lent_pass(struct lent_reader *reader, u32 n, bool held)
{
	reader->address += n;
	reader->left -= n;
	if (held && !offset_in_page(reader->address))
		put_page(reader->pages[reader->used++]);
}

/*
 * What has no page that can be held, as the page of zeroes has none, but can be read. Not by
 * copy_from_user_nofault(): that takes a destination in two pages, or in somebody's slab, for a
 * mistake, and a bio's may be there.
 */
static bool lent_copy_user(void *to, u64 address, u32 n)
{
	const void __user *from = (const void __user *)(uintptr_t)address;
	unsigned long left;

	if (!access_ok(from, n))
		return false;
	pagefault_disable();
	left = raw_copy_from_user(to, from, n);
	pagefault_enable();
	return !left;
}

/* The next @n bytes, all in one page of the helper. */
static bool lent_copy(struct lent_reader *reader, void *to, u32 n)
{
	struct page *page = lent_page(reader);

	if (page) {
		flush_dcache_page(page);
		r3map_copy(to, page_address(page) + offset_in_page(reader->address), n);
	} else if (!lent_copy_user(to, reader->address, n)) {
		return false;
	}
	lent_pass(reader, n, page);
	return true;
}

bool r3map_lent_load(u64 address, struct bio *bio)
{
	struct lent_reader reader = { .address = address, .left = bio->bi_iter.bi_size };
	struct bvec_iter iter;
	bool good = current->mm && address == (uintptr_t)address;
	struct bio_vec bv;

	/* All pages of a segment follow each other in memory, and are mapped. */
	BUILD_BUG_ON(IS_ENABLED(CONFIG_HIGHMEM));
	bio_for_each_bvec(bv, bio, iter) {
		char *at = page_address(bv.bv_page) + bv.bv_offset, *end = at + bv.bv_len;

		while (good && at < end) {
			u32 n = min_t(u32, end - at, PAGE_SIZE - offset_in_page(reader.address));

			good = lent_copy(&reader, at, n);
			at += n;
		}
	}
	while (reader.used < reader.nr)
		put_page(reader.pages[reader.used++]);
	r3map_flush_bio(bio);
	return good;
}
