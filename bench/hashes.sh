#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The question: how fast are writes found by hashing? Each hash of user/sync by one thread and by two, with chunks of
# several sizes, and of the whole region at once, which says that something was written, not where, and which
# one thread has to do. Beside it memcmp() with a copy of all of it, memcpy(), and what coreutils has for whole files.
# 256 MiB in memory, by processor time. Run by run.sh.

set -euo pipefail
export TMPDIR=/dev/shm
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/bench.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/delta.sh"
trap 'rm -rf "$BENCH_TMP"' EXIT
cd "$BENCH_TMP"

SUBJECTS_ALL="memcpy memcmp xxh3 crc32c blake2 sha256 sha256sum b2sum"
CASES_ALL="4K 16K 64K 256K 1M whole 4K-t2 16K-t2 64K-t2 256K-t2 1M-t2"
MIB=256

# hashes_gbps SUBJECT CASE
hashes_gbps()
{
	local threads=1 chunk=${2%-t2} seconds=0 cpu=0
	[[ $2 != *-t2 ]] || threads=2
	[ "$chunk" != whole ] || chunk=0
	case $1 in
	sha256sum | b2sum)
		delta_timed "$1" "$BENCH_TMP/file"
		awk -v s="$cpu" -v mib=$MIB 'BEGIN { print mib * 1048576 / 1e9 / s }'
		;;
	*) "$BENCH_HASH_CLOCK" "$1" "$(numfmt --from=iec "$chunk")" $threads $MIB ;;
	esac
}

head -c $((MIB * 1048576)) /dev/urandom >"$BENCH_TMP/file"
# shellcheck disable=SC2086 # words are meant
mapfile -t cases < <(bench_cases $CASES_ALL)
for case in "${cases[@]}"; do
	for ((rep = 1; rep <= BENCH_REPS; rep++)); do
		for subject in ${BENCH_SUBJECTS:-$SUBJECTS_ALL}; do
			[[ $subject != *sum || $case = whole ]] || continue
			bench_result "$subject" "$case" gbps "$rep" "$(hashes_gbps "$subject" "$case")"
		done
	done
	bench_say "$case"
done
