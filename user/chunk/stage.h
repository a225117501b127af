/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * chunk/ is the pipeline of a managed mount whose device has no chunk map in the kernel: stages,
 * each a backend in front of another one, put together in pipeline.c:
 *
 *	arbitrary ── lockable ── background ── synced ──┬── tracking ── local	(the store)
 *	                                                └── chunked ── the backend
 *
 * All of them belong to one channel, and so to one loop and one thread: channels_max is 1. What may
 * be called from elsewhere says so. Nothing here waits.
 *
 * Each NAME_new() puts a stage in front of @inner, which is its if that succeeds: backend_close()
 * of the stage closes all that is behind. They return 0 or a negative errno with a sentence.
 *
 * Here are the stages that are nothing but a backend.
 */
#ifndef R3MAP_CHUNK_STAGE_H
#define R3MAP_CHUNK_STAGE_H

#include <stdint.h>

struct backend;
struct error;
struct store;

/*
 * Requests of any place and length come in, what goes on is a part of one chunk, or whole chunks.
 * @chunk: bytes, a power of two.
 */
int arbitrary_new(struct backend *inner, uint32_t chunk, struct backend **stage,
		  struct error *error);
/*
 * Whole chunks come in, requests as large as @inner takes them go on; what is behind @size bytes of
 * it does not exist. With @chunk 0 anything may come in: for a backend that takes less at once than
 * its client sends.
 */
int chunked_new(struct backend *inner, uint64_t size, uint32_t chunk, struct backend **stage,
		struct error *error);
/* The borrowed store as a backend: it never waits, and a write that fails has changed nothing. */
int local_new(const struct store *store, struct backend **stage, struct error *error);

#endif
