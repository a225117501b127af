#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:2 7.2:1
#
# This test will make eight devices at once, on chosen and on free numbers, and
# see that list, show and sysfs tell the same of each, and use all of them at the same time:
# none sees another's data. Then all go at once, and one lives as long as a program.

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
# told JSON KEY: its value, in TOLD: there are many, and each process takes its time
told()
{
	[[ $1 =~ \"$2\":[[:space:]]*\"?([^,\"}$'\n']*) ]] || fail "'$2' is not told"
	TOLD=${BASH_REMATCH[1]}
}
list=$(r3map list -j | jq -c '.[]')
for DEV in $(device_all); do
	NAME=${DEV#/dev/}
	show=$(r3map show -j "$DEV")
	line=$(grep -E "\"index\":${NAME#r3map}[,}]" <<<"$list")
	for pair in state:state generation:generation backend:backend transport:transport \
		queues:queues depth:depth timeout_ms:timeout park_ms:park helper_pid:helper_pid; do
		read -r is <"/sys/block/$NAME/r3map/${pair%%:*}"
		for where in "$show" "$line"; do
			told "$where" "${pair#*:}"
			[ "${is,,}" = "${TOLD,,}" ] ||
				fail "$DEV: sysfs says ${pair%%:*} $is, not $TOLD"
		done
	done
	[ "$(<"/sys/block/$NAME/size")" = $((1 << 11)) ] || fail "size of $DEV"
done

# use NAME: fill the device and read it back, over and over; nobody begins before all are there,
# and nobody ends before all have begun
use()
{
	local round
	trap - ERR
	dd if=/dev/urandom of="$TEST_DIR/$1" bs=64k count=16 status=none || return
	touch "$TEST_DIR/ready.$1"
	wait_until 60 "all eight are ready" all_are ready
	for ((round = 0; round < $(slow 4 1); round++)); do
		dd if="$TEST_DIR/$1" of="/dev/$1" bs=16k oflag=direct status=none || return
		touch "$TEST_DIR/begun.$1"
		wait_until 60 "all eight have begun" all_are begun
		dd if="/dev/$1" bs=64k iflag=direct status=none | cmp - "$TEST_DIR/$1" || return
		dd if="$TEST_DIR/$1" of="/dev/$1" bs=4k conv=fsync status=none || return
	done
}
all_are() { [ "$(find "$TEST_DIR" -name "$1.*" | wc -l)" = 8 ]; }
pids=()
for DEV in $(device_all); do
	use "${DEV#/dev/}" >"$TEST_DIR/said.${DEV#/dev/}" 2>&1 &
	pids+=("$!:${DEV#/dev/}")
done
for pid in "${pids[@]}"; do
	wait "${pid%%:*}" || { cat "$TEST_DIR/said.${pid#*:}"; fail "${pid#*:}: see above"; }
done
for DEV in $(device_all); do
	NAME=${DEV#/dev/}
	dd if="$DEV" bs=64k iflag=direct status=none | cmp - "$TEST_DIR/$NAME" ||
		fail "$DEV has another's data"
	[ "$(device_counter errors)" = 0 ] || fail "$DEV: $(device_counter errors) errors"
done

r3map umount --all
[ -z "$(device_all)" ] || fail "umount --all has left $(device_all)"
status=0
# shellcheck disable=SC2016 # the program's to expand
r3map mount --run 'dd if=/dev/zero of="$R3MAP_DEVICE" bs=4k count=4 oflag=direct status=none && exit 7' \
	mem:1M || status=$?
[ $status = 7 ] || fail "the program ended with 7, mount --run with $status"
[ -z "$(device_all)" ] || fail "mount --run has left $(device_all)"
r3map features -j | jq -e '.max_io >= 1048576 and (.features | index("shared"))' >/dev/null ||
	fail "features: $(r3map features -j)"
r3map features | grep -q '^features .* shared' || fail "features: $(r3map features)"
