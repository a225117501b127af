// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moving bytes between bios and the file of a store. See store.h.
 */
#include <linux/bio.h>
#include <linux/bvec.h>
#include <linux/falloc.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/netlink.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "compat.h"
#include "copy.h"
#include "store.h"

struct file *r3map_store_reopen(const struct file *file)
{
	return dentry_open(&file->f_path, O_RDWR | O_LARGEFILE, current_cred());
}

bool r3map_store_usable(const struct file *file)
{
	/* Secret memory is a regular file, too, but not to be read here, and cannot be. */
	return S_ISREG(file_inode(file)->i_mode) && file->f_mode & FMODE_READ &&
	       file->f_mode & FMODE_WRITE && file->f_op->read_iter && file->f_op->write_iter;
}

int r3map_store_init(struct r3map_store *store, int fd, u64 size, struct netlink_ext_ack *extack)
{
	struct file *file = fget(fd), *own;
	struct address_space *mapping;

	if (!file) {
		NL_SET_ERR_MSG(extack, "STORE is not an open file");
		return -EBADF;
	}
	if (!r3map_store_usable(file)) {
		NL_SET_ERR_MSG(extack, "STORE is not a memfd or regular file, open for both ways");
		fput(file);
		return -EINVAL;
	}
	if (i_size_read(file_inode(file)) < size) {
		NL_SET_ERR_MSG(extack, "STORE is smaller than the device");
		fput(file);
		return -EINVAL;
	}
	own = r3map_store_reopen(file);
	fput(file);
	if (IS_ERR(own)) {
		NL_SET_ERR_MSG(extack, "STORE cannot be opened again");
		return PTR_ERR(own);
	}
	mapping = own->f_mapping;
	store->gfp = mapping_gfp_mask(mapping);
	/* What it allocates must not wait for writeback, which may be waiting for this device. */
	mapping_set_gfp_mask(mapping, store->gfp & ~(__GFP_IO | __GFP_FS));
	store->file = own;
	store->memory = shmem_mapping(mapping);
	return 0;
}

void r3map_store_exit(struct r3map_store *store)
{
	if (!store->file)
		return;
	mapping_set_gfp_mask(store->file->f_mapping, store->gfp);
	fput(store->file);
}

/* --- what is in memory -------------------------------------------------------------------- */

/* Where a copy is in the pages of a store: some are looked up at a time. */
struct store_cursor {
	const struct r3map_store *store;
	pgoff_t last;			/* the last page that will be asked for */
	struct folio_batch batch;	/* a reference to each */
	unsigned int at;		/* the one used last */
};

static void cursor_release(struct store_cursor *cursor)
{
	unsigned int i;

	for (i = 0; i < folio_batch_count(&cursor->batch); i++)
		folio_put(cursor->batch.folios[i]);
	folio_batch_init(&cursor->batch);
	cursor->at = 0;
}

static void cursor_fill(struct store_cursor *cursor, pgoff_t index)
{
	struct address_space *mapping = cursor->store->file->f_mapping;
	struct folio *folio;
	pgoff_t start = index;

	cursor_release(cursor);
	if (index != cursor->last) {
		filemap_get_folios_contig(mapping, &start, cursor->last, &cursor->batch);
		return;
	}
	folio = filemap_get_folio(mapping, index);
	if (!IS_ERR_OR_NULL(folio))
		folio_batch_add(&cursor->batch, folio);
}

/*
 * Not folio_contains(): of a folio that has gone to the swap cache meanwhile, that looks at where
 * it is swapped to.
 */
static bool folio_has(struct folio *folio, pgoff_t index)
{
	return index - folio->index < folio_nr_pages(folio);
}

/* Is it still the page cache's, and whole? */
static bool cursor_good(const struct store_cursor *cursor, struct folio *folio)
{
	return READ_ONCE(folio->mapping) == cursor->store->file->f_mapping &&
	       folio_test_uptodate(folio) && !folio_test_hwpoison(folio) &&
	       !(folio_test_large(folio) && folio_test_has_hwpoisoned(folio));
}

/* The folio of page @index, which is not before the last one asked for; NULL: it is not at hand. */
static struct folio *cursor_folio(struct store_cursor *cursor, pgoff_t index)
{
	struct folio *folio;
	unsigned int i;

	for (i = cursor->at; i < folio_batch_count(&cursor->batch); i++)
		if (folio_has(cursor->batch.folios[i], index))
			break;
	if (i == folio_batch_count(&cursor->batch)) {
		cursor_fill(cursor, index);
		i = 0;
		if (!folio_batch_count(&cursor->batch))
			return NULL;
	}
	cursor->at = i;
	folio = cursor->batch.folios[i];
	return cursor_good(cursor, folio) ? folio : NULL;
}

/* In memory a page that neither is there nor was swapped out is a hole. */
static bool store_is_hole(const struct r3map_store *store, pgoff_t index)
{
	return store->memory && !xa_load(&store->file->f_mapping->i_pages, index);
}

/* One piece, within a page of the store. */
static bool cursor_read(struct store_cursor *cursor, u64 offset, char *to, u32 length)
{
	struct folio *folio = cursor_folio(cursor, offset >> PAGE_SHIFT);
	const char *from;

	if (unlikely(!folio)) {
		if (!store_is_hole(cursor->store, offset >> PAGE_SHIFT))
			return false;
		memset(to, 0, length);
		return true;
	}
	from = kmap_local_folio(folio, offset_in_folio(folio, offset));
	r3map_copy(to, from, length);
	kunmap_local(from);
	return true;
}

static bool cursor_write(struct store_cursor *cursor, u64 offset, const char *from, u32 length)
{
	struct folio *folio = cursor_folio(cursor, offset >> PAGE_SHIFT);
	char *to;

	/*
	 * Locked: whoever moves a page elsewhere (migration, compaction, swapping) copies it under
	 * this lock, and would lose what is written meanwhile. Only tried: its holder may wait for
	 * us.
	 */
	if (unlikely(!folio || !folio_trylock(folio)))
		return false;
	if (unlikely(!cursor_good(cursor, folio))) {
		folio_unlock(folio);
		return false;
	}
	to = kmap_local_folio(folio, offset_in_folio(folio, offset));
	r3map_copy(to, from, length);
	kunmap_local(to);
	folio_mark_dirty(folio);
	folio_unlock(folio);
	return true;
}

static bool store_copy_now(struct r3map_store *store, struct bio *bio, u64 offset, bool write)
{
	struct store_cursor cursor = {
		.store = store,
		.last = (offset + bio->bi_iter.bi_size - 1) >> PAGE_SHIFT,
	};
	struct bvec_iter iter;
	struct bio_vec bv;
	bool there = true;

	folio_batch_init(&cursor.batch);
	bio_for_each_segment(bv, bio, iter) {
		char *at = bvec_kmap_local(&bv);
		u32 done = 0;

		while (there && done < bv.bv_len) {
			u32 n = min_t(u32, bv.bv_len - done, PAGE_SIZE - offset_in_page(offset));

			there = write ? cursor_write(&cursor, offset, at + done, n) :
					cursor_read(&cursor, offset, at + done, n);
			done += n;
			offset += n;
		}
		if (!write)
			flush_dcache_page(bv.bv_page);
		kunmap_local(at);
		if (!there)
			break;
	}
	cursor_release(&cursor);
	return there;
}

bool r3map_store_read_now(struct r3map_store *store, struct bio *bio, u64 offset)
{
	return store_copy_now(store, bio, offset, false);
}

bool r3map_store_write_now(struct r3map_store *store, struct bio *bio, u64 offset)
{
	/* A file system must know beforehand of what is written to its pages. */
	return store->memory && store_copy_now(store, bio, offset, true);
}

/* --- the long way ------------------------------------------------------------------------- */

static int store_copy(struct r3map_store *store, struct bio *bio, u64 offset, bool write)
{
	unsigned int noio = memalloc_noio_save(), throttle = current->flags & PF_LOCAL_THROTTLE;
	loff_t at = offset;
	struct bvec_iter bvec_iter;
	struct iov_iter iter;
	struct bio_vec bv;
	u32 nr = 0;
	ssize_t n = 0;

	bio_for_each_bvec(bv, bio, bvec_iter)
		nr++;
	iov_iter_bvec(&iter, write ? ITER_SOURCE : ITER_DEST,
		      __bvec_iter_bvec(bio->bi_io_vec, bio->bi_iter), nr, bio->bi_iter.bi_size);
	iter.iov_offset = bio->bi_iter.bi_bvec_done;
	/* What is dirty above may wait for this, and must not be throttled for being much. */
	current->flags |= PF_LOCAL_THROTTLE;
	while (iov_iter_count(&iter)) {
		n = write ? r3map_compat_iter_write(store->file, &iter, &at) :
			    vfs_iter_read(store->file, &iter, &at, 0);
		if (n <= 0)
			break;
	}
	if (!throttle)
		current->flags &= ~PF_LOCAL_THROTTLE;
	memalloc_noio_restore(noio);
	if (n < 0)
		return n;
	/* The file ends early: somebody has cut it. */
	return iov_iter_count(&iter) ? -EIO : 0;
}

int r3map_store_read(struct r3map_store *store, struct bio *bio, u64 offset)
{
	return store_copy(store, bio, offset, false);
}

int r3map_store_write(struct r3map_store *store, struct bio *bio, u64 offset)
{
	return store_copy(store, bio, offset, true);
}

int r3map_store_zero(struct r3map_store *store, u64 offset, u64 length)
{
	unsigned int noio = memalloc_noio_save();
	int err = vfs_fallocate(store->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
				length);

	memalloc_noio_restore(noio);
	return err;
}

int r3map_store_sync(struct r3map_store *store)
{
	unsigned int noio = memalloc_noio_save();
	int err = vfs_fsync(store->file, 1);

	memalloc_noio_restore(noio);
	return err;
}
