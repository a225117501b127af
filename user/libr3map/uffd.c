// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory that a handler fills. See r3map.h; the work is done by uffd/client.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/size.h"
#include "libr3map/fail.h"
#include "libr3map/r3map.h"
#include "uffd/client.h"
#include "uffd/message.h"
#include "uffd/slice.h"

#define NS_MS		1000000u
#define TIMEOUT		30000u		/* ms */
#define TIMEOUT_MOST	3600000ull

struct r3map_uffd {
	struct uffd_client *client;
};

static int option_read(const char *option, struct uffd_client_options *options,
		       struct uffd_slice slices[UFFD_REGIONS_MAX], struct error *error)
{
	uint64_t ns;
	int code;

	if (!strcmp(option, "signals")) {
		options->signals = true;
		return 0;
	}
	if (!strncmp(option, "slice=", 6)) {
		if (options->count == UFFD_REGIONS_MAX)
			return error_set(error, -E2BIG, "at most %u slices can be mapped",
					 UFFD_REGIONS_MAX);
		return uffd_slice_parse(option + 6, &slices[options->count++], error);
	}
	if (strncmp(option, "timeout=", 8))
		return error_set(error, -EINVAL,
				 "'%s' is no option: give slice=OFFSET+LENGTH, timeout=TIME or signals",
				 option);
	code = duration_parse(option + 8, &ns, error);
	if (code)
		return code;
	if (ns < 10 * NS_MS || ns / NS_MS > TIMEOUT_MOST)
		return error_set(error, -ERANGE, "timeout= has to be from 10ms to 3600s");
	options->timeout = (uint32_t)(ns / NS_MS);
	return 0;
}

struct r3map_uffd *r3map_uffd_open(const char *path, const char *const *list, char **said)
{
	struct uffd_slice slices[UFFD_REGIONS_MAX];
	struct uffd_client_options options = { .slices = slices, .timeout = TIMEOUT };
	struct r3map_uffd *uffd = calloc(1, sizeof(*uffd));
	struct error error = { 0 };
	int code = 0;

	if (!uffd) {
		fail(said, ENOMEM, "out of memory");
		return NULL;
	}
	for (; !code && list && *list; list++)
		code = option_read(*list, &options, slices, &error);
	if (!code)
		code = uffd_client_open(path, &options, &uffd->client, &error);
	if (!code)
		return uffd;
	free(uffd);
	fail(said, -code, "%s", error.text);
	return NULL;
}

void *r3map_uffd_memory(const struct r3map_uffd *uffd, unsigned int n, uint64_t *size)
{
	return uffd_client_memory(uffd->client, n, size);
}

int r3map_uffd_lost(const struct r3map_uffd *uffd)
{
	return uffd_client_lost(uffd->client);
}

int r3map_uffd_sync(struct r3map_uffd *uffd, char **said)
{
	struct error error = { 0 };
	int code = uffd_client_sync(uffd->client, &error);

	return code ? fail(said, -code, "%s", error.text) : 0;
}

int r3map_uffd_close(struct r3map_uffd *uffd, char **error)
{
	if (r3map_uffd_sync(uffd, error))
		return -1;
	r3map_uffd_abandon(uffd);
	return 0;
}

void r3map_uffd_abandon(struct r3map_uffd *uffd)
{
	uffd_client_close(uffd->client);
	free(uffd);
}
