#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Usage: check.sh [--kernel NAME] [--cpus N] [--keep DIR] TEST...
#
# Runs tests of the kernel rings (named relative to selftests/) in a machine
# of the lab and prints their KTAP. When the machine dies, the test that ran
# in it has failed, and the others go on in a new machine: one crash hides
# nothing. Ends with the totals; status 0 when nothing failed.

set -uo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/common.sh"
here=$(cd "$(dirname "$0")" && pwd -P)

kernel=6.12 cpus=1 keep=''
while [ $# -gt 0 ]; do
	case $1 in
	--kernel) kernel=$2; shift 2 ;;
	--cpus) cpus=$2; shift 2 ;;
	--keep) keep=$2; shift 2 ;;
	--*) vm_usage "unknown option '$1'" ;;
	*) break ;;
	esac
done
[ $# -gt 0 ] || vm_usage "give at least one test, such as dev/resize.sh"

# the longest that any of these tests may take; silence for longer is a hang
slow=1
# the debug kernel checks every access to memory, under an emulated processor
case $kernel in 7.*) slow=4 ;; esac
limit=$({
	sed -n 's/^timeout=//p' "$R3MAP_TOP/selftests/settings"
	for test; do
		sed -n '1,15s/^# timeout: *\([0-9][0-9]*\)$/\1/p' "$R3MAP_TOP/selftests/$test"
	done
} | sort -n | tail -n 1)
tmp=$(mktemp -d "${TMPDIR:-/tmp}/r3map-check.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
keep=${keep:-$tmp/keep}
mkdir -p "$keep"

# check_total WORD: sum of the WORD:N of all the totals so far
check_total()
{
	sed -n "s/^# Totals:.* $1:\([0-9]*\).*/\1/p" "$tmp"/out.* | paste -sd + | bc
}

# without a module there is nothing to start a machine for
if ! R3MAP_KO=$("$here/module.sh" "$kernel"); then
	printf 'KTAP version 1\n1..1\nnot ok 1 r3map.ko for kernel %s does not build\n' "$kernel"
	printf '# not run: %s\n' "$@"
	printf '# Totals: pass:0 fail:%d skip:0\n' $#
	exit 1
fi
export R3MAP_KO

# a GnuTLS that leaves encryption to the kernel, for the test of that, which is skipped without
gnutls=
case " $* " in
*" dev/tls-kernel.sh "*) gnutls=$("$here/gnutls.sh") || : ;;
esac

todo=("$@") boots=0
while [ ${#todo[@]} -gt 0 ]; do
	boots=$((boots + 1))
	out=$tmp/out.$boots
	"$here/boot.sh" --kernel "$kernel" --cpus "$cpus" --timeout 0 \
		--idle $((limit * slow + 300)) --log "$keep/kernel-$kernel-$cpus-$boots.log" \
		--env "TEST_SLOW=$slow" --env "R3MAP_GNUTLS=$gnutls" ${R3MAP_DEADLINE:+--env "R3MAP_DEADLINE=$R3MAP_DEADLINE"} \
		${TEST_SEED:+--env "TEST_SEED=$TEST_SEED"} ${TEST_ROUNDS:+--env "TEST_ROUNDS=$TEST_ROUNDS"} \
		-- selftests/lib/run.sh "${todo[@]}" | tee "$out"
	grep -q '^# Totals:' "$out" && break
	# an emulated processor may trip over code that another one patches while the kernel comes up
	if ! grep -q '^# running: ' "$out" && [ $boots -lt 3 ]; then
		printf '# the machine did not come up: once more\n'
		: >"$out"
		continue
	fi
	# what has a result is done, what was running has failed, the rest is still to do
	culprit=$(sed -n 's/^# running: //p' "$out" | tail -n 1)
	awk '/^ok / { if (/# SKIP/) s++; else p++ } /^not ok / { f++ }
		END { printf "# Totals: pass:%d fail:%d skip:%d\n", p, f + 1, s }' \
		"$out" >"$tmp/sum"
	if grep -qE "^(not )?ok [0-9]+ $culprit( |\$)" "$out"; then
		culprit=
	fi
	printf 'not ok %s # the machine died with it\n' "${culprit:-the run}"
	cat "$tmp/sum" >>"$out"
	left=()
	for test in "${todo[@]}"; do
		[ "$test" != "$culprit" ] || continue
		grep -qE "^(not )?ok [0-9]+ $test( |\$)" "$out" || left+=("$test")
	done
	if [ -z "$culprit" ] && [ ${#left[@]} = ${#todo[@]} ]; then
		printf '# not run: %s\n' "${left[@]}"
		printf '# Totals: pass:0 fail:%d skip:0\n' ${#left[@]} >>"$out"
		break
	fi
	todo=("${left[@]}")
done
cp "$tmp"/out.* "$keep/" 2>/dev/null || :
pass=$(check_total pass) fail=$(check_total fail) skip=$(check_total skip)
printf '# kernel %s, %s cpu: pass:%d fail:%d skip:%d\n' "$kernel" "$cpus" "$pass" "$fail" "$skip"
[ "$fail" = 0 ]
