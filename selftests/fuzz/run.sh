#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Usage: run.sh TARGET...
#
# What `make -C selftests fuzz` does once the targets are built: tries the
# inputs of the tree with each of them, then new ones for FUZZ_TIME seconds
# (20), two targets at a time, and prints KTAP. What a target fails with is
# kept in FUZZ_OUT (in the cache) and told with the command that shows it
# again; so is what reaches new code, for the next run to start from.

set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
# shellcheck source-path=SCRIPTDIR
. "$here/../vm/common.sh"

FUZZ_TIME=${FUZZ_TIME:-20}
FUZZ_OUT=${FUZZ_OUT:-$R3MAP_CACHE/fuzz}
FUZZ_JOBS=${FUZZ_JOBS:-$(nproc)}
FUZZ_SEED=${FUZZ_SEED:-1}
[ $# -gt 0 ] || vm_usage "give at least one target"
mkdir -p "$FUZZ_OUT/log" "$FUZZ_OUT/found"
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1
export UBSAN_OPTIONS=print_stacktrace=1

# fuzz_one TARGET: its exit status is left in the log's folder
fuzz_one()
{
	local target=$1 status=0
	mkdir -p "$FUZZ_OUT/corpus/$target"
	nice -n 10 "$here/../bin/fuzzer/$target" -seed="$FUZZ_SEED" \
		-max_total_time="$FUZZ_TIME" -max_len=2048 -timeout=60 \
		-rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix="$FUZZ_OUT/found/$target-" \
		"$FUZZ_OUT/corpus/$target" "$here/corpus/$target" \
		>"$FUZZ_OUT/log/$target" 2>&1 </dev/null || status=$?
	echo $status >"$FUZZ_OUT/log/$target.status"
}

# fuzz_result N TARGET: its line of KTAP
fuzz_result()
{
	local n=$1 target=$2 log=$FUZZ_OUT/log/$2 found runs coverage
	coverage=$(grep -o 'cov: [0-9]*' "$log" | tail -n 1)
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	if [ "$(cat "$log.status")" = 0 ]; then
		echo "ok $n $target # ${runs:-0} inputs in $FUZZ_TIME s, ${coverage:-no coverage}"
		return
	fi
	failed=$((failed + 1))
	sed -n '/does not hold\|ERROR:\|runtime error\|^ *#[0-9]* 0x.* in \|SUMMARY/p' "$log" |
		head -n 40 | sed 's/^/# /'
	found=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
	echo "not ok $n $target"
	if [ -n "$found" ]; then
		echo "# to see it again: selftests/bin/fuzzer/$target $found"
		echo "# once it is mended, keep the input as selftests/fuzz/corpus/$target/found-WHAT"
	else
		echo "# its output: $log"
	fi
}

failed=0 n=0 running=0
printf 'KTAP version 1\n1..%d\n' $#
for target; do
	if [ $running -ge "$FUZZ_JOBS" ]; then
		wait -n
		running=$((running - 1))
	fi
	fuzz_one "$target" &
	running=$((running + 1))
done
wait
for target; do
	n=$((n + 1))
	fuzz_result $n "$target"
done
printf '# Totals: pass:%d fail:%d skip:0\n' $((n - failed)) $failed
[ $failed = 0 ]
