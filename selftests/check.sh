#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What `make check` does: sets everything up, runs the host rings here and
# the kernel rings in machines of the lab. From the environment:
#
#	KERNELS	kernels of the lab, each perhaps with its processors (6.12:2)
#	CPUS	processors for the kernels that say nothing ("1 2")
#	TESTS	only these, named relative to selftests/
#	JOBS	machines at a time (half of the processors here)
#	RINGS	host or kernel: only the tests that run here, or in the lab
#	V=1	everything that the tests print, not only their results
#
# All output of each test is kept beside the kernel logs in the cache. The
# last line is the sum over everything: N passed, N failed, N skipped.

set -uo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/vm/common.sh"
here=$(cd "$(dirname "$0")" && pwd -P)

KERNELS=${KERNELS:-6.12}
CPUS=${CPUS:-1 2}
TESTS=${TESTS:-}
V=${V:-0}
JOBS=${JOBS:-$((($(nproc) + 1) / 2))}
log=$R3MAP_CACHE/log/check-$(date +%Y%m%d-%H%M%S)-$$
passed=0 failed=0 skipped=0
skips=() fails=()

# check_brief: a line per result out of KTAP; all of a test's output when it failed
check_brief()
{
	awk -v all="$V" -v ring="$1" '
		/^# running: / { buffer = ""; next }
		/^# Totals:/ || /^# kernel / || /^KTAP/ || /^1\.\./ { next }
		/^# took / { next }
		/^not ok / {
			printf "%s", buffer
			buffer = ""
			print "  FAILED  " ring ": " $0
			fflush(); next
		}
		/^ok / {
			if (all) printf "%s", buffer
			buffer = ""
			name = $0
			sub(/^ok [0-9]* /, "", name)
			print ($0 ~ /# SKIP/ ? "  skipped " : "  ok      ") ring ": " name
			fflush(); next
		}
		(/^# .*not ok / && !/# SKIP/) || all { print; fflush(); next }
		{ buffer = buffer $0 "\n" }
		END { printf "%s", buffer }'
}

# check_sum RING FILE: add up the results of one run
check_sum()
{
	local p f s line test=''
	read -r p f s < <(sed -n 's/^# \(Totals:\|kernel .*:\) pass:\([0-9]*\) fail:\([0-9]*\) skip:\([0-9]*\)$/\2 \3 \4/p' "$2" | tail -n 1)
	if [ -z "${s:-}" ]; then
		p=0 f=1 s=0
		fails+=("$1: the run ended without a result")
	fi
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	while IFS= read -r line; do
		case $line in
		'# running: '*) test=${line#\# running: } ;;
		'not ok '*) fails+=("$1: ${line#not ok }") ;;
		# either the whole test was skipped, or some of its results were
		'ok '*'# SKIP all its results'*) ;;
		'ok '*'# SKIP '*) skips+=("$1: $test: ${line##*# SKIP }") ;;
		'# ok '*'# SKIP '* | '# not ok '*'# SKIP '*)
			skips+=("$1: $test: result ${line#*ok }")
			;;
		esac
	done <"$2"
}

# check_host TEST...: the rings that need no module
check_host()
{
	vm_say "on this machine: $# tests"
	"$here/lib/run.sh" --no-module --keep "$log/host" "$@" 2>&1 |
		tee "$log/host.ktap" | check_brief host
	check_sum host "$log/host.ktap"
}

# check_kernel NAME CPUS PART TEST...: kernel rings, in one machine
check_kernel()
{
	local name=$1 cpus=$2 part=$3 ring=$1/$2cpu
	shift 3
	vm_say "kernel $name with $cpus cpu: $# tests"
	"$here/vm/check.sh" --kernel "$name" --cpus "$cpus" \
		--keep "$log/$name-$cpus$part" "$@" 2>&1 |
		tee "$log/$name-$cpus$part.ktap" | check_brief "$ring"
}

# check_wait N PID...: until no more than N of these still run
check_wait()
{
	local most=$1 pid
	local -a alive
	shift
	while :; do
		alive=()
		for pid; do
			! kill -0 "$pid" 2>/dev/null || alive+=("$pid")
		done
		[ ${#alive[@]} -gt "$most" ] || return 0
		wait -n "${alive[@]}" || :
	done
}

# check_kernels TEST...: every kernel of KERNELS, up to JOBS machines at a time
check_kernels()
{
	local k c i parts part pids=() runs=()
	for k in $KERNELS; do
		for c in $(case $k in *:*) echo "${k#*:}" ;; *) echo "$CPUS" ;; esac); do
			# the debug kernel is slow: its tests are dealt out to all machines
			parts=1
			case $k in 7.*) parts=$(($# < JOBS ? $# : JOBS)) ;; esac
			for ((i = 0; i < parts; i++)); do
				check_wait "$((JOBS - 1))" "${pids[@]}"
				mapfile -t part < <(printf '%s\n' "$@" | awk "NR % $parts == $i")
				check_kernel "${k%%:*}" "$c" ".$i" "${part[@]}" &
				pids+=($!)
				runs+=("${k%%:*}/${c}cpu $log/${k%%:*}-$c.$i.ktap")
			done
		done
	done
	vm_say "all machines have begun"
	check_wait 0 "${pids[@]}"
	for k in "${runs[@]}"; do
		check_sum "${k%% *}" "${k#* }"
	done
}

mkdir -p "$log"
"$here/vm/packages.sh" build lab peers || exit 1
vm_say "building the program and the programs of the tests"
vm_logged "$log/program.log" "building the program" \
	make --no-print-directory -C "$R3MAP_TOP/user"
vm_logged "$log/programs.log" "building the programs of the tests" \
	make --no-print-directory -C "$here" programs

# a test left half written must not pass
todo=$(grep -rl --include='*.sh' --include='*.c' 'TODO' "$here" --exclude=new.sh --exclude=check.sh || :)
if [ -n "$todo" ]; then
	failed=$((failed + 1))
	fails+=("a TODO of the template is left in: ${todo//$'\n'/ }")
fi

mapfile -t host < <(make -s -C "$here" list | sed -n 's/^host //p')
mapfile -t kernel < <(make -s -C "$here" list | sed -n 's/^kernel //p')
if [ -n "$TESTS" ]; then
	host_only=() kernel_only=()
	for test in $TESTS; do
		[ -x "$here/$test" ] || vm_usage "no test '$test': give names such as dev/resize.sh"
		case $test in
		unit/* | proto/* | cli/* | docs/* | bin/*) host_only+=("$test") ;;
		*) kernel_only+=("$test") ;;
		esac
	done
	host=("${host_only[@]}") kernel=("${kernel_only[@]}")
fi

case ${RINGS:-} in
'') ;;
host) kernel=() ;;
kernel) host=() ;;
*) vm_usage "RINGS is host or kernel, not '$RINGS'" ;;
esac

if [ ${#kernel[@]} -gt 0 ]; then
	# a kernel that must be built is built while others are tested
	(for k in $KERNELS; do
		"$here/vm/kernel.sh" "${k%%:*}" || :
	done) >/dev/null 2>"$log/kernels.log" &
fi
[ ${#host[@]} = 0 ] || check_host "${host[@]}"
[ ${#kernel[@]} = 0 ] || check_kernels "${kernel[@]}"

printf '\n'
[ ${#skips[@]} = 0 ] || { echo "Skipped, and why:"; printf '  %s\n' "${skips[@]}"; }
[ ${#fails[@]} = 0 ] || { echo "Failed:"; printf '  %s\n' "${fails[@]}"; }
echo "All output: $log"
printf '%d passed, %d failed, %d skipped\n' $passed $failed $skipped
[ $failed = 0 ] && [ $((passed + skipped)) -gt 0 ]
