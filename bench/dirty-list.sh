#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The question: how long does the last list of a migration take, of a region of 64 GiB of which one in 100 grains of 4 KiB
# was written? By what both ends tell: "list", the seeder's, from the last write on its way until it answers;
# "receive", until the leecher has the list, which is all of sending it here, with one processor for both ends; "apply",
# dropping what it says and letting bios go. Scattered, in pieces of two grains; and in 41 pieces of 16 MiB.
# "told" is the first two together: taking and sending. "receive" begins when FINALIZED has come to the leecher, and the
# seeder may have sent some of the list by then.
# What is written is discarded, so that it takes no memory: for the list that is the same. It is done while the application
# would be stopped, by --suspend, so that no round takes it away. There is a deadline, of a clock that jumps to it when
# nothing is to be done but to wait for the host's disk: so the programs are in memory, and somebody always has to do.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/far.sh"

SIZE=64G
spinner=''

shown_is()
{
	[ "$(far_r3map show -j "$1" | jq -r "$2")" = "$3" ]
}

# spins: somebody who always has to do, when nobody else has, until spins_end
spins()
{
	chrt --idle 0 sh -c 'while :; do :; done' &
	spinner=$!
}

spins_end()
{
	kill -KILL "$spinner"
	wait "$spinner" 2>/dev/null || :
}

# local_run PROGRAM ARGUMENT...: one that is in memory
local_run()
{
	chroot "$ROOT" "$(command -v "$1")" "${@:2}" >"$BENCH_TMP/local" 2>&1 ||
		bench_die "$1: $(tail -n 1 "$BENCH_TMP/local")"
}

# written CASE: 1 in 100 grains of /dev/r3map0
written()
{
	local i
	case $1 in
	scattered)
		local_run fio --name=list --filename=/dev/r3map0 --rw=randtrim --bs=8k --size="$SIZE" --io_size=656m \
			--norandommap --random_generator=tausworthe64 --ioengine=psync --direct=1
		;;
	clustered)
		for ((i = 0; i < 41; i++)); do
			local_run blkdiscard -o $((i * 1600))M -l 16M /dev/r3map0
		done
		;;
	*) bench_die "unknown case '$1': give scattered or clustered" ;;
	esac
}

list()
{
	local case=$1 rep=$2 part finalize shown
	rm -f "$ROOT/stopped"
	far_r3map seed --daemon --no-mlock --index 0 --unix /seed.sock --suspend ': >/stopped; read -r go </go' "mem:$SIZE" \
		>"$BENCH_TMP/seed" 2>&1 || bench_die "the seeder: $(tail -n 1 "$BENCH_TMP/seed")"
	far_r3map leech --daemon --no-mlock --chunk-size 4K --deadline 60s --index 1 "nbd+unix:///?socket=/seed.sock" \
		>"$BENCH_TMP/leech" 2>&1 || bench_die "the leecher: $(tail -n 1 "$BENCH_TMP/leech")"
	bench_wait "the leecher to follow" shown_is /dev/r3map1 .migration.phase following
	exec 9</dev/r3map0
	spins
	far_r3map finalize /dev/r3map1 >"$BENCH_TMP/told" &
	finalize=$!
	bench_wait "the application to be stopped" test -e "$ROOT/stopped"
	written "$case"
	spins_end
	echo go >&8
	wait $finalize || bench_die "it is not finalized"
	shown=$(far_r3map show -j /dev/r3map1)
	for part in list receive apply; do
		bench_result r3map "$case $part" ms "$rep" "$(jq ".migration.downtime.${part}_ns / 1e6" <<<"$shown")"
	done
	bench_result r3map "$case told" ms "$rep" \
		"$(jq '.migration.downtime | (.list_ns + .receive_ns) / 1e6' <<<"$shown")"
	bench_say "$case $rep: $(jq -c .migration.downtime <<<"$shown")"
	bench_wait "all of it" shown_is /dev/r3map1 .migration.phase complete
	exec 9<&-
	far_r3map umount /dev/r3map1 >/dev/null
	bench_wait "the seeder to go" test ! -e /sys/block/r3map0
}

far_begin r3map
far_command r3map-managed
for program in /bin/sh "$(command -v fio)" "$(command -v blkdiscard)"; do root_install "$program"; done
mkfifo "$ROOT/go"
# whose reader may have been given up, and is not to be waited for
exec 8<>"$ROOT/go"
mapfile -t cases < <(bench_cases scattered clustered)
for case in "${cases[@]}"; do
	for ((rep = 1; rep <= BENCH_REPS; rep++)); do list "$case" "$rep"; done
done
