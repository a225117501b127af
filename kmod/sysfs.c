// SPDX-License-Identifier: GPL-2.0-only
/*
 * The attributes of a device in sysfs: facts only, all read-only. What changes a device is
 * netlink's.
 *
 * dev->lock is not taken: it is held when the disk, and these files with it, is added or given up,
 * and giving up waits for their readers. A number is read as it is at that moment.
 */
#include <linux/blkdev.h>
#include <linux/sysfs.h>

#include "device.h"
#include "sysfs.h"

static struct r3map_device *to_device(struct device *device)
{
	return dev_to_disk(device)->private_data;
}

static ssize_t state_show(struct device *device, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", r3map_state_name(READ_ONCE(to_device(device)->state)));
}
static DEVICE_ATTR_RO(state);

static ssize_t backend_show(struct device *device, struct device_attribute *attr, char *buf)
{
	struct r3map_device *dev = to_device(device);
	ssize_t n;

	spin_lock(&dev->open_lock);
	n = sysfs_emit(buf, "%s\n", dev->backend);
	spin_unlock(&dev->open_lock);
	return n;
}

/* It may say more than everybody should know. */
static DEVICE_ATTR_ADMIN_RO(backend);

static ssize_t transport_show(struct device *device, struct device_attribute *attr, char *buf)
{
	bool inlined = to_device(device)->params.transport == R3MAP_TRANSPORT_INLINE;

	return sysfs_emit(buf, "%s\n", inlined ? "inline" : "shared");
}
static DEVICE_ATTR_RO(transport);

/* An attribute that is one number. */
#define DEVICE_NUMBER(_name, _format, _expr)						\
static ssize_t _name##_show(struct device *device, struct device_attribute *attr,	\
			    char *buf)							\
{											\
	struct r3map_device *dev = to_device(device);					\
											\
	return sysfs_emit(buf, _format "\n", _expr);					\
}											\
static DEVICE_ATTR_RO(_name)

DEVICE_NUMBER(generation, "%llu", READ_ONCE(dev->generation));
DEVICE_NUMBER(helper_pid, "%u", READ_ONCE(dev->helper_pid));
DEVICE_NUMBER(queues, "%u", dev->params.queues);
DEVICE_NUMBER(depth, "%u", dev->params.depth);
DEVICE_NUMBER(timeout_ms, "%u", READ_ONCE(dev->timeout));
DEVICE_NUMBER(park_ms, "%u", READ_ONCE(dev->park));
DEVICE_NUMBER(park_left_ms, "%u", r3map_device_park_left(dev));

static struct attribute *r3map_attrs[] = {
	&dev_attr_state.attr,
	&dev_attr_generation.attr,
	&dev_attr_backend.attr,
	&dev_attr_helper_pid.attr,
	&dev_attr_transport.attr,
	&dev_attr_queues.attr,
	&dev_attr_depth.attr,
	&dev_attr_timeout_ms.attr,
	&dev_attr_park_ms.attr,
	&dev_attr_park_left_ms.attr,
	NULL
};

static const struct attribute_group r3map_group = {
	.name = "r3map",
	.attrs = r3map_attrs,
};

const struct attribute_group *r3map_sysfs_groups[] = {
	&r3map_group,
	NULL
};
