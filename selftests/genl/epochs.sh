#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:2 6.12 7.2:2
#
# This test will watch what is written to a device, direct and managed, by several at a time: each is
# told every grain that was written since it last asked, once, and nothing else.

# shellcheck disable=SC2016,SC2119 # $DEV is the peer's to expand; no attributes are meant
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program blkdiscard python3

# put OFFSET LENGTH: the line that writes so many bytes there, both whole KiB
put()
{
	printf 'serve dd if=/dev/zero of=$DEV bs=1K seek=%d count=%d oflag=direct conv=notrunc status=none\n' \
		$(($1 / 1024)) $(($2 / 1024))
}

{
	peer_up
	cat <<-'END'
	expect epochs=0 hold=none held=0
	!ENOENT c written epoch=12345678901
	!ENOENT c unwatch epoch=12345678901
	!EINVAL c written -epoch
	!EINVAL c unwatch -epoch
	!ESTALE c watch generation=-1
	c watch
	expect epochs=1
	# nothing is dirty at first, and what was read is not
	serve dd if=$DEV of=/dev/null bs=64K count=4 iflag=direct status=none
	c written
	answer nr=0 dirty=0 next=64M
	END
	put 0 1024
	put 8192 8192
	put 67107840 1024
	cat <<-'END'
	c written
	answer ext=0:4096,8192:8192,67104768:4096 dirty=16K next=64M
	c written
	answer nr=0 dirty=0 next=64M
	# a grain that is written twice is told once; from an offset on
	END
	put 4096 4096
	put 4096 4096
	put 1048576 4096
	cat <<-'END'
	c written offset=8K
	answer ext=1048576:4096 next=64M
	c written
	answer ext=4096:4096 dirty=4K
	!EINVAL c written offset=512
	!EINVAL c written offset=64M
	!EINVAL c written offset=1E
	# discards and zeroes are writes, a flush is none
	serve blkdiscard -o 2M -l 1M $DEV && blkdiscard -z -o 16M -l 64K $DEV
	c written
	answer ext=2097152:1048576,16777216:65536 dirty=1088K
	serve sync -f $DEV
	c written
	answer nr=0
	# another one begins with nothing, and each has its own
	END
	put 0 4096
	cat <<-'END'
	c watch
	expect epochs=2
	END
	put 12288 4096
	cat <<-'END'
	c written epoch=@epoch
	answer ext=12288:4096
	c written epoch=@epoch-1
	answer ext=0:4096,12288:4096
	c unwatch epoch=@epoch-1
	!ENOENT c written epoch=@epoch-1
	!ENOENT c unwatch epoch=@epoch-1
	expect epochs=1
	END
	put 12288 4096
	cat <<-'END'
	c written
	answer ext=12288:4096
	# a watched device keeps its size
	!EBUSY c set size=32M
	# a write on its way when the watching begins is told when it has ended
	spawn dd if=/dev/zero of=$DEV bs=4K seek=5 count=1 oflag=direct status=none
	recv q 1
	c watch
	c written
	answer nr=0
	q complete queue=0 seq=@seq comp=@t0:0:4096
	wait 0
	c written
	answer ext=20480:4096
	# also one that fails
	spawn dd if=/dev/zero of=$DEV bs=4K seek=6 count=1 oflag=direct status=none
	recv q 1
	q complete queue=0 seq=@seq comp=@t1:-5:0
	wait 1
	c written
	answer ext=24576:4096
	# as many as there can be
	c watch
	c watch
	c watch
	c watch
	c watch
	c watch
	expect epochs=8
	!EBUSY c watch
	expect epochs=8
	# of somebody else, and with the helper they end
	sh G=$(r3map show -j $DEV | jq .generation); printf 'set index 0\nset generation %s\nsocket o\n!EPERM o watch\n!EPERM o written epoch=1\n' $G | peer
	close c
	await state=parked
	expect epochs=0
	socket c
	!EPERM c watch
	c attach
	socket q
	q bind queue=0 area_addr=@a area_size=4M
	c start
	!ENOENT c written
	c set size=32M
	END
	peer_works
} | peer >"$TEST_DIR/direct" || { cat "$TEST_DIR/direct"; fail "a direct device, see above"; }

# more extents than one answer has; a last grain that is short
{
	peer_up size=64513K
	cat <<-'END'
	c watch
	serve python3 -c 'import os, sys; f = os.open(sys.argv[1], os.O_WRONLY); [os.pwrite(f, b"x", i * 10 * 1024) for i in range(1500)]; os.fsync(f)' $DEV
	c written
	answer nr=1024
	c written offset=@next
	answer nr=476 next=64513K
	END
	put 66060288 1024
	cat <<-'END'
	c written
	answer ext=66060288:1024 dirty=4K next=64513K
	c del
	await gone
	END
} | peer >"$TEST_DIR/many" || { cat "$TEST_DIR/many"; fail "many extents, see above"; }

# as a bitmap, to the helper's memory: the same
{
	peer_up
	cat <<-'END'
	map b 1M
	map readonly 64K ro
	map half 64K hole
	c watch
	poke b 0 1M 255
	c written bitmap=@b bitmap_size=1M
	answer nr=0 next=64M
	peek b 0 2K 0
	peek b 2K 4K 255
	END
	put 12288 20480
	put 33550336 4096
	put 67104768 4096
	cat <<-'END'
	# kept, it comes again
	c written bitmap=@b bitmap_size=1M keep
	peek b 0 1 248
	peek b 1 1022 0
	peek b 1023 1 128
	peek b 1024 1023 0
	peek b 2047 1 128
	# in parts, and from an offset on
	c written bitmap=@b bitmap_size=1K
	answer next=32M
	peek b 1023 1 128
	c written bitmap=@b bitmap_size=1K offset=32M
	answer next=64M
	peek b 0 1023 0
	peek b 1023 1 128
	c written
	answer nr=0
	# where it cannot be written nothing is taken, and what was before is told
	END
	put 12288 4096
	put 65011712 4096
	cat <<-'END'
	!EFAULT c written bitmap=@readonly bitmap_size=2K
	!EFAULT c written bitmap=8 bitmap_size=2K
	!EFAULT c written bitmap=0xffff888000000000 bitmap_size=2K
	!EFAULT c written bitmap=@half+32K bitmap_size=2K
	!EINVAL c written bitmap=@b
	!EINVAL c written bitmap=@b bitmap_size=2052
	!EINVAL c written bitmap=@b+4 bitmap_size=2K
	!EINVAL c written bitmap=@b bitmap_size=2K offset=4K
	!ERANGE c written bitmap=@b bitmap_size=0
	!ERANGE c written bitmap=@b bitmap_size=4M
	!EINVAL c written keep
	c written
	answer ext=12288:4096,65011712:4096
	c del
	await gone
	END
} | peer >"$TEST_DIR/bitmap" || { cat "$TEST_DIR/bitmap"; fail "a bitmap, see above"; }

# a managed one tells chunks: what is written here, not what comes from the backend
{
	peer_up_managed
	cat <<-'END'
	c watch
	c claim length=128K
	c fill ext=0:131072
	c written
	answer nr=0
	serve dd if=/dev/zero of=$DEV bs=4K seek=1 count=1 oflag=direct status=none
	c written
	answer ext=0:65536 dirty=64K next=1000K
	serve dd if=/dev/zero of=$DEV bs=4K seek=40 count=1 oflag=direct status=none; dd if=/dev/zero of=$DEV bs=4K seek=249 count=1 oflag=direct conv=fsync status=none
	c written
	answer ext=131072:65536,983040:40960 dirty=128K
	# what was pushed is still to be told
	expect dirty=0
	c del
	await gone
	END
} | peer >"$TEST_DIR/managed" || { cat "$TEST_DIR/managed"; fail "a managed device, see above"; }
