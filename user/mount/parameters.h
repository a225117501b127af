/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a device shall be like: the user's options, and where they say nothing, the backend's
 * nature.
 */
#ifndef R3MAP_MOUNT_PARAMETERS_H
#define R3MAP_MOUNT_PARAMETERS_H

#include <stddef.h>

struct backend;
struct device;
struct error;
struct mount_options;

/* Fills in @device for DEVICE_NEW. 0, or -EINVAL with a sentence about what does not fit. */
int parameters_new(const struct mount_options *options, const struct backend *backend,
		   struct device *device, struct error *error);
/* 0, or -EBUSY with a sentence if @device has a helper and so is not to be taken over. */
int parameters_recoverable(const struct device *device, struct error *error);
/*
 * @device: as DEVICE_GET told it; becomes what DEVICE_ATTACH wants. 0, or a negative errno with a
 * sentence if @backend is not fit for it.
 */
int parameters_attach(const struct mount_options *options, const struct backend *backend,
		      struct device *device, struct error *error);
/*
 * Fills in the chunk of a managed device that parameters_new() has made; @found: that of the store
 * that was there, or 0. 0, or -EINVAL with a sentence.
 */
int parameters_managed(const struct mount_options *options, const struct backend *backend,
		       uint32_t found, struct device *device, struct error *error);
/* Bytes of the payload area of each queue of @device; 0 with the inline transport. */
size_t parameters_area(const struct mount_options *options, const struct device *device,
		       const struct backend *backend);

#endif
