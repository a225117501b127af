#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Usage: run.sh [--timeout S] [--keep DIR] [--no-module] TEST...
#
# Runs tests, named relative to selftests/, one after the other, and prints
# KTAP for the whole run. A test passes when it exits with 0, is skipped with
# 4 and fails otherwise; it also fails when the kernel log then holds a
# warning, when an r3map device is left, or when the module cannot be unloaded
# and loaded again. Its own output goes beside as comments, and with --keep
# into a file. Tests that have not begun at R3MAP_DEADLINE (date +%s) are skipped. The rings unit, proto and cli never touch the module, and
# --no-module says so of all.

set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
selftests=$(dirname "$here")
# shellcheck source-path=SCRIPTDIR
. "$here/kmsg.sh"

limit=${R3MAP_TEST_TIMEOUT:-$(sed -n 's/^timeout=//p' "$selftests/settings" 2>/dev/null)}
limit=${limit:-300} keep='' module=1
while [ $# -gt 0 ]; do
	case $1 in
	--timeout) limit=$2; shift 2 ;;
	--keep) keep=$2; shift 2 ;;
	--no-module) module=0; shift ;;
	--*) echo "run.sh: unknown option '$1'" >&2; exit 2 ;;
	*) break ;;
	esac
done
[ $# -gt 0 ] || { echo "run.sh: give at least one test" >&2; exit 2; }

tmp=$(mktemp -d "${TMPDIR:-/tmp}/r3map-run.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0 skipped=0 n=0
# unit tests are written with cmocka
export CMOCKA_MESSAGE_OUTPUT=TAP

# run_kernel TEST: does TEST belong to a ring that uses the module?
run_kernel()
{
	[ $module = 1 ] || return 1
	case $1 in
	unit/* | proto/* | cli/* | docs/* | bin/*) return 1 ;;
	esac
}

# run_loadable: can the module be loaded again, once unloaded?
run_loadable()
{
	[ -n "${R3MAP_KO:-}" ] || modinfo r3map >/dev/null 2>&1
}

# loaded by insmod from this tree: so it can be loaded again
if [ $module = 1 ] && [ -d /sys/module/r3map ] && ! run_loadable && [ -e "$selftests/../kmod/r3map.ko" ]; then
	R3MAP_KO=$(realpath "$selftests/../kmod/r3map.ko")
	export R3MAP_KO
fi

# run_limit TEST: seconds after which it counts as hanging
run_limit()
{
	local own
	own=$(sed -n '1,15s/^# timeout: *\([0-9][0-9]*\)$/\1/p' "$selftests/$1" 2>/dev/null | head -n 1)
	echo $((${own:-$limit} * ${TEST_SLOW:-1}))
}

run_load()
{
	if [ -n "${R3MAP_KO:-}" ]; then insmod "$R3MAP_KO"; else modprobe r3map; fi
}

# run_unload: rmmod; what a test has killed may hold the module until it has ended, a leaked
# reference holds it for ever
run_unload()
{
	local why end=$((SECONDS + 10 * ${TEST_SLOW:-1}))
	until why=$(timeout 60 rmmod r3map 2>&1); do
		[ $SECONDS -lt $end ] || {
			echo "$why ($(cat /sys/module/r3map/refcnt 2>/dev/null) references)"
			return 1
		}
		sleep 0.1
	done
}

# run_after: what must hold after a test of the module; prints what does not
run_after()
{
	local bad=0 left dev
	left=$(find /sys/block -maxdepth 1 -name 'r3map*' -printf '%f ')
	if [ -n "$left" ]; then
		echo "left behind: $left"
		bad=1
		for dev in $left; do
			"$selftests/../user/r3map" umount --force "/dev/$dev" 2>&1 || :
		done
	fi
	run_loadable || return $bad
	if [ -d /sys/module/r3map ]; then
		if ! run_unload; then
			echo "the module cannot be unloaded"
			bad=1
		elif ! run_load 2>&1; then
			echo "the module cannot be loaded again"
			bad=1
		fi
	elif ! run_load 2>&1; then
		echo "the module cannot be loaded"
		bad=1
	fi
	return $bad
}

# run_count FILE: pass, fail and skip among the results inside a test's output
run_count()
{
	awk '/^(not )?ok [0-9]+/ {
		if (/# SKIP/) s++; else if (/^not/) f++; else p++
	} END { print p + 0, f + 0, s + 0 }' "$1"
}

# run_one TEST
run_one()
{
	local test=$1 out=$tmp/out mark status=0 why='' p f s after start=$SECONDS bound
	bound=$(run_limit "$test")
	printf '# running: %s\n' "$test"
	if [ "$(date +%s)" -ge "${R3MAP_DEADLINE:-9999999999}" ]; then
		n=$((n + 1)) skipped=$((skipped + 1))
		printf 'ok %d %s # SKIP not run: no time was left\n' $n "$test"
		return
	fi
	mark=$(kmsg_mark)
	if [ ! -x "$selftests/$test" ]; then
		echo "no such test, or not executable" >"$out"
		status=126
	else
		(cd "$selftests/$(dirname "$test")" &&
			TEST_NAME=$test setsid timeout -k 10 "$bound" "./$(basename "$test")") \
			>"$out" 2>&1 </dev/null || status=$?
	fi
	# 137 is also what a test says of a program of its own that was killed
	if [ $status = 124 ] || { [ $status = 137 ] && [ $((SECONDS - start)) -ge "$bound" ]; }; then
		why="ran into the limit of $bound s"
	fi
	if run_kernel "$test" && ! after=$(run_after); then
		status=1
		why="${why:+$why; }${after//$'\n'/; }"
	fi
	if run_kernel "$test" && ! after=$(kmsg_scan "$mark"); then
		status=1
		why="${why:+$why; }kernel log: $(head -n 1 <<<"$after")"
		kmsg_since "$mark" | sed 's/^/kernel: /' >>"$out"
	fi
	read -r p f s < <(run_count "$out")
	sed -e 's/^/# /' "$out"
	[ -z "$keep" ] || { mkdir -p "$keep"; cp "$out" "$keep/${test//\//-}.log"; }
	n=$((n + 1))
	case $status in
	0)
		[ $((p + f + s)) -gt 0 ] || p=1
		if [ "$f" -gt 0 ]; then
			printf 'not ok %d %s # %d of its results failed\n' $n "$test" "$f"
		elif [ "$p" = 0 ]; then
			printf 'ok %d %s # SKIP all its results were skipped\n' $n "$test"
		else
			printf 'ok %d %s\n' $n "$test"
		fi
		;;
	4)
		why=$(sed -n 's/.*# SKIP *//p' "$out" | head -n 1)
		[ "$s" -gt 0 ] || s=1
		printf 'ok %d %s # SKIP %s\n' $n "$test" "${why:-no reason given}"
		;;
	*)
		[ "$f" -gt 0 ] || f=1
		printf 'not ok %d %s # exit=%d%s\n' $n "$test" $status "${why:+ ($why)}"
		;;
	esac
	printf '# took %d s: %s\n' $((SECONDS - start)) "$test"
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

# run_leaks: with the module gone, whatever it allocated and nobody points to
run_leaks()
{
	local leaks=/sys/kernel/debug/kmemleak found
	rmmod r3map 2>/dev/null || :
	# an object is reported once it is 5 s old and was unreachable twice
	sleep 6
	echo scan >$leaks
	sleep 6
	echo scan >$leaks
	n=$((n + 1))
	# its size says nothing: files of debugfs have none
	found=$(cat $leaks)
	if [ -n "$found" ]; then
		printf '%s\n' "# ${found//$'\n'/$'\n# '}"
		printf 'not ok %d kmemleak\n' $n
		failed=$((failed + 1))
	else
		printf 'ok %d kmemleak\n' $n
		passed=$((passed + 1))
	fi
}

kernel=0 leaks=0
for test in "$@"; do
	! run_kernel "$test" || kernel=$((kernel + 1))
done
printf 'KTAP version 1\n'
if [ $kernel -gt 0 ]; then
	if [ -n "$(find /sys/block -maxdepth 1 -name 'r3map*')" ]; then
		echo "Bail out! r3map devices are in use here: unmount them first (r3map list)"
		exit 1
	fi
	if [ -w /sys/kernel/debug/kmemleak ]; then
		# what leaked before is not ours
		echo scan >/sys/kernel/debug/kmemleak
		echo clear >/sys/kernel/debug/kmemleak
		leaks=1
	fi
fi
printf '1..%d\n' $(($# + leaks))
for test in "$@"; do
	run_one "$test"
done
[ $leaks = 0 ] || run_leaks
printf '# Totals: pass:%d fail:%d skip:%d\n' $passed $failed $skipped
[ $failed = 0 ]
