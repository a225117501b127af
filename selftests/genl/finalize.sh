#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:2 6.12 7.2:2
#
# This test will finalize devices under reads and writes: what was written is told, what comes later
# waits, then goes on or is refused; a deadline that is missed leaves everything as it was.

# shellcheck disable=SC2016,SC2119 # $DEV is the peer's to expand; no attributes are meant
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program jq nowait

# write_at BLOCK: writes 4 KiB there, in the background, which is to be waited for
write_at()
{
	printf 'spawn dd if=/dev/zero of=$DEV bs=4K seek=%d count=1 oflag=direct status=none\n' "$1"
}

{
	printf 'listen e\n'
	peer_up park=60000
	cat <<-'END'
	event e created hold=none
	event e ready
	!ERANGE c finalize deadline=9
	!ERANGE c finalize deadline=86400001
	!ERANGE c finalize hold_time=86400001
	!ESTALE c finalize generation=-1
	!EALREADY c release
	!EINVAL c retire
	c watch
	c finalize
	event e finalized errno=0 hold=writes
	expect hold=writes state=live
	!EBUSY c finalize
	# a read does not wait, a write does
	spawn dd if=$DEV of=/dev/null bs=4K count=1 iflag=direct status=none
	recv q 1
	check 0 op=read
	END
	write_at 3
	cat <<-'END'
	await held=1
	quiet q 200
	sh [ $(nowait $DEV write call) = EAGAIN ]
	q complete queue=0 seq=@seq comp=@t0:0:4096
	wait 0
	expect held=1
	c written
	answer nr=0
	!ESTALE c release generation=-1
	c release
	event e released hold=none
	recv q 1
	check 1 op=write offset=12K
	q complete queue=0 seq=@seq comp=@t1:0:4096
	wait any
	expect held=0
	sh [ $(r3map show -j $DEV | jq .first_io) -gt $(r3map show -j $DEV | jq .held_since) ]
	c written
	answer ext=12288:4096
	# a write that does not end keeps it from being final until the deadline
	END
	write_at 4
	cat <<-'END'
	recv q 1
	c finalize deadline=200
	event e finalized errno=110 hold=none
	END
	write_at 5
	cat <<-'END'
	q complete queue=0 seq=@seq comp=@t2:0:4096
	recv q 1
	q complete queue=0 seq=@seq comp=@t3:0:4096
	wait 0
	wait 0
	# and one that does end, does
	END
	write_at 6
	cat <<-'END'
	recv q 1
	c finalize
	await hold=writes
	silent e
	q complete queue=0 seq=@seq comp=@t4:0:4096
	wait 0
	event e finalized errno=0
	c written
	answer ext=16384:12288
	# nobody decides: what is held fails, but all can still be taken back
	c release
	event e released
	sh while r3map show -j $DEV | jq -e '.hold != "none"' >/dev/null; do sleep 0.1; done
	END
	cat <<-'END'
	c finalize hold_time=300
	event e finalized errno=0
	END
	write_at 7
	cat <<-'END'
	wait 1
	expect hold=refused
	c release
	event e released hold=none
	serve dd if=/dev/zero of=$DEV bs=4K count=1 oflag=direct status=none
	# the helper dies while it is final: the next one may decide
	c finalize
	event e finalized errno=0
	close q
	event e parked hold=writes
	END
	write_at 8
	cat <<-'END'
	await held=1
	c attach
	event e attached
	socket q
	q bind queue=0 area_addr=@a area_size=4M
	c start
	event e ready hold=writes
	expect held=1
	c retire
	event e retired hold=refused
	wait 1
	!EPERM c release
	!EALREADY c retire
	!EBUSY c finalize
	sh ! dd if=/dev/zero of=$DEV bs=4K count=1 oflag=direct status=none
	serve dd if=$DEV of=/dev/null bs=64K count=4 iflag=direct status=none
	c del
	await gone
	END
} | peer >"$TEST_DIR/out" || { cat "$TEST_DIR/out"; fail "see above"; }

# deleted at each of its stages
for stage in freezing draining final; do
	{
		printf 'listen e\n'
		peer_up
		[ $stage = final ] || write_at 1
		[ $stage = final ] || printf 'recv q 1\n'
		# page cache that cannot be written back
		[ $stage != freezing ] ||
			printf 'spawn dd if=/dev/zero of=$DEV bs=4K seek=9 count=1 conv=notrunc,fsync status=none\nawait waiting=1\n'
		printf 'c finalize deadline=30000\n'
		case $stage in
		draining) printf 'await hold=writes\n'; write_at 2; printf 'await held=1\n' ;;
		final) printf 'await hold=writes\n'; write_at 2; printf 'await held=1\n' ;;
		esac
		printf 'c del force\n'
		printf 'wait any\n'
		[ $stage = final ] || printf 'wait any\n'
		printf 'await gone\n'
	} | peer >"$TEST_DIR/$stage" || { cat "$TEST_DIR/$stage"; fail "deleted while $stage"; }
done
