#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The question: what does it cost a sender to have 1, 4, 16 receivers? With a hub between them; and without, peer to
# peer, where he sends to each, one after the other; and rsync, the same. A file of 256 MiB, of whose pieces of 64 KiB
# 10 % are others than in the copies of the receivers. Processor time is that of the sender alone, bytes are what passes between him and others; the time
# by the clock is until all receivers are as the file is. Of processes on the host, through unix sockets. Run by run.sh.

set -euo pipefail
export TMPDIR=/dev/shm
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/bench.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/delta.sh"

SUBJECTS_ALL="r3map-hub r3map-peers rsync-peers"
CASES_ALL="receivers-1 receivers-4 receivers-16"
PIECES=4096		# of 64 KiB

others=()
cleanup()
{
	[ ${#others[@]} = 0 ] || kill "${others[@]}" 2>/dev/null || :
	wait
	rm -rf "$BENCH_TMP"
}
trap cleanup EXIT
cd "$BENCH_TMP"

# star_send ADDRESS: r3map send; adds what it cost to $cpu and $mb
star_send()
{
	delta_timed "$R3MAP" send -j --to "$1" new
	mb=$(jq --argjson so_far "$mb" '$so_far + .wire_bytes / 1e6' out)
}

# star_same N: have all receivers what the sender has?
star_same()
{
	local i
	for ((i = 1; i <= $1; i++)); do
		cmp -s new "copies/$i/new" || return
	done
}

star_hub()
{
	local i
	mkdir store
	cp old store/new
	"$R3MAP" hub -l "unix:$PWD/up" -o "unix:$PWD/down" store >/dev/null 2>hub.err &
	others=($!)
	bench_wait "r3map hub" grep -q 'for receivers' hub.err
	for ((i = 1; i <= $1; i++)); do
		"$R3MAP" receive --from "unix:$PWD/down" "copies/$i" >"told.$i" 2>"receive.$i" &
		others+=($!)
	done
	for ((i = 1; i <= $1; i++)); do
		bench_wait "receiver $i to have what was there" test -s "told.$i"
	done
	begin=${EPOCHREALTIME/./}
	star_send "unix:$PWD/up"
	bench_wait "all receivers" star_same "$1"
	end=${EPOCHREALTIME/./}
}

star_peers()
{
	local i
	for ((i = 1; i <= $1; i++)); do
		"$R3MAP" receive --once -l "unix:$PWD/peer.$i" "copies/$i" >/dev/null 2>"receive.$i" &
		others+=($!)
		bench_wait "receiver $i" grep -q 'listens on' "receive.$i"
	done
	begin=${EPOCHREALTIME/./}
	for ((i = 1; i <= $1; i++)); do
		star_send "unix:$PWD/peer.$i"
	done
	end=${EPOCHREALTIME/./}
	wait "${others[@]}"
	others=()
}

# rsync's other end is a process of its own, which this does not count
star_rsync()
{
	local i
	begin=${EPOCHREALTIME/./}
	for ((i = 1; i <= $1; i++)); do
		delta_timed rsync -I --no-whole-file --stats -e "$PWD/rsh" new "other:$PWD/copies/$i/new"
		mb=$(tr -d , <out | awk -v so_far="$mb" '/^Total bytes (sent|received):/ { n += $4 } END { print so_far + n / 1e6 }')
	done
	end=${EPOCHREALTIME/./}
}

# a remote shell of this host, whose time is not the sender's: it is no child that he waits for
printf '#!/bin/sh\nshift\nexec setsid -f "$@"\n' >rsh
chmod +x rsh

# star_once SUBJECT RECEIVERS REPETITION
star_once()
{
	local i cpu=0 mb=0 seconds=0 begin end
	rm -rf copies store told.* receive.*
	for ((i = 1; i <= $2; i++)); do
		mkdir -p "copies/$i"
		cp old "copies/$i/new"
	done
	case $1 in
	r3map-hub) star_hub "$2" ;;
	r3map-peers) star_peers "$2" ;;
	rsync-peers) star_rsync "$2" ;;
	*) bench_die "unknown subject '$1': give one of $SUBJECTS_ALL" ;;
	esac
	star_same "$2" || bench_die "$1: a receiver has something else"
	[ ${#others[@]} = 0 ] || kill "${others[@]}"
	wait
	others=()
	bench_result "$1" "receivers-$2" cpu_s "$3" "$cpu"
	bench_result "$1" "receivers-$2" mb "$3" "$mb"
	bench_result "$1" "receivers-$2" s "$3" "$(awk -v us=$((end - begin)) 'BEGIN { print us / 1e6 }')"
	bench_say "$1 $2 $3: $cpu s of processor time, $mb MB sent"
}

head -c $((PIECES * 65536)) /dev/urandom >old
delta_change 10
# shellcheck disable=SC2086 # words are meant
mapfile -t cases < <(bench_cases $CASES_ALL)
for case in "${cases[@]}"; do
	for ((rep = 1; rep <= BENCH_REPS; rep++)); do
		for subject in ${BENCH_SUBJECTS:-$SUBJECTS_ALL}; do
			star_once "$subject" "${case#receivers-}" "$rep"
		done
	done
done
