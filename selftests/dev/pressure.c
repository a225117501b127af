// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pressure MEBIBYTES ROUNDS: fills so much memory with numbers that depend on the place and the
 * round, and checks them before it fills again. In a memory cgroup that is smaller, every round
 * goes out to swap and comes back.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

int main(int argc, char **argv)
{
	size_t words, rounds, i, round;
	uint64_t *at;

	if (argc != 3)
		return 2;
	words = strtoul(argv[1], NULL, 0) << 17;
	rounds = strtoul(argv[2], NULL, 0);
	at = mmap(NULL, words * 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		return 1;
	for (round = 0; round <= rounds; round++) {
		/* One word in eight: the rest is zero, and has to stay it. */
		for (i = 0; i < words; i += 8) {
			if (round && (at[i] != i * 31 + round || at[i + 1])) {
				fprintf(stderr, "pressure: word %zu is wrong in round %zu\n", i, round);
				return 1;
			}
			at[i] = i * 31 + round + 1;
		}
	}
	return 0;
}
