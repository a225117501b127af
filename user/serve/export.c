// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Exports: see export.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "serve/export.h"

#define NAME_TOLD	32	/* bytes of one that is too long; enough to recognise it by */

/* "NAME=BACKEND": a '=' behind the scheme's colon belongs to the backend. */
static const char *backend_part(const char *spec)
{
	const char *equals = strchr(spec, '=');
	const char *colon = strchr(spec, ':');

	return equals && (!colon || equals < colon) ? equals + 1 : spec;
}

static uint32_t payload_fit(const struct backend_info *info, uint32_t payload)
{
	if (info->max_io && info->max_io < payload)
		payload = info->max_io;
	if (payload < info->block_min)
		payload = info->block_min;
	return payload & ~(info->block_min - 1);
}

/* There is room for it. */
static void export_put(struct exports *exports, char *name, struct backend *backend,
		       const struct serve_limits *limits, bool read_only)
{
	exports->list[exports->count] = (struct export) {
		.name = name,
		.backend = backend,
		.index = exports->count,
		.read_only = read_only || backend->info.read_only,
		.payload_max = payload_fit(&backend->info, limits->payload),
	};
	exports->count++;
}

int exports_add(struct exports *exports, const char *spec, const struct serve_limits *limits,
		bool read_only, struct error *error)
{
	const char *backend = backend_part(spec);
	size_t length = backend == spec ? 0 : (size_t)(backend - spec) - 1;
	struct backend *opened;
	struct export *list;
	unsigned int i;
	char *name;
	int code;

	if (length > limits->name)
		return error_set(error, -EINVAL,
				 "the name of export '%.*s%s' has %zu bytes, at most %u are allowed (--max-name)",
				 length > NAME_TOLD ? NAME_TOLD : (int)length, spec,
				 length > NAME_TOLD ? "..." : "", length, limits->name);
	name = strndup(spec, length);
	list = reallocarray(exports->list, exports->count + 1, sizeof(*list));
	if (list)
		exports->list = list;
	if (!name || !list) {
		free(name);
		return error_set(error, -ENOMEM, "out of memory");
	}
	for (i = 0; i < exports->count; i++) {
		if (strcmp(list[i].name, name))
			continue;
		code = *name ? error_set(error, -EEXIST, "export '%s' is given twice", name) :
			       error_set(error, -EEXIST,
					 "only one export can be without a name: write NAME=%s",
					 backend);
		free(name);
		return code;
	}
	code = backend_open(backend, &opened, error);
	if (code)
		free(name);
	else
		export_put(exports, name, opened, limits, read_only);
	return code;
}

int exports_add_open(struct exports *exports, struct backend *backend, bool borrowed,
		     const struct serve_limits *limits, bool read_only, struct error *error)
{
	struct export *list = reallocarray(exports->list, exports->count + 1, sizeof(*list));
	char *name = strdup("");

	if (list)
		exports->list = list;
	if (!list || !name) {
		free(name);
		return error_set(error, -ENOMEM, "out of memory");
	}
	export_put(exports, name, backend, limits, read_only);
	exports->list[exports->count - 1].borrowed = borrowed;
	return 0;
}

void exports_add_context(struct exports *exports, const struct export_context *context)
{
	struct export *export = &exports->list[exports->count - 1];

	export->contexts[export->context_count++] = *context;
}

const char *export_context_name(const struct export *export, unsigned int number)
{
	if (!number)
		return NBD_META_BASE_ALLOCATION;
	return number <= export->context_count ? export->contexts[number - 1].name : NULL;
}

static struct export *named(const struct exports *exports, const char *name, size_t length)
{
	unsigned int i;

	for (i = 0; i < exports->count; i++)
		if (strlen(exports->list[i].name) == length &&
		    !memcmp(exports->list[i].name, name, length))
			return &exports->list[i];
	return NULL;
}

int exports_describe(struct exports *exports, const char *spec, struct error *error)
{
	const char *equals = strchr(spec, '=');
	const char *text = equals ? equals + 1 : spec;
	struct export *export;

	export = named(exports, spec, equals ? (size_t)(equals - spec) : 0);
	if (!export)
		return error_set(error, -ENOENT,
			"--description '%s' fits no export: write NAME=TEXT, with the name of an export",
			spec);
	if (strlen(text) > NBD_MAX_STRING)
		return error_set(error, -EINVAL, "a description has at most %u bytes",
				 NBD_MAX_STRING);
	export->description = text;
	return 0;
}

int exports_settle(struct exports *exports, const char *name, unsigned int threads,
		   struct error *error)
{
	unsigned int i, next = 0;

	for (i = 0; i < exports->count; i++) {
		uint32_t channels = exports->list[i].backend->info.channels_max;

		exports->list[i].home = channels && channels < threads ? next++ % threads :
									 SERVE_HOME_ANY;
	}
	exports->by_default = named(exports, name ? name : "", name ? strlen(name) : 0);
	if (name && !exports->by_default)
		return error_set(error, -ENOENT, "--default: there is no export '%s'", name);
	if (!exports->by_default && exports->count == 1)
		exports->by_default = &exports->list[0];
	return 0;
}

struct export *exports_find(const struct exports *exports, const char *name)
{
	if (!*name)
		return exports->by_default;
	return named(exports, name, strlen(name));
}

uint16_t export_flags(const struct export *export, enum nbd_headers headers)
{
	const struct backend_info *info = &export->backend->info;
	/*
	 * Several connections: either every channel sees what the others have flushed, or they
	 * all share the one channel of the export's home. FLUSH and FUA always work: where the
	 * backend has nothing to do for them, so has backend_submit().
	 */
	uint16_t flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_CAN_MULTI_CONN;

	if (headers >= NBD_HEADERS_STRUCTURED)
		flags |= NBD_FLAG_SEND_DF;
	if (info->rotational)
		flags |= NBD_FLAG_ROTATIONAL;
	if (info->can_cache)
		flags |= NBD_FLAG_SEND_CACHE;
	flags |= NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA;
	if (export->read_only)
		return flags | NBD_FLAG_READ_ONLY;
	if (info->can_discard)
		flags |= NBD_FLAG_SEND_TRIM;
	if (info->can_zeroes)
		flags |= NBD_FLAG_SEND_WRITE_ZEROES;
	if (info->can_zeroes && info->can_fast_zero)
		flags |= NBD_FLAG_SEND_FAST_ZERO;
	return flags;
}

void exports_free(struct exports *exports)
{
	unsigned int i;

	for (i = 0; i < exports->count; i++) {
		if (!exports->list[i].borrowed)
			backend_close(exports->list[i].backend);
		free((char *)exports->list[i].name);
	}
	free(exports->list);
}
