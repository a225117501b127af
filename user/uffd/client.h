/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of this process that another one fills: the client of r3map uffd serve. Part of libr3map
 * and of the program; depends on nothing else of either but lib/error, lib/text, lib/unix and
 * nbd/option.
 *
 * The client keeps descriptors of its own of all that it hands over, so its memory does not depend
 * on the handler's life. A thread watches that: a handler that is gone, or does not answer for so
 * long, is lost, and then whoever touches what is not here yet gets SIGBUS, threads that wait
 * already included.
 *
 * Memory is not inherited over fork(2).
 */
#ifndef R3MAP_UFFD_CLIENT_H
#define R3MAP_UFFD_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

struct error;
struct uffd_client;

struct uffd_slice {
	uint64_t offset, length;	/* bytes, whole pages; length 0: up to the end */
};

struct uffd_client_options {
	const struct uffd_slice *slices;	/* mapped, each by itself; NULL: all */
	unsigned int count;			/* up to UFFD_REGIONS_MAX */
	bool signals;			/* SIGSEGV and mprotect(2) in place of userfaultfd */
	uint32_t timeout;		/* ms until a handler that says nothing is lost */
};

/*
 * 0 and *@client, or a negative errno with a sentence. Waits for the handler, at most some seconds.
 */
int uffd_client_open(const char *socket, const struct uffd_client_options *options,
		     struct uffd_client **client, struct error *error);
/*
 * Of the @n-th slice; NULL and 0: there is none. The last page of a backend that ends within it is
 * filled up with zeroes.
 */
void *uffd_client_memory(const struct uffd_client *client, unsigned int n, uint64_t *length);
/* Becomes readable when the handler is lost, and stays so. The client's to close. */
int uffd_client_lost(const struct uffd_client *client);
/*
 * Can system calls use the memory, too? If not, they fail with EFAULT where it was not touched
 * before.
 */
bool uffd_client_kernel(const struct uffd_client *client);
/* Is what is written pushed by uffd_client_sync()? Else writes stay in this process. */
bool uffd_client_pushes(const struct uffd_client *client);

/*
 * What was written before is at the backend, flushed, when it returns 0; at once where nothing is
 * pushed. A negative errno with a sentence: it is kept, and can be tried again as long as the
 * handler lives.
 */
int uffd_client_sync(struct uffd_client *client, struct error *error);
/* Gives up the memory. Nobody may use it any more. Does not sync. */
void uffd_client_close(struct uffd_client *client);

#endif
