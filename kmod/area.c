// SPDX-License-Identifier: GPL-2.0-only
/*
 * Payload areas: pinning and charging, range allocation, copying. See area.h for the life of one.
 */
#include <linux/bio.h>
#include <linux/bitmap.h>
#include <linux/cred.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/netlink.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>
#include <linux/slab.h>

#include "area.h"
#include "copy.h"
#include "main.h"

/* Charges @pages to the user's RLIMIT_MEMLOCK, as io_uring and AF_XDP do. */
static int area_charge(struct r3map_area *area)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	struct user_struct *user;
	long now, then;

	if (!capable(CAP_IPC_LOCK)) {
		user = get_uid(current_user());
		now = atomic_long_read(&user->locked_vm);
		do {
			then = now + area->nr_pages;
			if (then > limit) {
				free_uid(user);
				return -ENOMEM;
			}
		} while (!atomic_long_try_cmpxchg(&user->locked_vm, &now, then));
		area->user = user;
	}
	mmgrab(current->mm);
	area->mm = current->mm;
	atomic64_add(area->nr_pages, &area->mm->pinned_vm);
	return 0;
}

static void area_uncharge(struct r3map_area *area)
{
	if (area->user) {
		atomic_long_sub(area->nr_pages, &area->user->locked_vm);
		free_uid(area->user);
	}
	/* Last: who sees by VmPin that it is given back may pin as much again. */
	atomic64_sub(area->nr_pages, &area->mm->pinned_vm);
	mmdrop(area->mm);
}

static void area_release(struct work_struct *work)
{
	struct r3map_area *area = container_of(work, struct r3map_area, release);

	unpin_user_pages_dirty_lock(area->pages, area->nr_pages, true);
	area_uncharge(area);
	bitmap_free(area->used);
	kvfree(area->pages);
	kfree(area);
}

static int area_pin_pages(struct r3map_area *area, u64 addr)
{
	unsigned int noio;
	u32 done = 0;
	int err = 0;
	int n;

	/* A recovering helper must not wait for the writeback that waits for it. */
	noio = memalloc_noio_save();
	while (done < area->nr_pages) {
		n = pin_user_pages_fast(addr + ((u64)done << PAGE_SHIFT), area->nr_pages - done,
					FOLL_WRITE | FOLL_LONGTERM, area->pages + done);
		if (n > 0)
			done += n;
		if (done < area->nr_pages && (n <= 0 || fatal_signal_pending(current))) {
			unpin_user_pages(area->pages, done);
			err = n < 0 ? n : -EFAULT;
			break;
		}
		cond_resched();
	}
	memalloc_noio_restore(noio);
	return err;
}

struct r3map_area *r3map_area_pin(u64 addr, u64 size, struct netlink_ext_ack *extack)
{
	struct r3map_area *area;
	int err = -ENOMEM;

	area = kzalloc(sizeof(*area), GFP_NOIO);
	if (!area)
		return ERR_PTR(-ENOMEM);
	refcount_set(&area->refs, 1);
	INIT_WORK(&area->release, area_release);
	area->nr_pages = size >> PAGE_SHIFT;
	area->pages = kvmalloc_array(area->nr_pages, sizeof(*area->pages), GFP_NOIO);
	area->used = bitmap_zalloc(area->nr_pages, GFP_NOIO);
	if (!area->pages || !area->used)
		goto err_free;

	err = area_charge(area);
	if (err) {
		NL_SET_ERR_MSG(extack, "the payload area is beyond RLIMIT_MEMLOCK");
		goto err_free;
	}
	err = area_pin_pages(area, addr);
	if (err) {
		NL_SET_ERR_MSG(extack, "the payload area cannot be pinned: not writable memory");
		goto err_uncharge;
	}
	return area;

err_uncharge:
	area_uncharge(area);
err_free:
	bitmap_free(area->used);
	kvfree(area->pages);
	kfree(area);
	return ERR_PTR(err);
}

void r3map_area_put(struct r3map_area *area)
{
	if (area && refcount_dec_and_test(&area->refs))
		queue_work(r3map_slow_workqueue, &area->release);
}

size_t r3map_area_memory(const struct r3map_area *area)
{
	return sizeof(*area) + area->nr_pages * sizeof(*area->pages) +
	       BITS_TO_LONGS(area->nr_pages) * sizeof(*area->used);
}

bool r3map_area_alloc(struct r3map_area *area, u32 length, u32 *offset)
{
	unsigned int n = DIV_ROUND_UP(length, PAGE_SIZE);
	unsigned long first;

	/* First fit: the pages used last are the ones still in the caches. */
	if (n == 1)
		first = find_first_zero_bit(area->used, area->nr_pages);
	else
		first = bitmap_find_next_zero_area(area->used, area->nr_pages, 0, n, 0);
	if (first >= area->nr_pages)
		return false;
	if (n == 1)
		__set_bit(first, area->used);
	else
		bitmap_set(area->used, first, n);
	*offset = first << PAGE_SHIFT;
	return true;
}

void r3map_area_free(struct r3map_area *area, u32 offset, u32 length)
{
	bitmap_clear(area->used, offset >> PAGE_SHIFT, DIV_ROUND_UP(length, PAGE_SIZE));
}

/* The payload of @bio to the area, or from there. */
static void area_copy(struct r3map_area *area, u32 offset, struct bio *bio, bool store)
{
	struct bvec_iter iter;
	struct bio_vec bv;

	/* All pages of a segment follow each other in memory, and are mapped. */
	BUILD_BUG_ON(IS_ENABLED(CONFIG_HIGHMEM));
	bio_for_each_bvec(bv, bio, iter) {
		char *at = page_address(bv.bv_page) + bv.bv_offset, *end = at + bv.bv_len;

		while (at < end) {
			struct page *page = area->pages[offset >> PAGE_SHIFT];
			u32 in_page = offset_in_page(offset);
			u32 n = min_t(u32, end - at, PAGE_SIZE - in_page);

			if (store) {
				r3map_copy(page_address(page) + in_page, at, n);
				flush_dcache_page(page);
			} else {
				r3map_copy(at, page_address(page) + in_page, n);
			}
			at += n;
			offset += n;
		}
	}
}

void r3map_area_store(struct r3map_area *area, u32 offset, struct bio *bio)
{
	area_copy(area, offset, bio, true);
}

void r3map_area_load(struct r3map_area *area, u32 offset, struct bio *bio)
{
	area_copy(area, offset, bio, false);
	r3map_flush_bio(bio);
}
