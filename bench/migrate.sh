#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The question: how long does an application stop when its region of 256 MiB moves to another host, while it writes
# 1, 10 or 50 MB/s, at RTT 0, 10 and 30 ms? A migration: from the last write that was let in on the one side until the
# first read that waited is served on the other, both by the kernel's clock, which is the same for both here. And what there
# was before: a managed mount that is closed on the one side, with what is left written back, and opened on the other, from the
# start of the command that unmounts until a read is served.
# The application is fio, 4 KiB at random places; it is not stopped by anything but the writes that wait. Case
# "rtt10 at 50 MB/s" is a round trip of 10 ms and that writer; what he really writes, from when the leecher follows, or the
# mount is there, until he stops, is "written".
# Case "bytes": what is sent, by the seeder's own count, for each byte of the region and each that is written while it
# moves, by a writer that touches one in 20 a second, at RTT 10 ms.
# And, case "tracked": what does it cost a writer, with one write at a time and with 32, that what he writes is remembered? With a leecher that asks for
# nothing: here it would be paid for by the same processor.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/far.sh"

port=10811
RATES="1 10 50"		# MB/s
writer=''

# writes DEVICE RATE: the application, in the background; bytes a second
writes()
{
	fio --name=writer --filename="$1" --rw=randwrite --bs=4k --direct=1 --ioengine=libaio --iodepth=4 \
		--rate="$2" --time_based --runtime=1h >"$BENCH_TMP/fio" 2>&1 &
	writer=$!
	sleep 2
	kill -0 $writer || bench_die "fio has ended: $(tail -n 2 "$BENCH_TMP/fio")"
}

writes_end()
{
	# asked to end, it and the process of its job may take longer than all that is measured
	pkill -KILL -x fio || :
	wait $writer 2>/dev/null || :
}

# far_shown DEVICE FILTER: what r3map show says, by jq
far_shown()
{
	far_r3map show -j "$1" | jq -r "$2"
}

shown_is()
{
	[ "$(far_shown "$1" "$2")" = "$3" ]
}

# written_begin DEVICE, written_end DEVICE SUBJECT CASE REP: what was written in between, MB/s
written_begin()
{
	WRITTEN_BEGIN=${EPOCHREALTIME/./} WRITTEN=$(far_shown "$1" .counters.write_bytes)
}

written_end()
{
	local now=${EPOCHREALTIME/./} bytes
	bytes=$(far_shown "$1" .counters.write_bytes)
	bench_result "$2" "$3 written" mbps "$4" \
		"$(awk -v b=$((bytes - WRITTEN)) -v us=$((now - WRITTEN_BEGIN)) 'BEGIN { printf "%.2f", b / us }')"
}

# seeder_begin: a seeder of a full region, /dev/r3map0, on the other side
seeder_begin()
{
	ip netns exec far chroot "$ROOT" "$SUBJECT_PROGRAM" seed --daemon --index 0 --listen "$FAR_ADDRESS:$port" \
		"mem:$BENCH_SIZE" >"$BENCH_TMP/seed" 2>&1 || bench_die "the seeder: $(tail -n 1 "$BENCH_TMP/seed")"
	chroot "$ROOT" "$BENCH_REGION_CLOCK" /dev/r3map0 fill >/dev/null || bench_die "the region is not filled"
}

# leecher_begin URI: one that follows a seeder, /dev/r3map1
leecher_begin()
{
	far_r3map leech --daemon --index 1 "$1" >"$BENCH_TMP/leech" 2>&1 ||
		bench_die "the leecher: $(tail -n 1 "$BENCH_TMP/leech")"
	bench_wait "the leecher to follow" shown_is /dev/r3map1 .migration.phase following
}

# migration RATE CASE REP
migration()
{
	local rate=$1 case=$2 rep=$3 held first
	seeder_begin
	writes /dev/r3map0 "${rate}000000"
	leecher_begin "nbd://$FAR_ADDRESS:$port/"
	# some rounds, so that what is written in one is what is written while another one lasts
	written_begin /dev/r3map0
	sleep 2
	written_end /dev/r3map0 migration "$case" "$rep"
	exec 9</dev/r3map0
	dd if=/dev/r3map1 of=/dev/null bs=4k count=1 iflag=direct status=none &
	far_r3map finalize /dev/r3map1 >"$BENCH_TMP/told" || bench_die "it is not finalized"
	wait $! || bench_die "who waited was not served"
	held=$(far_shown /dev/r3map0 .held_since)
	first=$(far_shown /dev/r3map1 .first_io)
	bench_result migration "$case" ms "$rep" "$(awk -v a="$held" -v b="$first" 'BEGIN { printf "%.3f", (b - a) / 1e6 }')"
	bench_result migration "$case told" ms "$rep" \
		"$(far_shown /dev/r3map1 '.migration.downtime.ns / 1e6')"
	bench_result migration "$case freeze before" ms "$rep" \
		"$(far_shown /dev/r3map1 '.migration.downtime.freeze_ns / 1e6')"
	writes_end
	bench_wait "all of it" shown_is /dev/r3map1 .migration.phase complete
	exec 9<&-
	bench_say "migration $case $rep: $(cat "$BENCH_TMP/told")"
	far_r3map umount /dev/r3map1 >/dev/null
	bench_wait "the seeder to go" test ! -e /sys/block/r3map0
}

# managed RATE CASE REP
managed()
{
	local rate=$1 case=$2 rep=$3 begin end stop
	ip netns exec far chroot "$ROOT" "$SUBJECT_PROGRAM" mount --managed --daemon --index 1 --no-part-scan \
		--pull-first "$BENCH_SIZE" "$FAR_URI" >"$BENCH_TMP/mount" 2>&1 ||
		bench_die "the mount on the other side: $(tail -n 1 "$BENCH_TMP/mount")"
	writes /dev/r3map1 "${rate}000000"
	written_begin /dev/r3map1
	sleep 2
	written_end /dev/r3map1 managed "$case" "$rep"
	writes_end
	begin=${EPOCHREALTIME/./}
	far_r3map umount /dev/r3map1 >/dev/null
	end=${EPOCHREALTIME/./}
	far_command r3map-managed
	far_clock first:134217728
	# what comes behind the first read, and starting what measures, is no part of it
	stop=$(awk -v a=$((end - begin)) -v b="$(far_time ready)" -v c="$(far_time first)" \
		'BEGIN { printf "%.1f", a / 1000 + b + c }')
	bench_result managed "$case" ms "$rep" "$stop"
	bench_say "managed $case $rep: $stop ms"
	far_detach
}

# writer_kiops DEPTH: what a writer reaches on /dev/r3map0
writer_kiops()
{
	local kiops
	bench_fio /dev/r3map0 "randwrite-qd$1" >"$BENCH_TMP/json"
	read -r _ _ _ kiops _ < <(jq -r "$BENCH_JQ | @tsv" "$BENCH_TMP/json")
	echo "$kiops"
}

bytes()
{
	local case=$1 rep=$2 size before after sent
	seeder_begin
	size=$(blockdev --getsize64 /dev/r3map0)
	writes /dev/r3map0 $((size / 20))
	before=$(far_shown /dev/r3map0 .counters.write_bytes)
	leecher_begin "nbd://$FAR_ADDRESS:$port/"
	sleep 2
	exec 9</dev/r3map0
	far_r3map finalize /dev/r3map1 >"$BENCH_TMP/told" || bench_die "it is not finalized"
	bench_wait "all of it" shown_is /dev/r3map1 .migration.phase complete
	after=$(far_shown /dev/r3map0 .counters.write_bytes)
	sent=$(far_shown /dev/r3map0 .sent)
	writes_end
	bench_result migration "$case" x "$rep" \
		"$(awk -v s="$sent" -v r="$size" -v w=$((after - before)) 'BEGIN { printf "%.3f", s / (r + w) }')"
	bench_say "bytes $rep: $sent sent, $(far_shown /dev/r3map1 .migration.received) received, $((after - before)) written," \
		"$(far_shown /dev/r3map1 .migration.round) rounds"
	exec 9<&-
	far_r3map umount /dev/r3map1 >/dev/null
	bench_wait "the seeder to go" test ! -e /sys/block/r3map0
}

tracked()
{
	local case=$1 rep=$2 depth leecher
	local -A before
	far_r3map seed --daemon --index 0 --unix "/seed.sock" "mem:$BENCH_SIZE" >"$BENCH_TMP/seed" 2>&1 ||
		bench_die "the seeder: $(tail -n 1 "$BENCH_TMP/seed")"
	for depth in 1 32; do
		writer_kiops $depth >/dev/null
		before[$depth]=$(writer_kiops $depth)
	done
	leecher_begin "nbd+unix:///?socket=/seed.sock"
	leecher=$(cat /sys/block/r3map1/r3map/helper_pid)
	kill -STOP "$leecher"
	for depth in 1 32; do
		bench_result migration "$case at depth $depth before" kiops "$rep" "${before[$depth]}"
		bench_result migration "$case at depth $depth" kiops "$rep" "$(writer_kiops $depth)"
	done
	kill -CONT "$leecher"
	bench_say "tracked $rep: before: ${before[1]} kIOPS at depth 1, ${before[32]} at depth 32"
	far_r3map umount /dev/r3map1 >/dev/null
	far_r3map umount /dev/r3map0 >/dev/null
	sleep 0.5
}

far_begin migration,managed
far_memory "$BENCH_SIZE"
far_command r3map-managed
mapfile -t cases < <(bench_cases tracked bytes rtt0 rtt10 rtt30)
for case in "${cases[@]}"; do
	if [ "$case" = bytes ]; then
		far_delay 10
		for ((rep = 1; rep <= BENCH_REPS; rep++)); do bytes "$case" "$rep"; done
		continue
	fi
	if [ "$case" = tracked ]; then
		for ((rep = 1; rep <= BENCH_REPS; rep++)); do tracked "$case" "$rep"; done
		continue
	fi
	far_delay "${case#rtt}"
	for subject in ${BENCH_SUBJECTS//,/ }; do
		case $subject in migration | managed) ;; *)
			bench_die "unknown subject '$subject': give migration or managed" ;;
		esac
		for rate in $RATES; do
			for ((rep = 1; rep <= BENCH_REPS; rep++)); do
				$subject "$rate" "$case at $rate MB/s" "$rep"
			done
		done
	done
done
far_end
