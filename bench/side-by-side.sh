#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The question: what does the same job cost on each path, in time, processor and network? A region of 128 MiB, 10 ms
# away, from before there is a path until it is taken away again:
#
# all     all of it is read, in order
# some    a page of each MiB is read
# write   the same pages are written, and are at the server
#
# "s" is the job by the clock, once the path is there, and with what makes it be there ("with ready"); "machine" is the processor
# time of the whole machine, client, network and server, in which what waits costs nothing; bytes are those of both directions on
# the network. Beside the paths of lib/path.sh: "copy", nbdcopy of all to a file, which is then used, and back where
# it was written; and "delta", r3map send and receive of a file: to a place where nothing is, to read; to one that has the
# old content, to write.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/far.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/path.sh"

BENCH_SIZE=128M
STEP=1048576
FILE=/tmp/region
PORT=10810

# side_mark: so far; sets side_us (of the clock), side_idle (s), side_bytes
side_mark()
{
	side_us=${EPOCHREALTIME/./}
	side_idle=$(awk '$1 == "cpu" { print ($5 + $6) / 100 }' /proc/stat)
	side_bytes=$(($(cat /sys/class/net/near0/statistics/rx_bytes) + $(cat /sys/class/net/near0/statistics/tx_bytes)))
}

# side_job JOB: on the path that is up; sets PATH_SECONDS
side_job()
{
	case $1 in
	all) path_use 0 ;;
	some) path_use 0 --step=$STEP ;;
	write)
		path_use 0 --step=$STEP --write
		case $PATH_NAME in
		r3map-managed | r3map-pipeline)
			far_tasks sync
			PATH_SECONDS=$(awk -v a="$PATH_SECONDS" -v ms="$(far_time sync)" 'BEGIN { print a + ms / 1000 }')
			;;
		esac
		;;
	esac
}

# side_copy JOB
side_copy()
{
	rm -f "$ROOT$FILE"
	root_timed "$NBDCOPY" "$FAR_URI" "$FILE"
	PATH_NAME=copy PATH_MEMORY=(file "$FILE") PATH_READY=$(side_ms "$ROOT_TOOK")
	side_job "$1"
	[ "$1" = write ] || return 0
	root_timed "$NBDCOPY" "$FILE" "$FAR_URI"
	PATH_SECONDS=$(awk -v a="$PATH_SECONDS" -v b="$ROOT_TOOK" 'BEGIN { print a + b }')
}

# side_ms SECONDS
side_ms()
{
	awk -v s="$1" 'BEGIN { print s * 1000 }'
}

# side_receive ADDRESS [COMMAND...]: r3map receive, started by COMMAND; sets side_receiver
side_receive()
{
	local address=$1
	shift
	"$@" chroot "$ROOT" "$SUBJECT_PROGRAM" receive --once --listen "$address:$PORT" /tmp/copy \
		>/dev/null 2>"$BENCH_TMP/receive.err" &
	side_receiver=$!
	bench_wait "r3map receive" grep -q 'listens on' "$BENCH_TMP/receive.err"
}

# side_delta JOB
side_delta()
{
	local side_receiver
	PATH_NAME="delta"
	subject_program ""
	root_install "$SUBJECT_PROGRAM"
	if [ "$1" = write ]; then
		# both sides have the old content; this one writes
		rm -rf "$ROOT/tmp/copy"
		mkdir "$ROOT/tmp/copy"
		cp "$PATH_FILE" "$ROOT/tmp/copy/"
		side_receive "$FAR_ADDRESS" ip netns exec far
		PATH_MEMORY=(file "$PATH_FILE") PATH_READY=0
		side_job write
		root_timed "$SUBJECT_PROGRAM" send --to "$FAR_ADDRESS:$PORT" "$PATH_FILE" >/dev/null
		wait "$side_receiver"
		PATH_SECONDS=$(awk -v a="$PATH_SECONDS" -v b="$ROOT_TOOK" 'BEGIN { print a + b }')
		return
	fi
	rm -rf "$ROOT/tmp/copy"
	side_receive 10.77.0.1
	root_timed -n far "$SUBJECT_PROGRAM" send --to "10.77.0.1:$PORT" "$PATH_FILE" >/dev/null
	wait "$side_receiver"
	PATH_MEMORY=(file "/tmp/copy/$(basename "$PATH_FILE")") PATH_READY=$(side_ms "$ROOT_TOOK")
	side_job "$1"
}

# side_once SUBJECT JOB REPETITION
side_once()
{
	local us idle bytes
	side_mark
	us=$side_us idle=$side_idle bytes=$side_bytes
	case $1 in
	copy | delta) "side_$1" "$2" ;;
	*)
		path_up "$1"
		side_job "$2"
		path_down
		;;
	esac
	side_mark
	bench_result "$1" "$2" s "$3" "$PATH_SECONDS"
	bench_result "$1" "$2 with ready" s "$3" "$(awk -v a="$PATH_SECONDS" -v ms="$PATH_READY" 'BEGIN { print a + ms / 1000 }')"
	bench_result "$1" "$2 machine" cpu_s "$3" \
		"$(awk -v us=$((side_us - us)) -v a="$idle" -v b="$side_idle" 'BEGIN { print us / 1e6 - (b - a) }')"
	bench_result "$1" "$2 network" mb "$3" "$(awk -v n=$((side_bytes - bytes)) 'BEGIN { print n / 1e6 }')"
	bench_say "$1 $2 $3: $PATH_SECONDS s, ready after $PATH_READY ms, $(((side_bytes - bytes) / 1000)) kB"
}

BENCH_SUBJECTS=${BENCH_SUBJECTS:-copy,delta,signals,uffd-plain,uffd-all,kernel-nbd,r3map-direct,r3map-managed,r3map-pipeline}
path_begin
NBDCOPY=$(command -v nbdcopy)
# it brings GnuTLS along, which r3map loads for its hashes
root_install "$NBDCOPY"
far_delay 10
mapfile -t cases < <(bench_cases all some write)
for case in "${cases[@]}"; do
	for subject in $(subject_list); do
		# they cannot tell what was written
		case $subject,$case in
		signals,write | uffd-plain,write) continue ;;
		esac
		for ((rep = 1; rep <= BENCH_REPS; rep++)); do
			side_once "$subject" "$case" "$rep"
		done
	done
done
far_end
