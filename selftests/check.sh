#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What `make check` does: sets everything up, runs the host rings here, the
# kernel rings in machines of the lab, and those that start such machines by
# themselves. From the environment:
#
#	KERNELS	kernels of the lab, each perhaps with its processors (6.12:2)
#	CPUS	processors for the kernels that say nothing ("1 2")
#	TESTS	only these, named relative to selftests/
#	JOBS	machines at a time (half of the processors here)
#	RINGS	host or kernel: only the tests that run here, or in the lab
#	AGAIN=1	what has failed is run once more, alone; what passes then is told, and is no failure
#	TEST_SEED=N	repeats what a test has drawn at random, which tells N
#	TEST_ROUNDS=N	how often such a test tries something else, in place of its few
#	R3MAP_DEADLINE	a time (date +%s): tests that have not begun by then are skipped
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
skips=() fails=() again=() shaky=()

# check_brief RING: a line per result out of KTAP, as it comes, which some awks and sed do not do; all of a
# test's output when it failed
check_brief()
{
	local line name buffer=''
	while IFS= read -r line; do
		case $line in
		'# running: '*) buffer='' ;;
		'# Totals:'* | '# kernel '* | KTAP* | 1..* | '# took '*) ;;
		'not ok '*)
			printf '%s  FAILED  %s: %s\n' "$buffer" "$1" "$line"
			buffer=''
			;;
		'ok '*)
			buffer=''
			name=${line#ok }
			name=${name#* }
			case $name in
			*'# SKIP'*) printf '  skipped %s: %s\n' "$1" "$name" ;;
			*) printf '  ok      %s: %s\n' "$1" "$name" ;;
			esac
			;;
		*)
			if [ "$V" != 0 ] || { [[ $line == '# '*'not ok '* ]] && [[ $line != *'# SKIP'* ]]; }; then
				printf '%s\n' "$line"
			else
				buffer+=$line$'\n'
			fi
			;;
		esac
	done
	printf '%s' "$buffer"
}

# check_sum RING FILE: add up the results of one run
check_sum()
{
	local p f s line test=''
	read -r p f s < <(sed -n 's/^# \(Totals:\|kernel .*:\) pass:\([0-9]*\) fail:\([0-9]*\) skip:\([0-9]*\)$/\2 \3 \4/p' "$2" | tail -n 1)
	if [ -z "${s:-}" ]; then
		p=0 f=1 s=0
		fails+=("$1: the run ended without a result")
		again+=("$1 -")
	fi
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	while IFS= read -r line; do
		case $line in
		'# running: '*) test=${line#\# running: } ;;
		'not ok '*)
			fails+=("$1: ${line#not ok }")
			again+=("$1 $(sed 's/^[0-9]* *//; s/ .*//' <<<"${line#not ok }")")
			;;
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
	vm_say "on this machine: done"
}

# check_kernel NAME CPUS TEST...: kernel rings, in one machine
check_kernel()
{
	local name=$1 cpus=$2 ring=$1/$2cpu
	shift 2
	vm_say "kernel $name with $cpus cpu: $# tests"
	"$here/vm/check.sh" --kernel "$name" --cpus "$cpus" \
		--keep "$log/$name-$cpus" "$@" 2>&1 |
		tee "$log/$name-$cpus.ktap" | check_brief "$ring"
}

# check_lab TEST...: those that start machines by themselves, one at a time
check_lab()
{
	vm_say "on this machine and those it starts: $# tests"
	"$here/lib/run.sh" --no-module --keep "$log/lab" "$@" 2>&1 |
		tee "$log/lab.ktap" | check_brief lab
}

# check_belongs TEST: "# kernels: 6.1:2 6.12" in its head: these kernels, each perhaps with its processors
check_belongs()
{
	sed -n '1,15s/^# kernels: *//p' "$here/$1"
}

# check_fits TEST KERNEL CPUS: does TEST belong there? One that names no kernels belongs everywhere
check_fits()
{
	local k
	k=$(check_belongs "$1")
	[ -n "$k" ] || return 0
	case " $k " in *" $2 "* | *" $2:$3 "*) ;; *) return 1 ;; esac
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

# check_kernels TEST...: every kernel of KERNELS, up to JOBS machines at a time; one of them is that of
# the tests of $lab, which has those that belong to one of KERNELS. What belongs to none is skipped.
check_kernels()
{
	local k c test fit pids=() runs=()
	local -A placed=()
	fit=()
	for test in "${lab[@]}"; do
		for k in $KERNELS; do
			if [ -n "$TESTS" ] || check_fits "$test" "${k%%:*}" ""; then
				fit+=("$test")
				break
			fi
		done
	done
	if [ ${#fit[@]} -gt 0 ]; then
		check_lab "${fit[@]}" &
		pids+=($!)
		runs+=("lab $log/lab.ktap")
	fi
	for k in $KERNELS; do
		for c in $(case $k in *:*) echo "${k#*:}" ;; *) echo "$CPUS" ;; esac); do
			fit=()
			for test; do
				# what is asked for by name is run wherever it is asked for
				if [ -n "$TESTS" ] || check_fits "$test" "${k%%:*}" "$c"; then
					fit+=("$test")
					placed[$test]=1
				fi
			done
			[ ${#fit[@]} -gt 0 ] || continue
			check_wait "$((JOBS - 1))" "${pids[@]}"
			check_kernel "${k%%:*}" "$c" "${fit[@]}" &
			pids+=($!)
			runs+=("${k%%:*}/${c}cpu $log/${k%%:*}-$c.ktap")
		done
	done
	for test; do
		[ -z "${placed[$test]:-}" ] || continue
		skipped=$((skipped + 1))
		skips+=("$test: it belongs to $(check_belongs "$test"), and KERNELS has $KERNELS")
	done
	vm_say "all machines have begun"
	check_wait 0 "${pids[@]}"
	for k in "${runs[@]}"; do
		check_sum "${k%% *}" "${k#* }"
	done
}

# check_again: what has failed, once more, alone, where it failed. A run with an error of timing in one
# of its hundreds of tests says little about a change; that it is there is still told
check_again()
{
	local ring test bad=0 n=0 place
	local -a list=("${again[@]}") first=("${fails[@]}")
	fails=()
	for place in "${list[@]}"; do
		ring=${place% *} test=${place#* } n=$((n + 1))
		[ -x "$here/$test" ] || { bad=1; continue; }
		vm_say "$ring: $test failed: once more"
		case $ring in
		host | lab) "$here/lib/run.sh" --no-module --keep "$log/again.$n" "$test" ;;
		*)
			place=${ring#*/}
			"$here/vm/check.sh" --kernel "${ring%%/*}" --cpus "${place%cpu}" \
				--keep "$log/again.$n" "$test"
			;;
		esac >"$log/again.$n.ktap" 2>&1 || bad=1
		check_brief "$ring" <"$log/again.$n.ktap"
		check_sum "$ring" "$log/again.$n.ktap"
	done
	if [ $bad = 0 ]; then
		shaky=("${first[@]}") failed=0
	else
		fails=("${first[@]}" "${fails[@]}")
	fi
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
mapfile -t lab < <(make -s -C "$here" list | sed -n 's/^lab //p')
if [ -n "$TESTS" ]; then
	host_only=() kernel_only=() lab_only=()
	for test in $TESTS; do
		[ -x "$here/$test" ] || vm_usage "no test '$test': give names such as dev/resize.sh"
		case $test in
		unit/* | proto/* | cli/* | docs/* | uffd/* | bin/*) host_only+=("$test") ;;
		power/*) lab_only+=("$test") ;;
		*) kernel_only+=("$test") ;;
		esac
	done
	host=("${host_only[@]}") kernel=("${kernel_only[@]}") lab=("${lab_only[@]}")
fi

case ${RINGS:-} in
'') ;;
host) kernel=() lab=() ;;
kernel) host=() ;;
*) vm_usage "RINGS is host or kernel, not '$RINGS'" ;;
esac

if [ $((${#kernel[@]} + ${#lab[@]})) -gt 0 ]; then
	# a kernel that must be built is built while others are tested
	(for k in $KERNELS; do
		"$here/vm/kernel.sh" "${k%%:*}" || :
	done
	case " ${kernel[*]} " in *" dev/tls-kernel.sh "*) "$here/vm/gnutls.sh" || : ;; esac) >/dev/null 2>"$log/kernels.log" &
fi
# with several machines at a time there are processors for the host's tests, which mostly wait, as well
beside=
if [ ${#host[@]} -gt 0 ]; then
	if [ "$JOBS" -gt 1 ] && [ $((${#kernel[@]} + ${#lab[@]})) -gt 0 ]; then
		check_host "${host[@]}" &
		beside=$!
	else
		check_host "${host[@]}"
	fi
fi
[ $((${#kernel[@]} + ${#lab[@]})) = 0 ] || check_kernels "${kernel[@]}"
[ -z "$beside" ] || wait "$beside"
[ ${#host[@]} = 0 ] || check_sum host "$log/host.ktap"
# a change that breaks many is not looked at twice
if [ "${AGAIN:-0}" = 1 ] && [ $failed -gt 0 ] && [ ${#again[@]} -gt 0 ] && [ ${#again[@]} -le 5 ]; then
	check_again
fi

printf '\n'
[ ${#skips[@]} = 0 ] || { echo "Skipped, and why:"; printf '  %s\n' "${skips[@]}"; }
[ ${#shaky[@]} = 0 ] || { echo "Failed once, passed when run again:"; printf '  %s\n' "${shaky[@]}"; }
[ ${#fails[@]} = 0 ] || { echo "Failed:"; printf '  %s\n' "${fails[@]}"; }
echo "All output: $log"
printf '%d passed, %d failed, %d skipped\n' $passed $failed $skipped
[ $failed = 0 ] && [ $((passed + skipped)) -gt 0 ]
