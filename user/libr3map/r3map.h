/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libr3map: a remote region as a path, a file descriptor or memory of this process. See
 * libr3map(3).
 *
 * The region is a device that r3map(8) makes; its helper is a process of its own, so a program may
 * use a region that it serves itself. That needs what r3map mount needs: root, and the module.
 *
 * Where @error is not NULL and a call fails, *@error is one sentence that says what is wrong, to be
 * passed to free(), or NULL if there was no memory for it. errno is set as well, roughly: EINVAL
 * for what r3map takes for a wrong use, EIO for what failed there, or what a system call said.
 *
 * Any thread may call any of these at any time, several at once, but for those that close or
 * abandon: nobody may use the region, its descriptor or its memory during these.
 */
#ifndef R3MAP_H
#define R3MAP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define R3MAP_API __attribute__((visibility("default")))

struct r3map_region;

/*
 * Mounts @backend, see r3map-backends(7), and waits until it answers. @options: NULL, or options of
 * r3map mount without their dashes, ended by NULL: { "managed", "chunk-size=64K", "pull-workers=0",
 * NULL }. One more is the library's: "program=PATH", the r3map to be run, which is else looked for
 * in PATH. NULL: it failed, and nothing is left behind.
 */
R3MAP_API struct r3map_region *r3map_open(const char *backend, const char *const *options,
					  char **error);

/* The device, /dev/r3mapN or /dev/nbdN, for whoever wants a path. As long as the region is open. */
R3MAP_API const char *r3map_path(const struct r3map_region *region);
/* Bytes. */
R3MAP_API uint64_t r3map_size(const struct r3map_region *region);
/*
 * A descriptor of it, open for reading and, unless the region is read-only, for writing; always the
 * same one. It is the library's: do not close it.
 */
R3MAP_API int r3map_fd(const struct r3map_region *region);
/*
 * The whole region as r3map_size() bytes of memory, shared with its other users; always the same.
 * What is touched is fetched, page by page: nothing else is read ahead unless madvise(2) says so.
 * An access that cannot be served raises SIGBUS. NULL: it failed.
 */
R3MAP_API void *r3map_map(struct r3map_region *region, char **error);

/*
 * Everything that was written before, by whichever way, is at the backend when it returns 0, and
 * was flushed there. -1: that failed, and what was written is kept; try again.
 */
R3MAP_API int r3map_sync(struct r3map_region *region, char **error);

/*
 * r3map_sync(); then unmaps, closes, unmounts, and waits until the helper has ended. 0: all of that
 * is done, and @region is no more. -1: something failed, or somebody else uses the device; the
 * region is open as before, at the same address and with the same descriptor, and nothing is lost.
 */
R3MAP_API int r3map_close(struct r3map_region *region, char **error);
/*
 * Gives the region up: what is not at the backend is lost. @region is no more, whatever this
 * returns: 0, or -1: the device may still be there.
 */
R3MAP_API int r3map_abandon(struct r3map_region *region, char **error);

/*
 * Memory of this process that another one, r3map uffd serve, fills when it is touched; see
 * r3map-uffd(8). It needs neither root nor the module where the kernel allows that.
 */
struct r3map_uffd;

/*
 * Maps what the handler at the unix socket @path serves. @options: NULL, or words ended by NULL:
 *
 *   slice=OFFSET+LENGTH	only this part, whole pages; up to 64 times: memory of its own each
 *   timeout=TIME		a handler that says nothing for so long is lost (30s)
 *   signals		by SIGSEGV and mprotect(2) in place of userfaultfd(2)
 *
 * It starts a thread, which blocks all signals. NULL: it failed, and nothing is left behind.
 */
R3MAP_API struct r3map_uffd *r3map_uffd_open(const char *path, const char *const *options,
					     char **error);
/*
 * The memory of the @n-th slice, from 0 on, and *@size of it in bytes; NULL: there are no more of
 * them. To be read and written by any thread of this process; its children do not have it. What
 * cannot be had raises SIGBUS.
 */
R3MAP_API void *r3map_uffd_memory(const struct r3map_uffd *uffd, unsigned int n, uint64_t *size);
/*
 * A descriptor that becomes readable when the handler is lost: from then on what was not touched
 * before may raise SIGBUS. It is the library's.
 */
R3MAP_API int r3map_uffd_lost(const struct r3map_uffd *uffd);
/*
 * Where the handler watches what is written: what was written before is at the backend and flushed
 * when it returns 0. Else writes stay in this process, and it returns 0 at once. -1: it failed; try
 * again.
 */
R3MAP_API int r3map_uffd_sync(struct r3map_uffd *uffd, char **error);
/*
 * r3map_uffd_sync(), and then the memory is no more. -1: that failed, and everything is as before.
 */
R3MAP_API int r3map_uffd_close(struct r3map_uffd *uffd, char **error);
/* The memory is no more; what was written since the last sync is lost. */
R3MAP_API void r3map_uffd_abandon(struct r3map_uffd *uffd);

#ifdef __cplusplus
}
#endif

#endif
