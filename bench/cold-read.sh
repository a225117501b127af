#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The question: how fast does a region come that nobody has read yet, when all of it is read, one byte
# after the other, through the page cache? 256 MiB, from a server behind FAR_RATE, at several round
# trips. In MB/s, of the time from when the device is ready; and from when the command was started. Beside it
# what TCP alone does with as many bytes: tcp on one connection, tcp-N on N that are open before.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/far.sh"

far_begin "$FAR_SUBJECTS,tcp,tcp-4,tcp-16"
root_install "$BENCH_TCP_CLOCK"

# tcp_case SUBJECT: as many bytes from another server, on as many connections
tcp_case()
{
	local connections=1 ms server
	[ "$1" = tcp ] || connections=${1#tcp-}
	mkfifo "$BENCH_TMP/listens"
	ip netns exec far "$BENCH_TCP_CLOCK" serve 5000 "$connections" >"$BENCH_TMP/listens" &
	server=$!
	read -r _ <"$BENCH_TMP/listens" || bench_die "$1 $case: tcp-clock does not listen"
	for ((rep = 1; rep <= BENCH_REPS; rep++)); do
		ms=$(chroot "$ROOT" "$BENCH_TCP_CLOCK" read "$FAR_ADDRESS" 5000 "$connections" 268435456) ||
			bench_die "$1 $case: tcp-clock fails"
		bench_result "$1" "$case" mbps "$rep" "$(awk -v ms="$ms" 'BEGIN { printf "%.2f", 268435.456 / ms }')"
		bench_say "$1 $case $rep: $ms ms"
	done
	kill "$server"
	wait "$server" || :
	rm "$BENCH_TMP/listens"
}

far_memory "$BENCH_SIZE"
mapfile -t cases < <(bench_cases rtt0 rtt10 rtt30)
for case in "${cases[@]}"; do
	far_delay "${case#rtt}"
	for subject in $(subject_list); do
		case $subject in tcp*) tcp_case "$subject"; continue ;; esac
		far_command "$subject"
		for ((rep = 1; rep <= BENCH_REPS; rep++)); do
			far_clock all
			far_detach
			bench_result "$subject" "$case" mbps "$rep" \
				"$(awk -v ms="$(far_time all)" 'BEGIN { printf "%.2f", 268435.456 / ms }')"
			bench_result "$subject" "$case with attach" mbps "$rep" \
				"$(awk -v ms="$(far_time all)" -v ready="$(far_time ready)" \
					'BEGIN { printf "%.2f", 268435.456 / (ms + ready) }')"
			bench_say "$subject $case $rep: $(far_time all) ms, ready after $(far_time ready) ms"
		done
	done
done
far_end
