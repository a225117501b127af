#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The question: what does memory cost that another process fills, and what does each improvement of
# userfaultfd gain?
#
# Asked on the host, as nbd-server is: a handler (r3map uffd serve) of a file in memory, behind no delay
# or behind one of 10 or 40 ms a read, and a program that reads all of its memory in order (memory-clock.c), by
# one thread, or by 32, each a part. "first" is from nothing until the first 4 KiB are read; the rate is that
# of all from nothing on, of as many bytes as pass in some seconds. Subjects from plain to all add one
# improvement each; "signals" is SIGSEGV and mprotect. "1cpu" is with both on one processor, where one that wakes
# the other costs a switch; elsewhere it costs an interrupt, which a virtual machine makes dear. With BENCH_FIRST=1 before everything else that wants
# to run, but there, where they would not let each other. Run by run.sh.

set -euo pipefail
export TMPDIR=/dev/shm
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/bench.sh"

SUBJECTS_ALL="memory file signals plain events in-flight around populate minor all huge"
CASES_ALL="rtt0 rtt0-1cpu rtt10 rtt40 rtt0-t32 rtt10-t32 rtt40-t32"
R3MAP=${BENCH_R3MAP:-$BENCH_DIR/../user/r3map}
MIB=1048576
first=()
[ "${BENCH_FIRST:-0}" = 0 ] || first=(chrt -f 10)

handler=''
handler_end()
{
	[ -n "$handler" ] || return 0
	kill "$handler" 2>/dev/null || :
	wait "$handler" || :
	handler=''
}
cleanup()
{
	handler_end
	rm -rf "$BENCH_TMP"
}
trap cleanup EXIT

# improvements SUBJECT: for --improve
improvements()
{
	case $1 in
	plain | signals) echo none ;;
	events) echo events ;;
	in-flight) echo events,in-flight ;;
	around) echo events,in-flight,around ;;
	populate) echo events,in-flight,around,populate ;;
	minor) echo events,in-flight,around,populate,minor ;;
	all) echo all ;;
	huge) echo events,in-flight,populate,huge ;;
	*) bench_die "unknown subject '$1': give some of: $SUBJECTS_ALL" ;;
	esac
}

# limit SUBJECT RTT THREADS: bytes that pass in some seconds; 0: all
limit()
{
	local bytes=$((1 * MIB))
	[ "$2" != 0 ] || { echo 0; return; }
	case $1 in
	signals | plain | events) ;;
	in-flight) bytes=$((bytes * $3)) ;;
	around) bytes=$((bytes * 16 * $3)) ;;
	*) echo 0; return ;;
	esac
	[ "$2" = 10 ] || bytes=$((bytes / 4))
	[ "$bytes" -lt "$BENCH_BYTES" ] || bytes=0
	echo "$bytes"
}

# ask SUBJECT CASE REP
ask()
{
	local rtt=${2#rtt} threads=1 backend=file:$BENCH_TMP/disk line us mbps
	local -a what=(uffd "$BENCH_TMP/sock")
	local -a how=("${first[@]}")
	rtt=${rtt%-*}
	[[ $2 != *-t32 ]] || threads=32
	[[ $2 != *-1cpu ]] || how=(taskset -c 0)
	case $1 in
	memory | file)
		[ "$rtt" = 0 ] || return 0
		line=$("${how[@]}" "$BENCH_MEMORY_CLOCK" $threads 0 "$1" "$BENCH_TMP/disk")
		;;
	*)
		[ "$rtt" = 0 ] || backend=delay:${rtt}ms:$backend
		[ "$1" != signals ] || what+=(signals)
		"${how[@]}" "$R3MAP" uffd serve "$backend" --socket "$BENCH_TMP/sock" \
			--improve "$(improvements "$1")" 2>"$BENCH_TMP/log" &
		handler=$!
		bench_wait "the handler of $1" test -S "$BENCH_TMP/sock"
		line=$("${how[@]}" "$BENCH_MEMORY_CLOCK" $threads "$(limit "$1" "$rtt" $threads)" "${what[@]}") ||
			bench_die "$1 $2: the reader failed"
		handler_end
		;;
	esac
	read -r us mbps _ <<<"$line"
	bench_result "$1" "$2 first" lat_us "$3" "$us"
	bench_result "$1" "$2" mbps "$3" "$mbps"
}

# shellcheck disable=SC2086 # words are meant
mapfile -t subjects < <(printf '%s\n' ${BENCH_SUBJECTS:-$SUBJECTS_ALL})
# shellcheck disable=SC2086 # words are meant
mapfile -t cases < <(bench_cases $CASES_ALL)
BENCH_BYTES=$((256 * MIB))
head -c $BENCH_BYTES /dev/urandom >"$BENCH_TMP/disk"
# huge pages are the machine's to give
huge=$(awk '/^HugePages_Free/ { print $2 }' /proc/meminfo)
for case in "${cases[@]}"; do
	for ((rep = 1; rep <= BENCH_REPS; rep++)); do
		for subject in "${subjects[@]}"; do
			if [ "$subject" = huge ] && [ "${huge:-0}" -lt $((BENCH_BYTES / MIB / 2)) ]; then
				bench_result huge skipped reason "$rep" "there are too few huge pages (sysctl vm.nr_hugepages=$((BENCH_BYTES / MIB / 2)))"
				continue
			fi
			ask "$subject" "$case" "$rep"
		done
		bench_say "$rep: $case"
	done
done
