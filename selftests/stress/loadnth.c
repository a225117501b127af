// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * loadnth FILE N: loads the module FILE while the N-th allocation that this takes fails. Prints how many
 * it was let have. Status 0 when it is loaded, 3 when there was no memory, else 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int nth = open("/proc/self/fail-nth", O_RDWR | O_CLOEXEC);
	int file = argc == 3 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
	int err, all = argc == 3 ? atoi(argv[2]) : 0;
	char left[16] = "";

	if (nth < 0 || file < 0 || pwrite(nth, argv[2], strlen(argv[2]), 0) < 0) {
		perror("loadnth");
		return 1;
	}
	err = syscall(SYS_finit_module, file, "", 0) ? errno : 0;
	if (pread(nth, left, sizeof(left) - 1, 0) < 0 || pwrite(nth, "0", 1, 0) < 0) {
		perror("loadnth");
		return 1;
	}
	printf("%d\n", all - atoi(left));
	if (err && err != ENOMEM)
		fprintf(stderr, "loadnth: %s\n", strerror(err));
	return !err ? 0 : err == ENOMEM ? 3 : 1;
}
