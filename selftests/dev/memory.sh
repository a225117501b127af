#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12 7.2:1
#
# This test will send many requests and make many devices, and see that neither the kernel's
# memory nor the helper's grows with them and that the module is used by nobody afterwards.

# shellcheck disable=SC2016 # $DEV is the peer's to expand
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program peer fio jq

# kernel_kib: what the kernel has in tables of its own, after whatever it can give back
kernel_kib()
{
	sync
	echo 3 >/proc/sys/vm/drop_caches
	awk '/^(SUnreclaim|VmallocUsed|PageTables|Percpu):/ { n += $2 } END { print n }' /proc/meminfo
}

bound=2048
# KASAN keeps what was freed, up to a 32nd of all memory, until that is short; a leak in such a
# kernel is found by kmemleak, after each run
! grep -qw kasan_report /proc/kallsyms ||
	bound=$((bound + $(awk '/^MemTotal:/ { print $2 }' /proc/meminfo) / 32))

# kept: has the kernel grown by less than that?
kept()
{
	after=$(kernel_kib)
	[ $((after - before)) -lt $bound ]
}

# returned WHAT: what is given back by RCU and work queues is given back some time; a leak never is
returned()
{
	wait_until 30 "$1: the kernel has grown by less than $bound KiB" kept
	note "$1: $before KiB before, $after KiB after"
}

unused() { [ "$(cat /sys/module/r3map/refcnt)" = 0 ]; }
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
# it goes when all devices are freed: what is left of them must not count as what was there before
module_unload
module_load
before=$(kernel_kib)
rounds "$(slow 50 12)"
# one device of these has about 200 KiB of tables and disk: a leak of one a round shows
returned devices

# helper_kib: memory of its own that the helper has, and has asked for
helper_kib() { awk '/^(RssAnon|VmData):/ { n += $2 } END { print n }' "/proc/$(device_sysfs helper_pid)/status"; }

device_mount --no-part-scan mem:32M
# all of the region is there
dd if=/dev/zero of="$DEV" bs=1M count=32 oflag=direct status=none
fio_run --filename="$DEV" --rw=randrw --bs=4k --size=32m --ioengine=libaio --iodepth=32 --direct=1
memory=$(device_fact memory)
area=$(device_fact area)
helper=$(helper_kib)
before=$(kernel_kib)
fio_run --filename="$DEV" --rw=randrw --bs=4k --size=32m --ioengine=libaio --iodepth=32 --direct=1 \
	--loops="$(slow 4 1)"
returned "$(device_counter reads) reads"
[ "$memory" = "$(device_fact memory)" ] || fail "the tables have grown"
[ "$area" = "$(device_fact area)" ] || fail "the area has grown"
[ $(($(helper_kib) - helper)) -lt 256 ] || fail "the helper has grown from $helper to $(helper_kib) KiB"
r3map umount "$DEV"
wait_until 20 "nobody uses the module" unused
