// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sizes, times, numbers and options, as people type them: a number that is understood comes back
 * from its own text, and none is taken for another one by overflow.
 */
#include "fuzz.h"

#include "lib/opt.h"
#include "lib/size.h"

#define WORDS	16

struct settings {
	bool flag, other;
	uint32_t number, bytes, time;
	uint64_t size;
	int choice;
	const char *string;
	struct opt_list list;
	uint64_t guard;
};

static const char *const choices[] = { "one", "two", "three", NULL };

static const struct opt opts[] = {
	{ OPT_FLAG, "flag", 'f', .offset = offsetof(struct settings, flag), .help = "h" },
	{ OPT_FLAG, "no-other", 0, .clear = true, .offset = offsetof(struct settings, other),
	  .help = "h" },
	{ OPT_U32, "number", 'n', .offset = offsetof(struct settings, number), .value = "N",
	  .help = "h", .min = 2, .max = 4096 },
	{ OPT_SIZE32, "bytes", 'b', .offset = offsetof(struct settings, bytes), .value = "SIZE",
	  .help = "h", .min = 512 },
	{ OPT_SIZE64, "size", 's', .offset = offsetof(struct settings, size), .value = "SIZE",
	  .help = "h" },
	{ OPT_TIME, "time", 't', .offset = offsetof(struct settings, time), .value = "TIME",
	  .help = "h", .min = 1, .max = 3600000 },
	{ OPT_CHOICE, "choice", 'c', .offset = offsetof(struct settings, choice), .value = "WORD",
	  .help = "h", .words = choices },
	{ OPT_STRING, "string", 0, .offset = offsetof(struct settings, string), .value = "TEXT",
	  .help = "h" },
	{ OPT_LIST, "list", 'l', .offset = offsetof(struct settings, list), .value = "TEXT",
	  .help = "h" },
	{ OPT_END },
};

static void numbers_look(const char *text)
{
	struct error error = { 0 };
	uint64_t value, again;
	char back[SIZE_TEXT];
	uint32_t ms = 0;
	int code;

	code = size_parse(text, &value, &error);
	if (code) {
		error_look(&error, code);
	} else {
		CLAIM(!size_parse(size_format(value, back), &again, &error) && again == value);
		CLAIM(value >= strtoull(text, NULL, 10));
	}
	code = duration_parse(text, &value, &error);
	if (code) {
		error_look(&error, code);
	} else {
		CLAIM(!duration_parse(duration_format(value, back), &again, &error));
		CLAIM(again == value && value >= strtoull(text, NULL, 10));
	}
	code = number_parse(text, 3, 1000000, &value, &error);
	if (code)
		error_look(&error, code);
	else
		CLAIM(value == strtoull(text, NULL, 10) && value >= 3 && value <= 1000000);
	code = opt_time(text, &ms);
	CLAIM(code == 0 || code == -EINVAL || code == -ERANGE);
	CLAIM(code || strtoull(text, NULL, 10) <= ms);
}

/* A line is a word. */
static void options_look(char *text)
{
	struct settings settings = { .other = true, .number = 2, .guard = 0x5eed };
	char *argv[WORDS + 2] = { (char *)"r3map" };
	struct error error = { 0 };
	int argc = 1, rest = -1;
	unsigned int i;
	int code;

	for (; text && argc <= WORDS; argc++)
		argv[argc] = strsep(&text, "\n");
	code = opt_parse(opts, argc, argv, &settings, &rest, &error);
	CLAIM(settings.guard == 0x5eed);
	CLAIM(settings.number >= 2 && settings.number <= 4096);
	CLAIM(!settings.bytes || settings.bytes >= 512);
	CLAIM(settings.time <= 3600000);
	CLAIM(settings.choice >= 0 && settings.choice < 3);
	CLAIM(settings.list.count <= OPT_LIST_MAX);
	for (i = 0; i < settings.list.count; i++)
		CLAIM(settings.list.items[i]);
	if (code) {
		error_look(&error, code);
		CLAIM(code == -EINVAL);
	} else {
		CLAIM(rest >= 0 && rest < argc);
		for (i = 1; i <= (unsigned int)rest; i++)
			CLAIM(argv[i]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	bool options = input8(&in) & 1;
	char *text = input_string(&in);

	if (options)
		options_look(text);
	else
		numbers_look(text);
	free(text);
	return 0;
}
