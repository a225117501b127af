#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The question: what does it cost to bring an old copy of a file up to date, beside rsync?
#
# Asked on the host, of processes, as nbd-server is. The file, of random bytes, and its copies are in memory. For each case
# the same pieces are changed for all subjects, which begin with the same old copy, in turn; what they make is compared
# with the file. Time is that of the clock, from the start of both ends to the end of both; processor time is that of
# both. "written" is a file of which 1 % has changed and which a program goes on writing to through mmap, 1000 times a
# second; it is compared after a second run, without that program. With BENCH_FIRST=1 what is timed comes before everything
# else that wants to run. Run by run.sh.

set -euo pipefail
export TMPDIR=/dev/shm
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/bench.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/delta.sh"

SUBJECTS_ALL="r3map r3map-xxh3 r3map-sha256 rsync rsync-inplace rsync-whole"
CASES_ALL="changed-0 changed-1 changed-10 changed-100 written small-0 small-1 small-10 small-100"

receiver='' writer=''
cleanup()
{
	[ -z "$receiver" ] || kill "$receiver" 2>/dev/null || :
	[ -z "$writer" ] || kill "$writer" 2>/dev/null || :
	rm -rf "$BENCH_TMP"
}
trap cleanup EXIT
cd "$BENCH_TMP"

# writes to "new" until it is ended
writer_start()
{
	python3 - <<-'END' &
		import mmap, os, random, time
		f = os.open("new", os.O_RDWR)
		m = mmap.mmap(f, 0)
		while True:
		    at = random.randrange(len(m) // 8) * 8
		    m[at:at + 8] = os.urandom(8)
		    time.sleep(0.001)
	END
	writer=$!
}
writer_end()
{
	kill "$writer"
	wait "$writer" || :
	writer=''
}

# delta_run SUBJECT: brings copies/new up to date
delta_run()
{
	case $1 in
	r3map) delta_r3map ;;
	r3map-xxh3) delta_r3map --hash xxh3 ;;
	r3map-sha256) delta_r3map --hash sha256 ;;
	rsync) rsync -I --no-whole-file --stats new copies/new ;;
	rsync-inplace) rsync -I --no-whole-file --inplace --stats new copies/new ;;
	rsync-whole) rsync -I --whole-file --stats new copies/new ;;
	*) bench_die "unknown subject '$1': give one of $SUBJECTS_ALL" ;;
	esac
}

# delta_bytes SUBJECT: what passed between both ends, from "out"
delta_bytes()
{
	case $1 in
	r3map*) jq .wire_bytes out ;;
	*) tr -d , <out | awk '/^Total bytes (sent|received):/ { n += $4 } END { print n }' ;;
	esac
}

# delta_once SUBJECT CASE REPETITION; $changed bytes have changed
delta_once()
{
	local seconds=0 cpu=0 bytes
	rm -rf copies
	mkdir copies
	cp old copies/new
	if [ "$2" = written ]; then	# the same for all, whatever was written for others
		[ -e begin ] || cp new begin
		cp begin new
		writer_start
	fi
	delta_first on
	delta_timed delta_run "$1"
	delta_first off
	bytes=$(delta_bytes "$1")
	bench_result "$1" "$2" s "$3" "$seconds"
	bench_result "$1" "$2" cpu_s "$3" "$cpu"
	bench_result "$1" "$2" mb "$3" "$(awk -v n="$bytes" 'BEGIN { print n / 1e6 }')"
	if [ "$2" = written ]; then
		writer_end
		delta_run "$1" >out
	elif [ "$changed" != 0 ]; then
		bench_result "$1" "$2" over_pct "$3" \
			"$(awk -v n="$bytes" -v c="$changed" 'BEGIN { print (n / c - 1) * 100 }')"
	fi
	cmp -s new copies/new || bench_die "$1 made something else of its copy"
}

# shellcheck disable=SC2086 # words are meant
mapfile -t cases < <(bench_cases $CASES_ALL)
for case in "${cases[@]}"; do
	bench_say "$case"
	percent=1 PIECES=16384		# of 64 KiB
	case $case in
	changed-*) percent=${case#changed-} ;;
	small-*) percent=${case#small-} PIECES=4096 ;;
	esac
	pieces=$((PIECES * percent / 100))
	changed=$((pieces * 65536))
	[ "$(stat -c %s old 2>/dev/null || :)" = $((PIECES * 65536)) ] ||
		head -c $((PIECES * 65536)) /dev/urandom >old
	delta_change "$percent"
	for ((rep = 1; rep <= BENCH_REPS; rep++)); do
		for subject in ${BENCH_SUBJECTS:-$SUBJECTS_ALL}; do
			delta_once "$subject" "$case" "$rep"
		done
	done
done
