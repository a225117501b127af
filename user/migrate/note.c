// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Words for the next helper. See note.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/error.h"
#include "migrate/note.h"
#include "mount/door.h"

static const char *const kinds[] = { [NOTE_LEECH] = "leech", [NOTE_SEED] = "seed" };

static void note_path(const char *device, enum note_kind kind, char path[80])
{
	snprintf(path, 80, DOOR_FOLDER "/%.32s.%s", strrchr(device, '/') + 1, kinds[kind]);
}

int note_write(const char *device, enum note_kind kind, uint64_t generation, uint64_t value,
	       struct error *error)
{
	char path[80], fresh[96], text[48];
	int fd, length, err = 0;

	note_path(device, kind, path);
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	length = snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64 "\n", generation, value);
	mkdir(DOOR_FOLDER, 0700);
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, text, (size_t)length) != length)
		err = -errno;
	if (fd >= 0)
		close(fd);
	if (!err && rename(fresh, path) < 0)
		err = -errno;
	return err ? error_set(error, err, "cannot write %s, which another helper would need: %s", path,
			       strerror(-err)) : 0;
}

bool note_read(const char *device, enum note_kind kind, uint64_t generation, uint64_t *value)
{
	uint64_t of = 0, found;
	char path[80];
	FILE *in;
	int got;

	note_path(device, kind, path);
	in = fopen(path, "re");
	if (!in)
		return false;
	got = fscanf(in, "%" SCNu64 " %" SCNu64, &of, &found);
	fclose(in);
	if (got != 2 || of != generation)
		return false;
	*value = found;
	return true;
}

void note_remove(const char *device, enum note_kind kind)
{
	char path[80];

	note_path(device, kind, path);
	unlink(path);
}
