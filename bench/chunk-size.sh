#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The question: what does the size of a chunk do, and who should make the chunks? At the client,
# "client": a managed mount without a pull, which fetches whole chunks. At the server, "server": a
# direct mount, which asks for what it is asked for, of a server that reads whole chunks from where it
# has them (nbdkit's blocksize filter). Reads of 4 KiB in an order without pattern (ms of each), and all
# of 64 MiB through the page cache (MB/s).

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/far.sh"

far_begin client,server
mapfile -t cases < <(bench_cases rtt0 rtt10)
for case in "${cases[@]}"; do
	far_delay "${case#rtt}"
	for subject in $(subject_list); do
		for chunk in 4K 16K 64K 256K 1M; do
			case $subject in
			client)
				far_memory 64M
				far_command r3map-managed --pull-workers 0 --chunk-size "$chunk"
				;;
			server)
				# the most that the filter has
				case $chunk in 256K | 1M) continue ;; esac
				far_memory 64M --filter=blocksize minblock="$chunk"
				far_command r3map-direct
				;;
			*) bench_die "unknown subject '$subject': give client, server" ;;
			esac
			for ((rep = 1; rep <= BENCH_REPS; rep++)); do
				far_clock some:200:0:67108864
				far_detach
				ms=$(sed -n 's/^read //p' "$FAR_OUT" | awk '{ sum += $1 } END { print sum / NR }')
				bench_result "$subject" "$case 4K of $chunk" ms "$rep" "$ms"
				far_clock all
				far_detach
				mbps=$(awk -v ms="$(far_time all)" 'BEGIN { printf "%.2f", 67108.864 / ms }')
				bench_result "$subject" "$case all by $chunk" mbps "$rep" "$mbps"
				bench_say "$subject $case $chunk $rep: $ms ms, $mbps MB/s"
			done
			far_end
		done
	done
done
