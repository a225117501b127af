// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Payload memory, see area.h.
 */
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mount/area.h"

#define HUGE_PAGE	(2UL << 20)	/* bytes; a kernel with others ignores the hint */

static size_t area_round(size_t size)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (size + page - 1) / page * page;
}

static void area_touch(volatile uint8_t *area, size_t size)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);

	for (size_t at = 0; at < size; at += page)
		area[at] = 0;
}

void *area_alloc(size_t size, bool pinned)
{
	const size_t room = area_round(size) + HUGE_PAGE;
	uint8_t *memory, *area;

	size = area_round(size);
	memory = mmap(NULL, room, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return NULL;
	area = memory;
	if (size >= HUGE_PAGE) {	/* huge pages need a start that is aligned to them */
		area = (uint8_t *)(((uintptr_t)memory + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));
		madvise(area, size, MADV_HUGEPAGE);
	}
	if (area != memory)
		munmap(memory, (size_t)(area - memory));
	munmap(area + size, room - size - (size_t)(area - memory));
	/*
	 * The pages are written to by both sides while they are pinned; after a fork() the parent
	 * could be given new ones that the kernel does not know of.
	 */
	if (pinned)
		madvise(area, size, MADV_DONTFORK);
	if (madvise(area, size, MADV_POPULATE_WRITE))	/* new in 5.14 */
		area_touch(area, size);
	return area;
}

void area_free(void *area, size_t size)
{
	if (area)
		munmap(area, area_round(size));
}
