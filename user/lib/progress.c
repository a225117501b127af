// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How far long work has come. See progress.h.
 */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "lib/progress.h"

#define BAR	20u			/* characters */
#define RECENT	0.3			/* how much the newest rate counts */
#define SECOND	1000000000.0		/* ns */

/* "31M", "1.5G": three digits at most. */
static char *amount_format(double bytes, char text[16])
{
	static const char units[] = "BKMGTPE";
	unsigned int unit = 0;

	while (bytes >= 999.5 && unit + 2 < sizeof(units)) {
		bytes /= 1024;
		unit++;
	}
	snprintf(text, 16, bytes < 9.95 && unit ? "%.1f%c" : "%.0f%c", bytes, units[unit]);
	return text;
}

/* "5 s", "3 min", "2 h 10 min" */
static char *left_format(double seconds, char text[40])
{
	if (seconds < 90)
		snprintf(text, 40, "%.0f s left", seconds);
	else if (seconds < 5400)
		snprintf(text, 40, "%.0f min left", seconds / 60);
	else if (seconds < 360000)
		snprintf(text, 40, "%.0f h left", seconds / 3600);
	else
		snprintf(text, 40, "days left");
	return text;
}

char *progress_format(uint64_t done, uint64_t total, uint64_t rate, char text[PROGRESS_TEXT])
{
	double part = total ? (double)done / (double)total : 1;
	unsigned int percent, full;
	char a[16], b[16], c[16], left[40], bar[BAR + 1];
	int used;

	if (done > total)
		part = 1;
	percent = (unsigned int)(part * 100);	/* never 100 unless it is all */
	full = (unsigned int)(part * BAR);
	memset(bar, ' ', BAR);
	memset(bar, '#', full);
	bar[BAR] = '\0';
	used = snprintf(text, PROGRESS_TEXT, "%3u%% [%s] %s of %s", percent, bar,
			amount_format((double)done, a), amount_format((double)total, b));
	if (rate && done < total)
		snprintf(text + used, (size_t)(PROGRESS_TEXT - used), ", %s/s, %s",
			 amount_format((double)rate, c),
			 left_format((double)(total - done) / (double)rate, left));
	return text;
}

void progress_init(struct progress *progress, FILE *to)
{
	*progress = (struct progress){ .to = to, .terminal = isatty(fileno(to)) };
}

void progress_show(struct progress *progress, uint64_t done, uint64_t total, uint64_t now,
		   const char *more)
{
	char text[PROGRESS_TEXT];

	if (progress->begun && now > progress->looked && done >= progress->done) {
		double rate = (double)(done - progress->done) * SECOND /
			      (double)(now - progress->looked);

		progress->rate = progress->rate ?
				 progress->rate * (1 - RECENT) + rate * RECENT : rate;
	}
	progress->begun = true;
	progress->done = done;
	progress->looked = now;
	fprintf(progress->to, "%s%s%s%s", progress->terminal ? "\r\033[K" : "",
		progress_format(done, total, (uint64_t)progress->rate, text), more,
		progress->terminal ? "" : "\n");
	fflush(progress->to);
}

void progress_end(struct progress *progress)
{
	if (progress->begun && progress->terminal)
		fputc('\n', progress->to);
}
