// SPDX-License-Identifier: GPL-2.0-only
/*
 * The requests of a device as a table, oldest list first.
 */
#include <linux/debugfs.h>
#include <linux/jiffies.h>
#include <linux/seq_file.h>

#include "debugfs.h"
#include "device.h"
#include "managed.h"
#include "queue.h"
#include "request.h"

static struct dentry *debugfs_root;

static const char *const op_names[] = {
	[R3MAP_OP_READ] = "read",
	[R3MAP_OP_WRITE] = "write",
	[R3MAP_OP_FLUSH] = "flush",
	[R3MAP_OP_DISCARD] = "discard",
	[R3MAP_OP_WRITE_ZEROES] = "zeroes",
	[R3MAP_OP_FETCH] = "fetch",
};

/* The lock of @list is held. */
static void requests_show_list(struct seq_file *file, const char *where,
			       const struct list_head *list, const char *progress)
{
	const struct r3map_request *request;

	list_for_each_entry(request, list, node)
		seq_printf(file, "%s %s %s %llu %u %u %s\n", where, progress,
			   op_names[request->op], request->offset, request->length,
			   jiffies_to_msecs(jiffies - request->start),
			   request->issued ? "reissued" : "-");
}

static void requests_show_queue(struct seq_file *file, struct r3map_queue *queue)
{
	char id[12];

	snprintf(id, sizeof(id), "%u", queue->id);
	spin_lock(&queue->lock);
	requests_show_list(file, id, &queue->flying, "flying");
	requests_show_list(file, id, &queue->ready, "ready");
	requests_show_list(file, id, &queue->waiting, "waiting");
	spin_unlock(&queue->lock);
}

static int requests_show(struct seq_file *file, void *unused)
{
	struct r3map_device *dev = file->private;
	u32 i;

	seq_puts(file, "queue progress op offset length age_ms note\n");
	for (i = 0; i < dev->params.queues; i++)
		requests_show_queue(file, &dev->queues[i]);
	if (dev->managed) {
		spin_lock(&dev->managed->chunks.lock);
		requests_show_list(file, "-", &dev->managed->chunks.waiters, "chunk");
		spin_unlock(&dev->managed->chunks.lock);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(requests);

void r3map_debugfs_init(void)
{
	debugfs_root = debugfs_create_dir("r3map", NULL);
}

void r3map_debugfs_exit(void)
{
	debugfs_remove(debugfs_root);
}

void r3map_debugfs_add(struct r3map_device *dev)
{
	char name[16];

	snprintf(name, sizeof(name), "r3map%u", dev->index);
	dev->debugfs = debugfs_create_dir(name, debugfs_root);
	debugfs_create_file("requests", 0400, dev->debugfs, dev, &requests_fops);
}

void r3map_debugfs_remove(struct r3map_device *dev)
{
	debugfs_remove(dev->debugfs);
}
