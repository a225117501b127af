#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:1 6.12 7.2:1 7.2:2
#
# This test will slow writers of a device down: they wait, others do not, who must not wait is told so; nobody waits for
# ever; and all go on, or fail, when the rate ends, with the last who watches, the helper or the device.

# shellcheck disable=SC2016,SC2119 # $DEV is the peer's to expand; no attributes are meant
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program blkdiscard jq nowait

# throttled BLOCK TAG: one who writes two, of which the first, request TAG, takes all of the rate, so that the other waits
throttled()
{
	printf 'c set throttle=1\nexpect throttle=1\n'
	printf 'spawn dd if=/dev/zero of=$DEV bs=4K seek=%d count=2 oflag=direct status=none\n' "$1"
	printf 'recv q 1\ncheck %d op=write\nq complete queue=0 seq=@seq comp=@t%d:0:4096\n' "$2" "$2"
	printf 'await throttled=1\n'
}

{
	peer_up park=60000
	cat <<-'END'
	expect throttle=0 throttled=0
	!EINVAL c set throttle=1M
	c set throttle=0
	c watch
	!ERANGE c set throttle=0xffffffffffffffff
	!ESTALE c set throttle=1 generation=-1
	expect throttle=0
	END
	throttled 0 0
	cat <<-'END'
	# who reads does not wait, nor who cannot
	spawn dd if=$DEV of=/dev/null bs=4K count=1 iflag=direct status=none
	recv q 1
	check 1 op=read
	q complete queue=0 seq=@seq comp=@t1:0:4096
	sh [ $(nowait $DEV write call) = EAGAIN ]
	expect throttled=1
	c set throttle=0
	recv q 1
	check 2 op=write offset=4K
	q complete queue=0 seq=@seq comp=@t2:0:4096
	wait 0
	wait 0
	expect throttle=0 throttled=0
	c written
	answer ext=0:8192
	# left alone it goes on in the end
	END
	throttled 2 3
	cat <<-'END'
	recv q 1
	check 4 op=write offset=12K
	q complete queue=0 seq=@seq comp=@t4:0:4096
	wait 0
	expect throttle=1 throttled=0
	c set throttle=0
	# with the last who watches
	c watch
	END
	throttled 4 5
	cat <<-'END'
	c unwatch epoch=@epoch-1
	expect throttle=1
	c unwatch
	recv q 1
	check 6 op=write offset=20K
	expect throttle=0 throttled=0
	q complete queue=0 seq=@seq comp=@t6:0:4096
	wait 0
	# with the helper: it waits for another one then, as all do, although the old one's queue is still open
	c watch
	END
	throttled 6 7
	cat <<-'END'
	close c
	await state=parked
	await throttled=0
	expect throttle=0
	socket c
	c attach
	q bind queue=0 area_addr=@a area_size=4M
	c start
	recv q 1
	check 8 op=write offset=28K
	q complete queue=0 seq=@seq comp=@t8:0:4096
	wait 0
	# with the device
	c watch
	END
	throttled 8 9
	cat <<-'END'
	c del force
	wait fail
	await gone
	END
} | peer >"$TEST_DIR/throttle" || { cat "$TEST_DIR/throttle"; fail "see above"; }
