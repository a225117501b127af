#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The question: what does a managed mount cost in memory, besides its store? What the module says it
# has, and what the helper has (PSS without the store, after a second of pulling), for regions of
# several sizes, with the chunks that the program takes by itself. In KiB, and in thousandths of the
# region. In the root in memory nobody else has the helper's libraries, so they are counted as its own; "private" is
# what no other process could have in common with it.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/far.sh"

far_begin r3map-managed,r3map-pipeline
mapfile -t cases < <(bench_cases 1G 16G 64G 256G 1T)
for case in "${cases[@]}"; do
	far_serve pattern "$case"
	far_delay 0
	for subject in $(subject_list); do
		far_command "$subject" --pull-rate 100M
		for ((rep = 1; rep <= BENCH_REPS; rep++)); do
			far_clock pause:1000
			pid=$(pgrep -f "^$SUBJECT_PROGRAM mount" | head -n 1)
			read -r helper private < <(awk '/^[0-9a-f]+-[0-9a-f]+ / { store = /memfd:/ }
				/^Pss:/ && !store { pss += $2 }
				/^Anonymous:/ && !store { own += $2 } END { print pss, own }' "/proc/$pid/smaps")
			module=0
			[ "$subject" != r3map-managed ] ||
				module=$(($(far_r3map show --json "$FAR_DEVICE" |
					jq '.. | .memory? // empty' | head -n 1) / 1024))
			far_detach
			bench_result "$subject" "$case helper" kib "$rep" "$helper"
			bench_result "$subject" "$case private" kib "$rep" "$private"
			bench_result "$subject" "$case module" kib "$rep" "$module"
			bench_result "$subject" "$case" permille "$rep" \
				"$(awk -v kb=$((helper + module)) -v s="$(numfmt --from=iec "$case")" \
					'BEGIN { printf "%.4f", kb * 1024 * 1000 / s }')"
			bench_say "$subject $case $rep: helper $helper KiB ($private private), module $module KiB"
		done
	done
	far_end
done
