/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copying between pages, and to those of a bio.
 */
#ifndef R3MAP_COPY_H
#define R3MAP_COPY_H

#include <linux/bio.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/string.h>

/*
 * Copy @length bytes from @from to @to. For a whole page the architecture has a way of its own: a
 * third of the instructions of memcpy() where an x86 processor does not say that it moves short
 * strings fast.
 */
static inline void r3map_copy(void *to, const void *from, u32 length)
{
	if (length == PAGE_SIZE && PAGE_ALIGNED((unsigned long)to | (unsigned long)from))
		copy_page(to, (void *)from);
	else
		memcpy(to, from, length);
}

/* What was copied by the kernel's mapping is to be seen by others: matters to few architectures. */
static inline void r3map_flush_bio(struct bio *bio)
{
	struct bvec_iter iter;
	struct bio_vec bv;

	if (ARCH_IMPLEMENTS_FLUSH_DCACHE_PAGE)
		bio_for_each_segment(bv, bio, iter)
			flush_dcache_page(bv.bv_page);
}

#endif /* R3MAP_COPY_H */
