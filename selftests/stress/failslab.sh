#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 7.2:1
#
# This test will let the n-th allocation fail of every command that makes, attaches,
# starts, fills, pushes or deletes a device, for n = 1, 2, 3 ... until none fails any more.
# timeout: 300

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program peer
faults_init

# script PART TRANSPORT AREA N: in this part of a device's life the N-th allocation of each command
# fails. A script that is let down ends there with status 1 and leaves nothing but what it had made.
script()
{
	local make=0 attach=0 end=0
	local "$1=$4"
	cat <<-END
	socket c
	socket q
	socket p
	map a 1M
	fail $make
	c new size=8M queues=2 depth=4 max_io=64K flags=0x2e transport=$2
	q bind queue=0 $3
	p bind queue=1 $3
	c start
	fail 0
	serve dd if=/dev/zero of=\$DEV bs=64k count=4 oflag=direct status=none
	close q
	await state=parked
	close p
	close c
	socket c
	socket q
	socket p
	fail $attach
	c attach
	q bind queue=0 $3
	p bind queue=1 $3
	c start
	fail 0
	serve dd if=\$DEV of=/dev/null bs=64k count=4 iflag=direct status=none
	fail $end
	c set size=4M timeout=1000
	c dump
	c del
	fail 0
	await gone
	END
}

# script_managed N: the same for all commands of a managed device's life
script_managed()
{
	cat <<-END
	socket c
	socket q
	map s 1000K memfd
	fail $1
	c new size=1000K depth=8 backend=test: chunk=64K store=s flags=0x2e
	q bind queue=0
	c start
	c open
	c claim length=256K
	c fill ext=0:256K
	c chunks
	fail 0
	spawn dd if=/dev/zero of=\$DEV bs=64K count=2 oflag=direct status=none
	wait 0
	fail $1
	c take
	c done ext=0:64K
	c done ext=64K:64K error=-5
	c sync
	c dump
	c del force
	fail 0
	await gone
	END
}

no_devices() { [ -z "$(device_all)" ]; }

# try NAME SCRIPT...: what SCRIPT... says of n = 1, 2, 3, and on in larger steps
try()
{
	local name=$1 n failed=0
	shift
	for ((n = 1; n < 2000; n += 1 + n / $(slow 12 4))); do
		"$@" $n >"$TEST_DIR/script"
		if peer <"$TEST_DIR/script" >"$TEST_DIR/out" 2>"$TEST_DIR/err"; then
			# none failed, or it did no harm
			grep -q 'allocations have failed' "$TEST_DIR/out" || break
			failed=$((failed + 1))
			continue
		fi
		grep -qE 'ENOMEM|ENOBUFS|EAGAIN|No buffer space|Cannot allocate|send:' "$TEST_DIR/err" || {
			cat "$TEST_DIR/err"
			fail "$name, allocation $n: another error than want of memory"
		}
		failed=$((failed + 1))
		# the peer has ended: what it had made is gone, or parked
		for DEV in $(device_all); do
			r3map umount --force "$DEV"
		done
		wait_until 20 "$name, allocation $n: all devices are gone" no_devices
	done
	note "$name: up to $n allocations, $failed times one failed"
	[ $failed -gt 1 ] || fail "$name: the injection does nothing"
	[ "$n" -lt 2000 ] || fail "$name: it never ends"
}

for part in make attach end; do
	try "$part, shared" script $part shared 'area_addr=@a area_size=1M'
	try "$part, inline" script $part inline ''
done
try managed script_managed
