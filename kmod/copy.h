/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copying between pages.
 */
#ifndef R3MAP_COPY_H
#define R3MAP_COPY_H

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

#endif /* R3MAP_COPY_H */
