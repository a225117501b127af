// SPDX-License-Identifier: GPL-2.0-only
/*
 * r3map.ko: init and exit, nothing else. What is acquired downwards is released upwards.
 */
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/workqueue.h>

#include "debugfs.h"
#include "device.h"
#include "main.h"
#include "netlink.h"
#include "request.h"
#include "socket.h"

struct workqueue_struct *r3map_workqueue;
struct workqueue_struct *r3map_slow_workqueue;
struct workqueue_struct *r3map_hold_workqueue;

static int __init r3map_init(void)
{
	int err;

	r3map_workqueue = alloc_workqueue("r3map", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!r3map_workqueue)
		return -ENOMEM;
	err = -ENOMEM;
	r3map_slow_workqueue = alloc_workqueue("r3map-slow", WQ_UNBOUND, 0);
	if (!r3map_slow_workqueue)
		goto err_workqueue;
	r3map_hold_workqueue = alloc_workqueue("r3map-hold", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!r3map_hold_workqueue)
		goto err_slow_workqueue;
	err = r3map_request_init();
	if (err)
		goto err_hold_workqueue;
	r3map_debugfs_init();
	err = r3map_socket_init();
	if (err)
		goto err_debugfs;
	err = r3map_netlink_init();
	if (err)
		goto err_socket;
	return 0;

err_socket:
	r3map_socket_exit();
err_debugfs:
	r3map_debugfs_exit();
	r3map_request_exit();
err_hold_workqueue:
	destroy_workqueue(r3map_hold_workqueue);
err_slow_workqueue:
	destroy_workqueue(r3map_slow_workqueue);
err_workqueue:
	destroy_workqueue(r3map_workqueue);
	return err;
}

static void __exit r3map_exit(void)
{
	/*
	 * First the devices that were left behind, while their end can still be told. New ones
	 * cannot come: they need a helper, and a helper needs a reference to the module.
	 */
	r3map_device_exit();
	r3map_netlink_exit();
	r3map_socket_exit();
	r3map_debugfs_exit();
	destroy_workqueue(r3map_slow_workqueue);
	destroy_workqueue(r3map_hold_workqueue);
	r3map_request_exit();
	destroy_workqueue(r3map_workqueue);
	/* Epochs are freed behind their readers. */
	rcu_barrier();
}

module_init(r3map_init);
module_exit(r3map_exit);

MODULE_DESCRIPTION("Remote memory and storage as a block device, served over generic netlink");
MODULE_AUTHOR("The r3map developers");
MODULE_LICENSE("GPL");
MODULE_VERSION(R3MAP_VERSION);
