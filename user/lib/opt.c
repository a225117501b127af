// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Options as data, see opt.h. getopt_long is not used: it prints by itself, permutes behind one's
 * back and accepts abbreviations, which would turn every new option into a break of old scripts.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "lib/error.h"
#include "lib/opt.h"
#include "lib/size.h"

int opt_time(const char *text, uint32_t *ms)
{
	static const struct { const char *name; uint64_t ms; } units[] = {
		{ "", 1000 }, { "s", 1000 }, { "ms", 1 }, { "m", 60000 }, { "min", 60000 },
		{ "h", 3600000 }, { "d", 86400000 },
	};
	uint64_t whole = 0, part = 0, scale = 1, total;
	bool digits = false;

	for (; *text >= '0' && *text <= '9'; text++, digits = true) {
		whole = whole * 10 + (uint64_t)(*text - '0');
		if (whole > UINT32_MAX)
			return -ERANGE;
	}
	if (*text == '.') {
		for (text++; *text >= '0' && *text <= '9'; text++, digits = true) {
			if (scale >= 1000000)	/* finer than any unit can show */
				continue;
			part = part * 10 + (uint64_t)(*text - '0');
			scale *= 10;
		}
	}
	if (!digits)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(text, units[i].name))
			continue;
		total = whole * units[i].ms + part * units[i].ms / scale;
		if (total > UINT32_MAX)
			return -ERANGE;
		*ms = (uint32_t)total;
		return 0;
	}
	return -EINVAL;
}

static int opt_range(const struct opt *opt, uint64_t value, uint64_t limit, const char *text,
		     struct error *error)
{
	uint64_t max = opt->max ? opt->max : limit;

	if (value >= opt->min && value <= max)
		return 0;
	return error_set(error, -EINVAL, "--%s %s is out of range: give %" PRIu64 " to %" PRIu64,
			 opt->name, text, opt->min, max);
}

static int opt_choice(const struct opt *opt, const char *text, int *choice, struct error *error)
{
	char all[256] = "";
	size_t used = 0;

	for (int i = 0; opt->words[i]; i++) {
		if (!strcmp(opt->words[i], text)) {
			*choice = i;
			return 0;
		}
		used += (size_t)snprintf(all + used, sizeof(all) - used, "%s%s", i ? ", " : "",
					 opt->words[i]);
		if (used >= sizeof(all))
			break;
	}
	return error_set(error, -EINVAL, "--%s does not know '%s': give one of %s", opt->name,
			 text, all);
}

static int opt_append(const struct opt *opt, const char *text, struct opt_list *list,
		      struct error *error)
{
	if (list->count == OPT_LIST_MAX)
		return error_set(error, -EINVAL, "--%s can be given at most %d times", opt->name,
				 OPT_LIST_MAX);
	list->items[list->count++] = text;
	return 0;
}

/* Stores one option's value. @text is NULL only for OPT_FLAG. */
static int opt_store(const struct opt *opt, const char *text, void *settings, struct error *error)
{
	void *field = (char *)settings + opt->offset;
	uint64_t value = 0;
	uint32_t ms;
	int err;

	switch (opt->type) {
	case OPT_FLAG:
		*(bool *)field = !opt->clear;
		return 0;
	case OPT_STRING:
		*(const char **)field = text;
		return 0;
	case OPT_LIST:
		return opt_append(opt, text, field, error);
	case OPT_CHOICE:
		return opt_choice(opt, text, field, error);
	case OPT_U32:
		err = number_parse(text, 0, UINT64_MAX, &value, NULL);
		if (err == -EINVAL)
			return error_set(error, err, "--%s needs a number, not '%s'", opt->name,
					 text);
		break;
	case OPT_SIZE32:
	case OPT_SIZE64:
		err = size_parse(text, &value, NULL);
		if (err == -EINVAL)
			return error_set(error, err,
					 "--%s needs a size such as 4096, 64K or 1G, not '%s'",
					 opt->name, text);
		break;
	case OPT_TIME:
		err = opt_time(text, &ms);
		if (err == -EINVAL)
			return error_set(error, err,
					 "--%s needs a time such as 30, 1.5s, 500ms or 2m, not '%s'",
					 opt->name, text);
		value = err ? UINT64_MAX : ms;
		if (value < opt->min || (opt->max && value > opt->max))
			return error_set(error, -EINVAL,
					 "--%s %s is out of range: give %" PRIu64 "ms to %" PRIu64 "s",
					 opt->name, text, opt->min,
					 (opt->max ? opt->max : UINT32_MAX) / 1000);
		*(uint32_t *)field = ms;
		return 0;
	default:
		return error_set(error, -EINVAL, "--%s has no type", opt->name);
	}
	if (err)	/* too long for a number at all */
		value = UINT64_MAX;
	err = opt_range(opt, value, opt->type == OPT_SIZE64 ? UINT64_MAX - 1 : UINT32_MAX, text,
			error);
	if (err)
		return err;
	if (opt->type == OPT_SIZE64)
		*(uint64_t *)field = value;
	else
		*(uint32_t *)field = (uint32_t)value;
	return 0;
}

static const struct opt *opt_find(const struct opt *opts, const char *name, size_t length)
{
	for (; opts->type != OPT_END; opts++)
		if (strlen(opts->name) == length && !strncmp(opts->name, name, length))
			return opts;
	return NULL;
}

static const struct opt *opt_find_letter(const struct opt *opts, char letter)
{
	for (; opts->type != OPT_END; opts++)
		if (opts->letter && opts->letter == letter)
			return opts;
	return NULL;
}

/* "--name", "--name=value", "--name value". *@i is moved over a value of its own. */
static int opt_long(const struct opt *opts, int argc, char **argv, int *i, void *settings,
		    struct error *error)
{
	const char *name = argv[*i] + 2;
	size_t length = strcspn(name, "=");
	const char *text = name[length] ? name + length + 1 : NULL;
	const struct opt *opt = opt_find(opts, name, length);

	if (!opt)
		return error_set(error, -EINVAL, "there is no option --%.*s, see --help",
				 (int)length, name);
	if (opt->type == OPT_FLAG && text)
		return error_set(error, -EINVAL, "--%s takes no value", opt->name);
	if (opt->type != OPT_FLAG && !text) {
		if (*i + 1 >= argc)
			return error_set(error, -EINVAL, "--%s needs a value: %s", opt->name,
					 opt->value);
		text = argv[++*i];
	}
	return opt_store(opt, text, settings, error);
}

/* "-j", "-jv", "-nvalue", "-n value". */
static int opt_short(const struct opt *opts, int argc, char **argv, int *i, void *settings,
		     struct error *error)
{
	const char *letters = argv[*i] + 1;
	const struct opt *opt;
	int err;

	for (; *letters; letters++) {
		opt = opt_find_letter(opts, *letters);
		if (!opt)
			return error_set(error, -EINVAL, "there is no option -%c, see --help",
					 *letters);
		if (opt->type != OPT_FLAG) {
			if (letters[1])
				return opt_store(opt, letters + 1, settings, error);
			if (*i + 1 >= argc)
				return error_set(error, -EINVAL, "-%c needs a value: %s", *letters,
						 opt->value);
			return opt_store(opt, argv[++*i], settings, error);
		}
		err = opt_store(opt, NULL, settings, error);
		if (err)
			return err;
	}
	return 0;
}

int opt_parse(const struct opt *opts, int argc, char **argv, void *settings, int *rest,
	      struct error *error)
{
	bool options = true;
	int out = 1;
	int err;

	for (int i = 1; i < argc; i++) {
		if (!options || argv[i][0] != '-' || !argv[i][1]) {
			argv[out++] = argv[i];
			continue;
		}
		if (!strcmp(argv[i], "--")) {
			options = false;
			continue;
		}
		err = argv[i][1] == '-' ? opt_long(opts, argc, argv, &i, settings, error) :
					  opt_short(opts, argc, argv, &i, settings, error);
		if (err)
			return err;
	}
	*rest = out - 1;
	return 0;
}

void opt_print(const struct opt *opts, FILE *to)
{
	char left[64];

	for (; opts->type != OPT_END; opts++) {
		const char *often = opts->type == OPT_LIST ? "; may be repeated" : "";

		snprintf(left, sizeof(left), "%s%c%s --%s%s%s", opts->letter ? "-" : " ",
			 opts->letter ? opts->letter : ' ', opts->letter ? "," : " ", opts->name,
			 opts->type == OPT_FLAG ? "" : " ", opts->type == OPT_FLAG ? "" : opts->value);
		if (strlen(left) > 30)
			fprintf(to, "  %s\n  %-30s  %s%s\n", left, "", opts->help, often);
		else
			fprintf(to, "  %-30s  %s%s\n", left, opts->help, often);
	}
}
