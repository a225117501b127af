/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the program tells while it runs, a line at a time, on stderr.
 *
 * For events that no caller is there to return an error for: a server that went away, a disk that
 * failed. What a function can return, it returns in a struct error. One write(2) a line, no
 * allocation, no lock: usable in every thread and while memory is short.
 *
 * A file that logs defines LOG_PREFIX before including this.
 */
#ifndef R3MAP_LOG_H
#define R3MAP_LOG_H

#ifndef LOG_PREFIX
#define LOG_PREFIX ""
#endif

enum log_level {
	LOG_LEVEL_ERROR,	/* something asked for does not happen */
	LOG_LEVEL_WARN,		/* it happens, but not as asked */
	LOG_LEVEL_INFO,		/* the default: what an operator wants to see */
	LOG_LEVEL_DEBUG,
};

/* Lines above @level are dropped. */
void log_set_level(enum log_level level);
/*
 * Sends every line to @sink (level, text without a newline) in place of stderr; NULL: stderr again.
 * For the tests. The sink is called in the thread that logs.
 */
void log_set_sink(void (*sink)(enum log_level level, const char *text));

void log_line(enum log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#define log_error(format, ...)	log_line(LOG_LEVEL_ERROR, LOG_PREFIX format, ##__VA_ARGS__)
#define log_warn(format, ...)	log_line(LOG_LEVEL_WARN, LOG_PREFIX format, ##__VA_ARGS__)
#define log_info(format, ...)	log_line(LOG_LEVEL_INFO, LOG_PREFIX format, ##__VA_ARGS__)
#define log_debug(format, ...)	log_line(LOG_LEVEL_DEBUG, LOG_PREFIX format, ##__VA_ARGS__)

#endif
