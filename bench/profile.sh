#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Usage: profile.sh [OPTION...] SUBJECT CASE
#
# Where does the time of one case go? Samples every --period virtual
# nanoseconds, which in virtual time is every so many instructions, while fio
# runs the case, and prints the top symbols of kernel and user space, per
# program, with the cost in microseconds per request. Code that runs with
# interrupts off is charged to where they are switched on again.

set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)

profile_help()
{
	cat <<-'END'
	usage: profile.sh [OPTION...] SUBJECT CASE
	  --top N            so many symbols (60)
	  --period NS        virtual nanoseconds between samples (50000)
	  --runtime MS       virtual milliseconds (500)
	  --graph SYMBOL     print who calls SYMBOL, too
	  --kernel NAME, --r3map FILE, --ko FILE, --mount-options S    as in run.sh
	END
}

# profile_requests STAT: reads and writes completed so far
profile_requests()
{
	local -a f
	read -ra f <"$1"
	echo $((f[0] + f[4]))
}

# profile_flows STAT FILE: there are some more than in FILE
profile_flows()
{
	[ "$(profile_requests "$1")" -gt $(($(cat "$2") + 100)) ]
}

# profile_guest SUBJECT CASE: the part that runs in the machine
profile_guest()
{
	# shellcheck source-path=SCRIPTDIR
	. "$here/lib/bench.sh"
	# shellcheck source-path=SCRIPTDIR
	. "$here/lib/subject.sh"
	local perf chains=()
	# run where the host finds its symbols, too
	BENCH_KEEP_PROGRAM=1
	# the wrapper wants perf of this very kernel; any perf will do
	perf=$(command -v perf_"$(uname -r | cut -d. -f1-2)" || command -v perf)
	subject_up "$1" || bench_die "$1: $SUBJECT_WHY"
	bench_fio "$SUBJECT_DEVICE" fill >/dev/null
	echo 100000 >/proc/sys/kernel/perf_event_max_sample_rate
	echo 0 >/proc/sys/kernel/perf_cpu_time_max_percent
	echo 0 >/proc/sys/kernel/kptr_restrict
	[ -z "$PROFILE_GRAPH" ] || chains=(-g)
	# perf starts only when requests flow, and they flow until it has ended
	local stat fio
	stat=/sys/block/${SUBJECT_DEVICE#/dev/}/stat
	(cd "$BENCH_DIR/jobs" && BENCH_RUNTIME=600s BENCH_DEVICE=$SUBJECT_DEVICE \
		exec fio --output=/dev/null "$2.fio") &
	fio=$!
	profile_requests "$stat" >"$BENCH_TMP/before"
	bench_wait "the first requests" profile_flows "$stat" "$BENCH_TMP/before"
	"$perf" record -q -B -N -a -e cpu-clock -c "$PROFILE_PERIOD" "${chains[@]}" \
		-o "$BENCH_TMP/perf.data" -- "$0" --window "$stat" "$BENCH_TMP/requests" >&2
	kill -INT $fio
	wait $fio || :
	cp "$BENCH_TMP/requests" "$BENCH_TMP/perf.data" "$R3MAP_OUT"
	cat /proc/kallsyms >"$R3MAP_OUT/kallsyms"
	subject_down
}

# profile_window STAT FILE: what perf runs; counts the requests meanwhile
profile_window()
{
	local before
	before=$(profile_requests "$1")
	sleep "$PROFILE_SECONDS"
	echo $(($(profile_requests "$1") - before)) >"$2"
}

if [ "${1:-}" = --window ]; then
	profile_window "$2" "$3"
	exit
fi
if [ "${1:-}" = --guest ]; then
	profile_guest "$2" "$3"
	exit
fi

# shellcheck source-path=SCRIPTDIR
. "$here/../selftests/vm/common.sh"
top=60 period=50000 runtime=500 graph='' kernel=6.12 program='' ko='' options=''
while [ $# -gt 0 ]; do
	case $1 in
	--top | --period | --runtime | --graph | --kernel | --r3map | --ko | --mount-options)
		[ $# -ge 2 ] || vm_usage "$1 wants a value: see profile.sh --help"
		;;&
	--top) top=$2; shift 2 ;;
	--period) period=$2; shift 2 ;;
	--runtime) runtime=$2; shift 2 ;;
	--graph) graph=$2; shift 2 ;;
	--kernel) kernel=$2; shift 2 ;;
	--r3map) program=$(realpath "$2"); shift 2 ;;
	--ko) ko=$(realpath "$2"); shift 2 ;;
	--mount-options) options=$2; shift 2 ;;
	--help) profile_help; exit 0 ;;
	-*) vm_usage "unknown option '$1': see profile.sh --help" ;;
	*) break ;;
	esac
done
if [ $# != 2 ] || [ ! -e "$here/jobs/$2.fio" ]; then
	vm_usage "give a subject and a case: see profile.sh --help"
fi
command -v perf >/dev/null || vm_die "perf is missing: apt-get install linux-perf"
"$here/../selftests/vm/packages.sh" build lab peers
[ -n "$program" ] || make --no-print-directory -s -C "$R3MAP_TOP/user" >&2
[ -n "$ko" ] || ko=$("$here/../selftests/vm/module.sh" "$kernel")
seconds=$(printf '%d.%03d' $((runtime / 1000)) $((runtime % 1000)))
rublk=$R3MAP_CACHE/ublk/bin/rublk
[ -x "$rublk" ] || rublk=$(command -v rublk || :)
tmp=$(mktemp -d "${TMPDIR:-/tmp}/r3map-bench.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
"$here/../selftests/vm/boot.sh" --kernel "$kernel" --mem 2G --icount --module "$ko" --out "$tmp" \
	--timeout 1800 --env "BENCH_R3MAP=$program" --env "BENCH_MOUNT_OPTIONS=$options" \
	--env "BENCH_RUBLK=$rublk" \
	--env "PROFILE_PERIOD=$period" --env "PROFILE_GRAPH=$graph" \
	--env "PROFILE_SECONDS=$seconds" -- bench/profile.sh --guest "$1" "$2"

# names are looked up here: the emulated processor would take minutes
perf script -f --kallsyms "$tmp/kallsyms" -i "$tmp/perf.data" -F comm,ip,sym,dso \
	2>/dev/null >"$tmp/script"
awk -v period="$period" -v requests="$(cat "$tmp/requests")" -v seconds="$seconds" \
	-v top="$top" -v what="$1 $2" -f "$here/lib/profile.awk" "$tmp/script"
if [ -n "$graph" ]; then
	perf report -f --kallsyms "$tmp/kallsyms" -i "$tmp/perf.data" --stdio --no-children \
		-S "$graph" -G 2>/dev/null | grep -v '^#' | head -n 80
fi
