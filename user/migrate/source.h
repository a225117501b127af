/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the leechers of a managed device read: its region while it is in use, what is local from the store, the rest
 * from the backend.
 *
 * What is local is asked of the module for each request, after that has come. A chunk that is not local then was written by
 * nobody whose write has ended, so the backend's bytes are those of the device; who writes it meanwhile makes it dirty in
 * the leecher's epoch before his write ends, and it is read again. A chunk that is local stays local.
 */
#ifndef R3MAP_MIGRATE_SOURCE_H
#define R3MAP_MIGRATE_SOURCE_H

struct backend;
struct error;
struct managed;

/*
 * A backend, to be read only, of @device, whose @managed is borrowed: it is to be closed before that and its backend are.
 * Each of its channels opens one of that backend. 0 or a negative errno with a sentence.
 */
int source_backend(const struct managed *managed, const char *device, struct backend **backend,
		   struct error *error);

#endif
