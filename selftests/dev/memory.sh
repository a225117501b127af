#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will send many requests and make many devices, and see that the kernel's
# memory does not grow with them and that the module is used by nobody afterwards.

# shellcheck disable=SC2016 # $DEV is the peer's to expand
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program peer fio jq

# kernel_kib: what the kernel has in tables of its own, after whatever it can give back
unused() { [ "$(cat /sys/module/r3map/refcnt)" = 0 ]; }

kernel_kib()
{
	sync
	echo 3 >/proc/sys/vm/drop_caches
	awk '/^(SUnreclaim|VmallocUsed|PageTables|Percpu):/ { n += $2 } END { print n }' /proc/meminfo
}
rounds()
{
	local i
	{
		printf 'socket q\nmap a 1M\n'
		for ((i = 0; i < $1; i++)); do
			printf 'socket c\nsocket q\n'
			printf 'c new size=64M queues=1 depth=128 max_io=64K flags=0x2e\n'
			printf 'q bind queue=0 area_addr=@a area_size=1M\nc start\n'
			[ $((i % 4)) != 0 ] || printf 'serve dd if=$DEV of=/dev/null bs=64k count=4 iflag=direct status=none\n'
			case $((i % 3)) in
			0) printf 'c del\nawait gone\nclose c\nclose q\n' ;;
			1) printf 'close c\nawait state=parked\nclose q\nsocket c\nc del\nawait gone\nclose c\n' ;;
			2) printf 'close q\nawait state=parked\nc del\nawait gone\nclose c\n' ;;
			esac
		done
	} | sed 1d >"$TEST_DIR/script"
	peer <"$TEST_DIR/script" >"$TEST_DIR/out" || { tail -n 5 "$TEST_DIR/out"; fail "a round"; }
}

rounds 8
before=$(kernel_kib)
rounds "$(slow 50 12)"
after=$(kernel_kib)
note "devices: $before KiB before, $after KiB after"
# one device of these has about 200 KiB of tables and disk: a leak of one a round shows
[ $((after - before)) -lt 2048 ] || fail "the kernel has grown by $((after - before)) KiB"

device_mount --no-part-scan mem:32M
fio_run --filename="$DEV" --rw=randrw --bs=4k --size=32m --ioengine=libaio --iodepth=32 --direct=1
memory=$(device_fact memory)
area=$(device_fact area)
before=$(kernel_kib)
fio_run --filename="$DEV" --rw=randrw --bs=4k --size=32m --ioengine=libaio --iodepth=32 --direct=1 \
	--loops="$(slow 4 1)"
after=$(kernel_kib)
note "requests: $before KiB before, $after KiB after $(device_counter reads) reads"
[ $((after - before)) -lt 2048 ] || fail "the kernel has grown by $((after - before)) KiB"
[ "$memory" = "$(device_fact memory)" ] || fail "the tables have grown"
[ "$area" = "$(device_fact area)" ] || fail "the area has grown"
r3map umount "$DEV"
wait_until 20 "nobody uses the module" unused
