// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Log lines: see log.h.
 *
 * A line is built on the stack and leaves in one write(2), so that lines of several threads do not
 * mix. Never allocates, never fails: a line that cannot be written is lost. Keeps errno.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

#define LINE_MAX_BYTES	1024

static _Atomic int line_level = LOG_LEVEL_INFO;
static void (*_Atomic line_sink)(enum log_level level, const char *text);

void log_set_level(enum log_level level)
{
	atomic_store(&line_level, (int)level);
}

void log_set_sink(void (*sink)(enum log_level level, const char *text))
{
	atomic_store(&line_sink, sink);
}

void log_line(enum log_level level, const char *format, ...)
{
	static const char *const names[] = { "error: ", "warning: ", "", "debug: " };
	void (*sink)(enum log_level level, const char *text);
	char line[LINE_MAX_BYTES];
	int saved = errno;
	size_t used;
	ssize_t wrote;
	va_list args;

	if ((int)level > atomic_load_explicit(&line_level, memory_order_relaxed))
		return;

	sink = atomic_load(&line_sink);
	used = 0;
	if (!sink)
		used = (size_t)snprintf(line, sizeof(line), "r3map: %s", names[level]);
	va_start(args, format);
	vsnprintf(line + used, sizeof(line) - used - 1, format, args);
	va_end(args);

	if (sink) {
		sink(level, line);
	} else {
		used = strlen(line);
		line[used++] = '\n';
		wrote = write(STDERR_FILENO, line, used);
		(void)wrote;
	}
	errno = saved;
}
