#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will make eight devices at once, on chosen and on free numbers, and
# see that list, show and sysfs tell the same of each, and that none sees another's data.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program jq

device_mount --index 3 mem:1M
[ "$DEV" = /dev/r3map3 ] || fail "asked for 3, got $DEV"
expect_fail r3map mount --daemon --index 3 mem:1M
grep -q 'exists' "$TEST_DIR/stderr" || fail "said: $(cat "$TEST_DIR/stderr")"
for i in 0 1 2 4 5 6; do
	device_mount --queues 2 --depth 16 mem:1M
	[ "$DEV" = "/dev/r3map$i" ] || fail "the lowest free number is $i, got $DEV"
done
device_mount --index 1000 mem:1M
[ "$(r3map list -j | jq length)" = 8 ] || fail "list shows $(r3map list -j | jq length) devices"
[ "$(device_all | wc -l)" = 8 ] || fail "sysfs shows $(device_all)"
# told JSON KEY: its value
told()
{
	[[ $1 =~ \"$2\":[[:space:]]*\"?([^,\"}$'\n']*) ]] || fail "'$2' is not told"
	printf '%s\n' "${BASH_REMATCH[1]}"
}
list=$(r3map list -j | jq -c '.[]')
for DEV in $(device_all); do
	NAME=${DEV#/dev/}
	show=$(r3map show -j "$DEV")
	line=$(grep -E "\"index\":${NAME#r3map}[,}]" <<<"$list")
	for pair in state:state generation:generation backend:backend transport:transport \
		queues:queues depth:depth timeout_ms:timeout park_ms:park helper_pid:helper_pid; do
		is=$(device_sysfs "${pair%%:*}")
		for where in "$show" "$line"; do
			is_told=$(told "$where" "${pair#*:}")
			[ "${is,,}" = "${is_told,,}" ] ||
				fail "$DEV: sysfs says ${pair%%:*} $is, not $is_told"
		done
	done
	[ "$(<"/sys/block/$NAME/size")" = $((1 << 11)) ] || fail "size of $DEV"
	head -c 1M < <(yes "$DEV" || :) >"$TEST_DIR/data"
	dd if="$TEST_DIR/data" of="$DEV" bs=64k oflag=direct status=none
done
for DEV in $(device_all); do
	head -c 1M < <(yes "$DEV" || :) | cmp - "$DEV" || fail "$DEV has another's data"
done
