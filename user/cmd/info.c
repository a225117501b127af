// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * r3map info: what a backend is and can do, without making a device of it.
 *
 * For an NBD server the facts come from negotiation alone; only --map uses the export, as a client.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "cmd/cmd.h"
#include "info/map.h"
#include "info/server.h"
#include "lib/error.h"
#include "lib/json.h"
#include "lib/size.h"

#define TELL	(2 * SIZE_TEXT)		/* bytes for size_tell() */

struct info_options {
	bool json;
	bool map;
	bool list;
	bool size;
};

static const struct info_options info_defaults = { .json = false };

static const struct opt info_opts[] = {
	OPT_JSON(info_options),
	{ OPT_FLAG, "map", 'm', OPT(info_options, map),
	  .help = "show which parts are data, holes or zeroes" },
	{ OPT_FLAG, "list", 'l', OPT(info_options, list),
	  .help = "show all exports of an NBD server" },
	{ OPT_FLAG, "size", 's', OPT(info_options, size), .help = "print the size in bytes alone" },
	{ OPT_END },
};

static int flushed(void)
{
	return fflush(stdout) == EOF ? -errno : 0;
}

static int size_print(uint64_t size, bool json)
{
	cJSON *object;

	if (!json) {
		printf("%" PRIu64 "\n", size);
		return flushed();
	}
	object = cJSON_CreateObject();
	if (object && !json_add_u64(object, "size", size)) {
		cJSON_Delete(object);
		object = NULL;
	}
	return json_print(object, false);
}

/* --map */

struct map_print {
	bool json;
	bool first;
	uint64_t totals[4];	/* bytes, by the extents' flags */
};

static int extent_print(uint64_t offset, uint64_t length, uint32_t flags, void *owner)
{
	struct map_print *print = owner;
	char text[TELL];

	print->totals[flags & 3] += length;
	if (print->json)
		printf("%s\n    { \"offset\": %" PRIu64 ", \"length\": %" PRIu64 ", \"type\": \"%s\" }",
		       print->first ? "" : ",", offset, length, map_type(flags));
	else
		printf("%20" PRIu64 " %20" PRIu64 "  %-10s %s\n", offset, length, map_type(flags),
		       length >= 1024 ? strchr(size_tell(length, text), '(') : "");
	print->first = false;
	return ferror(stdout) ? -EIO : 0;
}

static void totals_text(const struct map_print *print, const struct backend *backend)
{
	uint64_t size = backend->info.size;
	char text[TELL];

	printf("\n");
	for (uint32_t flags = 0; flags < 4; flags++)
		if (print->totals[flags])
			printf("%-10s %s, %.1f%%\n", map_type(flags),
			       size_tell(print->totals[flags], text),
			       100.0 * (double)print->totals[flags] / (double)size);
	if (!backend->info.can_extents)
		printf("This backend does not tell what is data: all of it counts as data.\n");
}

static void totals_json(const struct map_print *print, const struct backend *backend)
{
	printf("\n  ],\n  \"totals\": {");
	for (uint32_t flags = 0; flags < 4; flags++)
		printf("%s \"%s\": %" PRIu64, flags ? "," : "", map_type(flags), print->totals[flags]);
	printf(" },\n  \"known\": %s\n}\n", backend->info.can_extents ? "true" : "false");
}

/* Printed as it comes: a map may be larger than memory. */
static int map_run(const char *spec, bool json, struct error *error)
{
	struct map_print print = { .json = json, .first = true };
	struct backend *backend;
	int code;

	code = backend_open(spec, &backend, error);
	if (code)
		return code;
	if (json)
		printf("{\n  \"extents\": [");
	else
		printf("%20s %20s  %s\n", "offset", "length", "type");
	code = map_walk(backend, extent_print, &print, error);
	if (!code && json)
		totals_json(&print, backend);
	else if (!code)
		totals_text(&print, backend);
	backend_close(backend);
	return code ? code : flushed();
}

/* Any backend. */

static const struct {
	const char *name;
	size_t offset;
} abilities[] = {
#define ABILITY(word, field)	{ word, offsetof(struct backend_info, field) }
	ABILITY("flush", can_flush),
	ABILITY("fua", can_fua),
	ABILITY("discard", can_discard),
	ABILITY("zeroes", can_zeroes),
	ABILITY("fast-zero", can_fast_zero),
	ABILITY("extents", can_extents),
	ABILITY("cache", can_cache),
#undef ABILITY
};
#define ABILITIES	(sizeof(abilities) / sizeof(abilities[0]))

static bool can(const struct backend_info *info, size_t i)
{
	return *(const bool *)((const char *)info + abilities[i].offset);
}

static void blocks_print(uint32_t min, uint32_t preferred, uint32_t max)
{
	char a[TELL], b[TELL], c[TELL];

	printf("  blocks       minimum %s, preferred %s, largest request %s\n", size_tell(min, a),
	       size_tell(preferred, b), max ? size_tell(max, c) : "not limited");
}

static int backend_text(const struct backend *backend)
{
	const struct backend_info *info = &backend->info;
	const char *separator = "";
	char text[TELL];

	printf("%s\n", backend->name);
	printf("  size         %s\n", size_tell(info->size, text));
	blocks_print(info->block_min, info->block_preferred, info->max_io);
	printf("  access       %s%s\n", info->read_only ? "read-only" : "read and write",
	       info->rotational ? ", rotational" : "");
	printf("  can          ");
	for (size_t i = 0; i < ABILITIES; i++) {
		if (can(info, i)) {
			printf("%s%s", separator, abilities[i].name);
			separator = ", ";
		}
	}
	printf("%s\n", *separator ? "" : "nothing more");
	return flushed();
}

static int backend_json(const struct backend *backend)
{
	const struct backend_info *info = &backend->info;
	cJSON *json = cJSON_CreateObject();
	bool fine = cJSON_AddStringToObject(json, "backend", backend->name) &&
		    json_add_u64(json, "size", info->size) &&
		    json_add_u64(json, "block_min", info->block_min) &&
		    json_add_u64(json, "block_preferred", info->block_preferred) &&
		    json_add_u64(json, "max_io", info->max_io) &&
		    cJSON_AddBoolToObject(json, "read_only", info->read_only) &&
		    cJSON_AddBoolToObject(json, "rotational", info->rotational);
	cJSON *array = cJSON_AddArrayToObject(json, "can");

	fine = fine && array;
	for (size_t i = 0; fine && i < ABILITIES; i++)
		if (can(info, i))
			fine = cJSON_AddItemToArray(array, cJSON_CreateString(abilities[i].name));
	if (!fine) {
		cJSON_Delete(json);
		json = NULL;
	}
	return json_print(json, false);
}

static int backend_run(const char *spec, const struct info_options *options, struct error *error)
{
	struct backend *backend;
	int code;

	code = backend_open(spec, &backend, error);
	if (code)
		return code;
	if (options->size)
		code = size_print(backend->info.size, options->json);
	else
		code = options->json ? backend_json(backend) : backend_text(backend);
	backend_close(backend);
	return code;
}

/* An NBD server. */

static void flags_text(uint16_t flags)
{
	const char *separator = "";

	printf("  flags        ");
	for (unsigned int bit = 0; server_flag_name(bit); bit++) {
		if (flags & (1u << bit)) {
			printf("%s%s", separator, server_flag_name(bit));
			separator = ", ";
		}
	}
	printf("%s\n", *separator ? "" : "none");
}

static void export_text(const struct server_export *e)
{
	char text[TELL];

	printf("  export       '%s'%s\n", e->name, *e->name ? "" : ", the default one");
	if (*e->canonical)
		printf("  also named   '%s'\n", e->canonical);
	if (*e->description)
		printf("  description  %s\n", e->description);
	if (*e->refused) {
		printf("  refused      %s\n", e->refused);
		return;
	}
	printf("  size         %s\n", e->export.size ? size_tell(e->export.size, text) :
					"0, or not told before it is used");
	blocks_print(e->export.block_min, e->export.block_preferred, e->export.payload_max);
	flags_text(e->export.flags);
	printf("  contexts     ");
	for (unsigned int i = 0; i < e->contexts_count; i++)
		printf("%s%s", i ? ", " : "", e->contexts[i]);
	printf("%s\n", e->contexts_count ? "" : "none");
}

static int server_text(const struct server *server, const char *name, bool list)
{
	printf("%s\n", name);
	printf("  protocol     %s, %s %s\n", server->protocol, nbd_headers_name(server->headers),
	       server->headers == NBD_HEADERS_EXTENDED ? "headers" : "replies");
	printf("  encryption   %s\n", *server->tls ? server->tls : "none");
	if (list)
		printf("  exports      %u\n", server->count);
	for (unsigned int i = 0; i < server->count; i++) {
		if (list)
			printf("\n");
		export_text(&server->exports[i]);
	}
	return flushed();
}

static bool flags_json(cJSON *json, uint16_t flags)
{
	cJSON *array = cJSON_AddArrayToObject(json, "flags");
	bool fine = array;

	for (unsigned int bit = 0; fine && server_flag_name(bit); bit++) {
		const char *name = server_flag_name(bit);

		if (flags & (1u << bit))
			fine = cJSON_AddItemToArray(array, cJSON_CreateString(name));
	}
	return fine;
}

static bool contexts_json(cJSON *json, const struct server_export *e)
{
	cJSON *array = cJSON_AddArrayToObject(json, "contexts");
	bool fine = array;

	for (unsigned int i = 0; fine && i < e->contexts_count; i++)
		fine = cJSON_AddItemToArray(array, cJSON_CreateString(e->contexts[i]));
	return fine;
}

/* Adds to @json. */
static bool export_json(cJSON *json, const struct server_export *e)
{
	bool fine = cJSON_AddStringToObject(json, "export", e->name) &&
		    cJSON_AddStringToObject(json, "canonical_name",
					    *e->canonical ? e->canonical : e->name) &&
		    cJSON_AddStringToObject(json, "description", e->description);

	if (*e->refused)
		return fine && cJSON_AddStringToObject(json, "refused", e->refused);
	return fine && json_add_u64(json, "size", e->export.size) &&
	       json_add_u64(json, "block_min", e->export.block_min) &&
	       json_add_u64(json, "block_preferred", e->export.block_preferred) &&
	       json_add_u64(json, "max_io", e->export.payload_max) &&
	       cJSON_AddBoolToObject(json, "read_only", e->export.flags & NBD_FLAG_READ_ONLY) &&
	       cJSON_AddBoolToObject(json, "rotational", e->export.flags & NBD_FLAG_ROTATIONAL) &&
	       flags_json(json, e->export.flags) && contexts_json(json, e);
}

static bool exports_json(cJSON *json, const struct server *server)
{
	cJSON *array = cJSON_AddArrayToObject(json, "exports");
	bool fine = array;

	for (unsigned int i = 0; fine && i < server->count; i++) {
		cJSON *object = cJSON_CreateObject();

		fine = cJSON_AddItemToArray(array, object) &&
		       export_json(object, &server->exports[i]);
	}
	return fine;
}

static int server_json(const struct server *server, const char *name, bool list)
{
	cJSON *json = cJSON_CreateObject();
	bool fine = cJSON_AddStringToObject(json, "backend", name) &&
		    cJSON_AddStringToObject(json, "protocol", server->protocol) &&
		    cJSON_AddStringToObject(json, "headers", nbd_headers_name(server->headers)) &&
		    (*server->tls ? cJSON_AddStringToObject(json, "tls", server->tls) :
				    cJSON_AddNullToObject(json, "tls")) &&
		    (list ? exports_json(json, server) : export_json(json, &server->exports[0]));

	if (!fine) {
		cJSON_Delete(json);
		json = NULL;
	}
	return json_print(json, false);
}

static int server_run(const struct nbd_uri *uri, const struct info_options *options,
		      struct error *error)
{
	struct server *server;
	char *name;
	int code;

	name = nbd_uri_format(uri);
	if (!name)
		return error_set(error, -ENOMEM, "out of memory");
	code = server_ask(uri, options->list, &server, error);
	if (code)
		error_prefix(error, "%s", name);
	else if (options->size)
		code = size_print(server->exports[0].export.size, options->json);
	else
		code = options->json ? server_json(server, name, options->list) :
				       server_text(server, name, options->list);
	server_free(server);
	free(name);
	return code;
}

/*
 * An NBD client may do without what tells data from holes where it slows down everything else; here
 * it is what is wanted. *@wanted: the URI that says so, to be freed.
 */
static int map_spec(const struct nbd_uri *uri, const char *spec, char **wanted)
{
	if (uri->headers_chosen)
		*wanted = strdup(spec);
	else if (asprintf(wanted, "%s%cheaders=extended", spec, strchr(spec, '?') ? '&' : '?') < 0)
		*wanted = NULL;
	return *wanted ? 0 : -ENOMEM;
}

static int server_map_run(const struct nbd_uri *uri, const char *spec, bool json,
			  struct error *error)
{
	char *wanted;
	int code;

	code = map_spec(uri, spec, &wanted);
	if (code)
		return error_set(error, code, "out of memory");
	code = map_run(wanted, json, error);
	free(wanted);
	return code;
}

/* Is @spec an NBD URI? *@rest: what is behind its scheme. */
static bool is_nbd(const char *spec, char scheme[16], const char **rest)
{
	size_t length = strcspn(spec, ":");

	if (!spec[length] || length >= 16)
		return false;
	memcpy(scheme, spec, length);
	scheme[length] = '\0';
	*rest = spec + length + 1;
	return nbd_uri_scheme(scheme);
}

static int info_run(const void *settings, int argc, char **argv, struct error *error)
{
	const struct info_options *options = settings;
	struct nbd_uri *uri;
	char scheme[16];
	const char *rest;
	bool nbd = is_nbd(argv[0], scheme, &rest);
	int code;

	(void)argc;
	if (options->map + options->list + options->size > 1) {
		error_set(error, -EINVAL, "--map, --list and --size exclude each other: give one");
		return EXIT_USAGE;
	}
	if (options->list && !nbd) {
		error_set(error, -EINVAL, "--list is for NBD servers: give an nbd:// URI");
		return EXIT_USAGE;
	}
	if (!nbd)
		return options->map ? map_run(argv[0], options->json, error) :
				      backend_run(argv[0], options, error);
	uri = malloc(sizeof(*uri));
	if (!uri)
		return error_set(error, -ENOMEM, "out of memory");
	code = nbd_uri_parse(scheme, rest, uri, error);
	if (!code && options->map)
		code = server_map_run(uri, argv[0], options->json, error);
	else if (!code)
		code = server_run(uri, options, error);
	free(uri);
	return code;
}

static void info_details(FILE *to)
{
	fprintf(to, "\nBACKEND is what r3map mount takes, see r3map-backends(7).\n");
}

const struct command command_info = {
	.name = "info",
	.arguments = "[OPTION]... BACKEND",
	.summary = "Show what a backend is and can do, such as an NBD server",
	.details = info_details,
	.options = info_opts,
	.defaults = &info_defaults,
	.settings_size = sizeof(info_defaults),
	.args_min = 1,
	.args_max = 1,
	.run = info_run,
};
