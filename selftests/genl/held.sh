#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:1 6.12 7.2:1
#
# This test will make devices whose bios are held, fill and drop their chunks, and let them go: nobody
# is served before, everybody afterwards, and what is deleted meanwhile fails and hangs nowhere.

# shellcheck disable=SC2016 # $DEV is the peer's to expand
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program nowait jq

{
	peer_up_managed flags=0x6e
	cat <<-'END'
	listen e
	expect state=live hold=all held=0 first_io=0
	c claim length=192K
	poke s 0 192K 7
	c fill ext=0:196608
	# reads of what is here wait as well, and so do writes and flushes
	spawn dd if=$DEV bs=4K count=1 iflag=direct status=none | tr -d '\007' | cmp - /dev/null
	await held=1
	spawn dd if=/dev/zero of=$DEV bs=64K seek=4 count=1 oflag=direct status=none
	await held=2
	sh [ $(nowait $DEV read call) = EAGAIN ] && [ $(nowait $DEV write ring) = EAGAIN ]
	expect held=2 waiting=0 in_flight=0 dirty=0
	# what has changed at its source is fetched once more
	!EBUSY c finalize
	!EINVAL c retire
	c claim offset=256K length=64K
	!EBUSY c drop ext=0:65536,262144:65536
	c chunks
	answer ext=0:196608:l,196608:65536,262144:65536:b,327680:696320
	c fill ext=262144:65536 error=-5
	!EINVAL c drop
	!EINVAL c drop ext=0:4096
	!EINVAL c drop ext=0:65536:1
	!EINVAL c drop ext=983040:65536
	c drop ext=65536:65536,983040:40960
	expect local=128K
	c drop ext=65536:65536
	expect local=128K
	# by a bitmap: nothing of what is claimed, all that is not
	map b 64K
	map half 64K hole
	poke b 0 8 0
	poke b 0 1 2
	c claim length=128K
	answer ext=65536:65536
	!EBUSY c drop bitmap=@b bitmap_size=8
	c fill ext=65536:65536
	expect local=192K
	!EFAULT c drop bitmap=@half+32K bitmap_size=8
	!EINVAL c drop bitmap=@b bitmap_size=16
	!EINVAL c drop bitmap=@b bitmap_size=8 offset=64K
	!EINVAL c drop bitmap=@b bitmap_size=8 offset=4M
	expect local=192K
	c drop bitmap=@b bitmap_size=8
	expect local=128K
	c claim length=128K
	answer ext=65536:65536
	poke s 64K 64K 8
	c fill ext=65536:65536
	expect local=192K hold=all
	!ESTALE c release generation=-1
	c release
	event e released hold=none
	wait 0
	wait 0
	await held=0 hold=none
	sh [ $(r3map show -j $DEV | jq .first_io) -gt 0 ]
	!EALREADY c release
	!EBUSY c drop ext=0:65536
	serve dd if=$DEV bs=64K skip=1 count=1 iflag=direct status=none | tr -d '\010' | cmp - /dev/null
	serve dd if=/dev/zero of=$DEV bs=64K count=1 oflag=direct conv=fsync status=none
	c del
	await gone
	END
} | peer >"$TEST_DIR/managed" || { cat "$TEST_DIR/managed"; fail "see above"; }
# a direct one; deleted while somebody waits; its helper gone
{
	peer_up flags=0x6e
	cat <<-'END'
	expect hold=all
	spawn dd if=$DEV of=/dev/null bs=4K count=1 iflag=direct status=none
	spawn dd if=/dev/zero of=$DEV bs=4K count=1 oflag=direct status=none
	await held=2
	!EBUSY c del
	!?EOPNOTSUPP c drop ext=0:4096
	close q
	await state=parked
	expect hold=all held=2
	c attach
	socket q
	q bind queue=0 area_addr=@a area_size=4M
	c start
	expect hold=all held=2
	c del force
	wait 1
	wait 1
	await gone
	END
} | peer >"$TEST_DIR/direct" || { cat "$TEST_DIR/direct"; fail "a direct device, see above"; }
