#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The question: what does a slow store do to a managed mount, and when is a direct mount faster? 256
# MiB, read once through the page cache (MB/s), then 4 KiB random writes past it, 32 at a time (kIOPS).
# The store is memory (memfd), a file in memory (tmpfs), or a file on a disk that needs 1 or 10 ms for
# each request (ext4 on r3map's own delay backend).

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/far.sh"

far_begin direct,memfd,tmpfs,disk-1ms,disk-10ms
export BENCH_RUNTIME=500ms
far_file "$BENCH_SIZE"
far_serve file "$FAR_FILE"
modprobe ext4
subject_module ""
subject_program ""

# slow_disk DELAY: an ext4 on a disk of such requests, on $BENCH_TMP/disk
slow_disk()
{
	"$SUBJECT_PROGRAM" mount --index 7 --daemon --log "$BENCH_TMP/disk.log" "delay:$1:mem:320M" >/dev/null
	mkfs.ext4 -q -O ^has_journal -E lazy_itable_init=0 /dev/r3map7
	mkdir -p "$BENCH_TMP/disk"
	mount /dev/r3map7 "$BENCH_TMP/disk"
	mkdir -p "$ROOT$BENCH_TMP/disk"
	mount --bind "$BENCH_TMP/disk" "$ROOT$BENCH_TMP/disk"
}

slow_disk_end()
{
	umount "$ROOT$BENCH_TMP/disk" "$BENCH_TMP/disk"
	"$SUBJECT_PROGRAM" umount /dev/r3map7
}

mapfile -t cases < <(bench_cases rtt0 rtt10)
for case in "${cases[@]}"; do
	far_delay "${case#rtt}"
	for subject in $(subject_list); do
		store=''
		case $subject in
		direct) far_command r3map-direct ;;
		memfd) far_command r3map-managed ;;
		tmpfs) store=$BENCH_TMP/store ;;
		disk-*) slow_disk "${subject#disk-}"; store=$BENCH_TMP/disk/store ;;
		*) bench_die "unknown subject '$subject': give direct, memfd, tmpfs, disk-1ms, disk-10ms" ;;
		esac
		[ -z "$store" ] || far_command r3map-managed --store "$store"
		for ((rep = 1; rep <= BENCH_REPS; rep++)); do
			far_clock all
			mbps=$(awk -v ms="$(far_time all)" 'BEGIN { printf "%.2f", 268435.456 / ms }')
			bench_fio "$FAR_DEVICE" randwrite-qd32 >"$BENCH_TMP/json"
			read -r _ _ _ kiops _ < <(jq -r "$BENCH_JQ | @tsv" "$BENCH_TMP/json")
			far_detach
			[ -z "$store" ] || rm -f "$store" "$store.map"
			bench_result "$subject" "$case read" mbps "$rep" "$mbps"
			bench_result "$subject" "$case write" kiops "$rep" "$kiops"
			bench_say "$subject $case $rep: $mbps MB/s, $kiops kIOPS"
		done
		case $subject in disk-*) slow_disk_end ;; esac
	done
done
far_end
