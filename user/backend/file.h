/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parts of file: that others use who have a descriptor.
 */
#ifndef R3MAP_BACKEND_FILE_H
#define R3MAP_BACKEND_FILE_H

#include "backend.h"

struct stat;

/*
 * A region that is the file @fd on tmpfs, open for writing, of @stat->st_size bytes. Nothing is
 * locked, and there is nothing to flush. Takes over @fd and @name (from malloc). NULL: out of
 * memory, they are still the caller's.
 */
struct backend *file_memory_new(int fd, const struct stat *stat, char *name);
/* The same of any regular file, to be read only: others write to it. */
struct backend *file_reader_new(int fd, const struct stat *stat, char *name);

#endif
