/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The payload area of one queue: memory of the helper that the module has pinned, and an allocator
 * of page-granular ranges of it.
 *
 * An area is made by r3map_area_pin() with one reference, which the queue it is bound to takes
 * over. Whoever copies without the queue's lock holds a reference of its own; the last one unpins,
 * in a work item, because it may be dropped in the path of memory reclaim.
 *
 * The helper can change these pages at any time. Nothing but payload is ever read from them.
 */
#ifndef R3MAP_AREA_H
#define R3MAP_AREA_H

#include <linux/refcount.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct bio;
struct netlink_ext_ack;

struct r3map_area {
	refcount_t refs;
	u32 nr_pages;			/* constant */
	struct page **pages;		/* constant */
	unsigned long *used;		/* a bit a page; the lock of the queue guards it */
	struct user_struct *user;	/* whom the pages are charged to, or NULL */
	struct mm_struct *mm;
	struct work_struct release;
};

/**
 * r3map_area_pin - pin @size bytes at @addr of the calling process
 * @addr: page-aligned
 * @size: bytes, whole pages, not 0
 * Context: sleeps, for as long as the caller's page faults take; no lock may be held.
 * Return: the area, with one reference, or an ERR_PTR with text in @extack.
 */
struct r3map_area *r3map_area_pin(u64 addr, u64 size, struct netlink_ext_ack *extack);

/* Context: any. */
static inline struct r3map_area *r3map_area_get(struct r3map_area *area)
{
	refcount_inc(&area->refs);
	return area;
}

/* Bytes of the tables that describe the area. Context: any. */
size_t r3map_area_memory(const struct r3map_area *area);

/* Context: any but hard interrupt. @area may be NULL. */
void r3map_area_put(struct r3map_area *area);

/**
 * r3map_area_alloc - take a contiguous range of @length bytes
 * @offset: where its offset in bytes is stored
 * Context: the lock of the queue is held.
 * Return: false when there is no room now.
 */
bool r3map_area_alloc(struct r3map_area *area, u32 length, u32 *offset);

/* Gives a range back. Context: the lock of the queue is held. */
void r3map_area_free(struct r3map_area *area, u32 offset, u32 length);

/* The payload of @bio to, or from, the range at @offset. Context: any; a reference is held. */
void r3map_area_store(struct r3map_area *area, u32 offset, struct bio *bio);
void r3map_area_load(struct r3map_area *area, u32 offset, struct bio *bio);

#endif
