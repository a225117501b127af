#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:2 7.2:2
# timeout: 600
#
# This test will use the store and the chunks of managed devices wrongly in every way and rightly
# in odd ones: what is wrong changes nothing, what is claimed, taken or fetched is nobody else's.

# shellcheck disable=SC2016 # $DEV is the peer's to expand
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program jq blkdiscard

# stores, most of them none, at numbers that the peer does not use
stores_open()
{
	mkdir "$TEST_DIR/fs"
	mount -t tmpfs none "$TEST_DIR/fs"
	cleanup_fn stores_close
	store=$TEST_DIR/fs/store
	truncate -s 1M "$store"
	mkfifo "$TEST_DIR/pipe"
	exec 100<>"$TEST_DIR/pipe" 103<"$TEST_DIR" 104<>/dev/zero
	exec 101<"$store"
	exec 102>>"$store"
	exec 105<>"$store"
}

# nobody else may hold them any more
stores_close()
{
	exec 101<&- 102>&- 105>&-
	! mountpoint -q "$TEST_DIR/fs" || umount "$TEST_DIR/fs"
}

# read_of CHUNK [BYTE]: reads 4 KiB in the middle of this chunk of 64 KiB, which must be these bytes
read_of()
{
	printf 'spawn set -o pipefail; dd if=$DEV bs=4K count=1 skip=%d iflag=direct status=none | ' \
		$((16 * $1 + 7))
	printf 'tr -d "\\%03o" | cmp - /dev/null\n' "${2:-0}"
}

# write_of CHUNK: writes zeroes to all of it; write_in CHUNK: to 4 KiB in its middle
write_of()
{
	printf 'spawn dd if=/dev/zero of=$DEV bs=64K count=1 seek=%d oflag=direct status=none\n' "$1"
}
write_in()
{
	printf 'spawn dd if=/dev/zero of=$DEV bs=4K count=1 seek=%d oflag=direct status=none\n' \
		$((16 * $1 + 7))
}

# row FIRST STEP COUNT SIZE: extents FIRST, FIRST + STEP ..., each of SIZE bytes
row()
{
	local i
	printf '%d:%d' "$1" "$4"
	for ((i = 1; i < $3; i++)); do
		printf ',%d:%d' $(($1 + i * $2)) "$4"
	done
}

# works: the lines that show that a managed device still works, with a push, and remove it
works()
{
	cat <<-'END'
	serve dd if=/dev/urandom of=$DEV.copy bs=40K count=10 status=none && dd if=$DEV.copy of=$DEV bs=40K oflag=direct conv=fsync status=none && cmp -n 409600 $DEV $DEV.copy && rm $DEV.copy
	expect dirty=0
	c del
	await gone
	END
}

# flushed MEANING: the lines that show that fsync and FUA are nothing to a helper
flushed()
{
	cat <<-END
	map $1 1000K memfd
	socket c
	socket q
	c new size=1000K chunk=64K store=$1 flush=$1 flags=0x2e
	expect flush=$1
	q bind queue=0
	c start
	spawn dd if=/dev/zero of=\$DEV bs=64K count=1 conv=fsync oflag=direct,dsync status=none
	wait 0
	expect dirty=64K request_messages=0
	!EAGAIN c del
	c del force
	await gone
	close c
	close q
	END
}

# again: the lines that make a second helper, which maps the store as t
again()
{
	cat <<-END
	socket c
	socket q
	c attach
	c open as=t
	q bind queue=0
	c start
	END
}

stores_open
note "devices that cannot be"
peer <<END
socket c
map s 64M memfd
map short $((64 * 1048576 - 4096)) memfd
!EINVAL c new size=64M chunk=64K
!EINVAL c new size=64M store=s
!EINVAL c new size=64M flush=remote
!EINVAL c new size=64M flush=remote store=s
!ERANGE c new size=64M store=s chunk=0
!ERANGE c new size=64M store=s chunk=2K
!ERANGE c new size=64M store=s chunk=4095
!EINVAL c new size=64M store=s chunk=4097
!EINVAL c new size=64M store=s chunk=12K
!EINVAL c new size=64M store=s chunk=65535
!ERANGE c new size=64M store=s chunk=32M
!ERANGE c new size=64M store=s chunk=4294967295
!EINVAL c new size=$((8 * 1024 ** 4 + 512)) store=s chunk=4K
!ERANGE c new size=64M store=s chunk=64K flush=0
!ERANGE c new size=64M store=s chunk=64K flush=4
!EINVAL c new size=64M store=s chunk=64K transport=inline
!EINVAL c new size=64M store=s chunk=64K local=0
!EINVAL c new size=64M store=s chunk=64K dirty=0
!EINVAL c new size=64M store=s chunk=64K sync=1
!EINVAL c new size=64M store=s chunk=64K errno=1
!EINVAL c new size=64M chunk=64K store=short
!EBADF c new size=1M chunk=64K store=99
!ERANGE c new size=1M chunk=64K store=4294967295
!EINVAL c new size=1M chunk=64K store=100
!EINVAL c new size=1M chunk=64K store=101
!EINVAL c new size=1M chunk=64K store=102
!EINVAL c new size=1M chunk=64K store=103
!EINVAL c new size=1M chunk=64K store=104
!EINVAL c new size=$((1048576 + 512)) chunk=64K store=105
map m 12K memfd
map n 8K memfd
!EINVAL c new size=64M chunk=64K store=s map=m
!EINVAL c new size=64M chunk=64K store=s map_region=64K
!EINVAL c new size=64M map=m map_region=64K
!EINVAL c new size=64M chunk=64K store=s map=m map_region=0
!EINVAL c new size=64M chunk=64K store=s map=m map_region=32K
!EINVAL c new size=64M chunk=64K store=s map=m map_region=96K
!EINVAL c new size=64M chunk=64K store=s map=s map_region=64K
!EINVAL c new size=64M chunk=64K store=s map=n map_region=64K
!EBADF c new size=64M chunk=64K store=s map=99 map_region=64K
!EINVAL c new size=64M chunk=64K store=s map=101 map_region=64K
!EINVAL c new size=64M chunk=64K store=s map=103 map_region=64K
# the smallest and the largest chunk; one that is larger than the device; a store that is larger
c new size=64M chunk=4K store=s
expect chunk=4K flush=remote local=0 dirty=0
# its payload is in the store
socket q
!EINVAL q bind queue=0 area_addr=@s area_size=4M
q bind queue=0
c del
await gone
c new size=512 chunk=16M store=s flush=local
expect chunk=16M flush=local
c chunks
answer ext=0:512 next=512
c del
await gone
END

note "a map file: what it says is so, and it says what is so"
peer <<END
map m 12K memfd
# chunks 0, 1, 2 and 9 are present, and something was written to the regions of 1 and 4
poke m 8192 1 7
poke m 8193 1 2
poke m 4096 1 18
# bits behind the last mean nothing
poke m 8194 1 255
poke m 4098 1 255
socket c
socket q
map s 1000K memfd
c new size=1000K depth=8 backend=test: chunk=64K store=s flags=0x2e flush=durable map=m map_region=64K
expect local=256K dirty=64K
c chunks
answer ext=0:64K:l,64K:64K:ld,128K:64K:l,192K:384K,576K:64K:l,640K:360K next=1000K
q bind queue=0
c start
c take
answer ext=64K:64K next=1000K
c done ext=64K:64K
expect dirty=0
# the intent is on disk before the write has ended, what is there when it was synced
spawn dd if=/dev/zero of=\$DEV bs=64K seek=3 count=1 oflag=direct status=none
wait 0
peek m 4096 1 26
peek m 8192 1 7
spawn dd if=/dev/zero of=\$DEV bs=40K seek=24 count=1 oflag=direct conv=fsync status=none
wait 0
peek m 4097 1 128
peek m 8192 1 15
peek m 8193 1 130
# not without force, for the backend was not flushed; and then they stay
!EAGAIN c del
c take
answer ext=192K:64K,960K:40K next=1000K
c done ext=192K:64K,960K:40K
expect dirty=0
!EAGAIN c del
c sync
recv q 1
check 0 op=flush
q complete queue=0 seq=@seq comp=@t0:0:0
c del
await gone
peek m 4096 2 0
peek m 8192 1 15
peek m 8193 1 130
END

note "a direct device"
peer <<END
$(peer_up timeout=30000)
!EOPNOTSUPP c open
!EOPNOTSUPP c claim
!EOPNOTSUPP c fill ext=0:64K
!EOPNOTSUPP c chunks
!EOPNOTSUPP c take
!EOPNOTSUPP c done ext=0:64K
listen e
c sync
recv q 1
check 0 op=flush offset=0 length=0
q complete queue=0 seq=@seq comp=@t0:0:0
event e synced sync=@sync errno=0
$(peer_works)
END

note "questions and claims"
peer <<END
$(peer_up_managed)
c chunks
answer ext=0:1000K next=1000K
c chunks offset=128K length=1
answer ext=128K:64K next=192K
$(for command in claim take chunks; do
	for wrong in offset=1 offset=4K offset=1000K offset=1M offset=18446744073709486080 \
			length=0 length=1024001 'offset=64K length=937K' \
			'offset=64K length=18446744073709551615' ext=0:64K error=-5; do
		echo "!EINVAL c $command $wrong"
	done
	echo "!EINVAL,ERANGE c $command index:"
	echo "!EINVAL c $command -index"
	echo "!ENODEV c $command index=77"
done)
!EINVAL c chunks limit=64K
!EINVAL c chunks generation=+0
$(for command in open claim 'fill ext=0:64K' take 'done ext=0:64K'; do
	printf '!EINVAL c %s -generation\n!ESTALE c %s generation=+1\n!ESTALE c %s generation=-1\n' \
		"$command" "$command" "$command"
done)
# another process, which may everything else
sh G=\$(r3map show -j \$DEV | jq .generation); for i in open claim 'fill ext=0:64K' take 'done ext=0:64K'; do echo "!EPERM o \$i"; done | (printf 'set index %s\nset generation %s\nsocket o\n' \${DEV#/dev/r3map} \$G; cat; printf 'o chunks\nanswer ext=0:1000K next=1000K\n') | peer
c claim offset=64K length=128K
answer ext=64K:128K next=192K
c claim length=256K
answer ext=0:64K,192K:64K next=256K
c claim length=256K
answer ext=none next=256K
# at least one, and no more than so many
c claim offset=256K limit=0
answer ext=256K:64K next=320K
c claim offset=320K limit=262143
answer ext=320K:192K next=512K
c claim offset=512K length=1
answer ext=512K:64K next=576K
c claim offset=960K
answer ext=960K:40K next=1000K
c chunks
answer ext=0:576K:b,576K:384K,960K:40K:b next=1000K
!EINVAL c fill
!EINVAL c fill -index ext=0:64K
!EINVAL c fill extents:
!EINVAL c fill extents:00
!EINVAL c fill extents:0000000000000000000001000000000000000000000000
!EINVAL c fill extents:00000000000000000000010000000000000000000000000000
$(for wrong in 0:0 1:64K 4K:64K 0:1 0:4K 0:65K 0:65535 64K:64K,0:64K 0:64K,0:64K 0:128K,64K:64K \
		0:64K,1:64K 960K:64K 960K:4K 1000K:64K 1M:64K 18446744073709486080:64K \
		0:18446744073709551615 576K:64K 512K:128K 0:64K,576K:64K 0:64K,64K:64K,576K:64K; do
	echo "!EINVAL c fill ext=$wrong"
	echo "!EINVAL c fill error=-5 ext=$wrong"
done)
$(printf '!ERANGE,EINVAL c fill ext=%s\n' "$(row 0 65536 257 65536)")
!ERANGE c fill ext=0:64K error=0
!ERANGE c fill ext=0:64K error=5
!ERANGE c fill ext=0:64K error=-4096
!EINVAL c fill ext=0:64K limit=64K
!EINVAL c fill ext=0:64K offset=0
poke s 0 256K 7
c fill ext=0:64K,64K:128K
expect local=192K fill_bytes=192K dirty=0
c chunks
answer ext=0:192K:l,192K:384K:b,576K:384K,960K:40K:b next=1000K
!EINVAL c fill ext=0:64K
!EINVAL c fill ext=0:64K error=-5
!EINVAL c fill ext=128K:128K
$(read_of 0 7)
$(read_of 2 7)
wait 0
wait 0
expect hits=2 misses=0 fetches=0 request_messages=0
# what could not be filled is free again, what is local is not given out
c fill ext=192K:64K error=-5
expect local=192K fill_bytes=192K
!EINVAL c fill ext=192K:64K
c claim length=256K
answer ext=192K:64K next=256K
c fill ext=960K:40K
c claim offset=960K
answer ext=none next=1000K
c fill ext=192K:384K
expect fill_bytes=616K
# nothing was written: nothing is dirty
c take
answer ext=none next=1000K
!EINVAL c done ext=0:64K
$(works)
END

note "many chunks"
peer <<END
socket c
map s 1G memfd
c new size=1G chunk=4K store=s
# a call looks at so many only
c chunks
answer ext=0:256M next=256M
c claim offset=512M limit=512M
answer ext=512M:256M next=768M
c claim limit=4M
answer ext=0:4M next=4M
c fill ext=$(row 0 8192 256 4096)
c fill ext=$(row 2097152 8192 256 4096)
expect local=2M
c chunks
answer nr=256 next=1M
c fill error=-5 ext=$(row 4096 8192 256 4096)
c fill error=-5 ext=$(row 2101248 8192 256 4096)
c claim length=4M
answer nr=256 ext=$(row 4096 8192 256 4096) next=$((256 * 8192 + 4096))
c claim length=4M limit=1M
answer nr=256 ext=$(row 2101248 8192 256 4096) next=4M
c del
await gone
END

note "fetches"
peer <<END
$(peer_up_managed timeout=300000)
$(read_of 5 9)
recv q 1
check 0 op=fetch offset=320K length=64K area=0 flags=0
expect misses=1 in_flight=1
# a second reader has the same fetch, and nobody else has the chunk
$(read_of 5 9)
await misses=2
quiet q 200
expect in_flight=1 waiting=2
c claim offset=320K length=64K
answer ext=none next=384K
c chunks offset=320K length=64K
answer ext=320K:64K:b next=384K
!EINVAL c fill ext=320K:64K
!EINVAL c fill ext=320K:64K error=-5
!EINVAL q complete queue=0 comp=@t0:0:65536
!EINVAL q complete queue=0 comp=@t0:0:1
!EINVAL q complete queue=0 comp=@t0:5:0
!EINVAL q complete queue=0 comp=@t0:-5:1
expect local=0 fetches=0
poke s 320K 64K 9
q complete queue=0 seq=@seq comp=@t0:0:0
wait 0
wait 0
expect local=64K fetches=1 fetch_bytes=64K reads=2 hits=0 misses=2 errors=0
!ENOENT q complete queue=0 comp=@t0:0:0
# one that fails is an error for those who need it, for nobody else
$(read_of 6)
recv q 1
$(read_of 6)
$(read_of 7 5)
await misses=5
q complete queue=0 seq=@seq
recv q 1
check 1 op=fetch offset=384K
check 2 op=fetch offset=448K
$(read_of 5 9)
q complete queue=0 seq=@seq comp=@t1:-5:0
wait fail
wait fail
quiet q 100
poke s 448K 64K 5
q complete queue=0 comp=@t2:0:0
wait 0
wait 0
expect errors=2 fetches=2 local=128K hits=1 misses=5
# and the next one tries again
$(read_of 6 3)
recv q 1
check 3 op=fetch offset=384K flags=0
poke s 384K 64K 3
q complete queue=0 seq=@seq comp=@t3:0:0
wait 0
# a write of a part fetches the rest; one of all fetches nothing; what is under way is waited for
$(write_in 8)
recv q 1
check 4 op=fetch offset=512K length=64K
poke s 512K 64K 1
expect dirty=0 writes=0
$(write_of 8)
await misses=8
q complete queue=0 seq=@seq comp=@t4:0:0
wait 0
wait 0
peek s 512K 64K 0
$(write_of 9)
wait 0
expect dirty=128K local=320K fetches=4 writes=3
c chunks offset=512K length=128K
answer ext=512K:128K:ld next=640K
# one of several chunks fetches both ends; a read fetches in one row what lies in one
spawn dd if=/dev/zero of=\$DEV bs=192K count=1 seek=676K oflag=direct,seek_bytes status=none
recv q 1
check 5 op=fetch offset=640K length=64K
q complete queue=0 seq=@seq comp=@t5:0:0
recv q 1
check 6 op=fetch offset=832K length=64K
q complete queue=0 seq=@seq comp=@t6:0:0
wait 0
expect fetches=6 local=576K
spawn dd if=\$DEV of=/dev/null bs=256K count=1 iflag=direct status=none
recv q 1
check 7 op=fetch offset=0 length=256K
q complete queue=0 seq=@seq comp=@t7:0:0
wait 0
# the last chunk is short
spawn dd if=\$DEV of=/dev/null bs=4K skip=249 iflag=direct status=none
recv q 1
check 8 op=fetch offset=960K length=40K
q complete queue=0 seq=@seq comp=@t8:0:0
wait 0
c del force
await gone
END

note "a fetch that fails is an error for those who need all of it"
peer <<END
$(peer_up_managed timeout=300000)
spawn dd if=\$DEV of=/dev/null bs=256K count=1 iflag=direct status=none
recv q 1
check 0 op=fetch offset=0 length=256K
# one needs a part of it, the other nothing
$(read_of 1 7)
$(write_of 2)
await misses=3
quiet q 100
q complete queue=0 seq=@seq comp=@t0:-5:0
wait fail
recv q 1
check 1 op=fetch offset=64K length=64K
poke s 64K 64K 7
q complete queue=0 seq=@seq comp=@t1:0:0
wait 0
wait 0
expect errors=1 fetches=1 local=128K dirty=64K writes=1
c del force
await gone
END

note "who waits for a claim"
peer <<END
$(peer_up_managed timeout=300000)
c claim length=256K
answer ext=0:256K next=256K
$(read_of 0 4)
$(write_of 1)
$(write_in 2)
await misses=3
quiet q 200
expect in_flight=0 waiting=3 writes=0 dirty=0
# not to be had: then it is fetched
c fill ext=0:64K error=-5
recv q 1
check 0 op=fetch offset=0 length=64K
poke s 0 64K 4
q complete queue=0 seq=@seq comp=@t0:0:0
wait 0
# what is filled late does not undo what was written: that waits
poke s 64K 128K 6
c fill ext=64K:128K
wait 0
wait 0
peek s 64K 64K 0
peek s 128K 28K 6
peek s 156K 4K 0
peek s 160K 32K 6
expect writes=2 dirty=128K errors=0
# too long: the reader has its error, the claim stands
c set timeout=200
$(read_of 3)
wait fail
expect timeouts=1 errors=1
!EAGAIN c del
c fill ext=192K:64K
expect local=256K
# the same with a fetch: its answer is still good
$(read_of 4)
recv q 1
wait fail
expect timeouts=2 errors=2 in_flight=1
poke s 256K 64K 8
q complete queue=0 seq=@seq comp=@t1:0:0
expect in_flight=0 local=320K refused=0
$(read_of 4 8)
wait 0
c set timeout=300000
$(works)
END

note "a loose claim gives way"
peer <<END
$(peer_up_managed timeout=300000)
c claim length=256K loose
answer ext=0:256K next=256K
c claim length=256K
answer ext=none next=256K
c claim length=256K loose
answer ext=none next=256K
c chunks
answer ext=0:256K:b,256K:744K
!EINVAL c fill ext=0:64K
# who writes all of one takes it away, and waits for nobody; the claim is gone
$(write_of 1)
wait 0
expect writes=1 dirty=64K local=64K waiting=0
!EINVAL c fill ext=64K:64K error=-5
!EINVAL c fill ext=0:256K error=-5
# others wait, and nobody else fetches it
$(read_of 0 4)
$(write_in 2)
await misses=3
quiet q 200
expect in_flight=0 waiting=2 local=64K
# what is left of it becomes firm, as far as is asked
!EINVAL c firm offset=1
!EINVAL c firm length=0
!ESTALE c firm generation=-1
c firm length=128K
answer ext=0:64K next=128K
c firm length=128K
answer ext=none next=128K
$(write_of 3)
await writes=2 local=128K
c firm
answer ext=128K:64K next=1000K
# now who writes all of it waits as well
$(write_of 2)
await waiting=3
poke s 0 64K 4
poke s 128K 64K 6
c fill ext=0:64K,128K:64K
wait 0
wait 0
wait 0
wait 0
peek s 0 64K 4
peek s 64K 192K 0
expect local=256K errors=0
# one that could not be read is free again, loose or firm
c claim offset=256K length=192K loose
answer ext=256K:192K next=448K
$(read_of 4 8)
await misses=6
c firm offset=320K length=64K
answer ext=320K:64K next=384K
c fill ext=256K:192K error=-5
recv q 1
check 0 op=fetch offset=256K length=64K
poke s 256K 64K 8
q complete queue=0 seq=@seq comp=@t0:0:0
wait 0
$(write_of 5)
$(write_of 6)
wait 0
wait 0
expect errors=0 waiting=0
$(works)
END

note "what is dirty"
peer <<END
$(peer_up_managed timeout=300000)
listen e
$(write_of 1)
wait 0
$(write_of 2)
wait 0
$(write_of 4)
wait 0
expect dirty=192K local=192K
!EINVAL c done ext=64K:64K
!EAGAIN c del
c take offset=64K limit=1
answer ext=64K:64K next=128K
expect dirty=192K
!EAGAIN c del
$(for wrong in 0:0 0:64K 128K:64K 64K:128K 64K:4K 64K:64K,64K:64K 65K:64K 1000K:64K; do
	echo "!EINVAL c done ext=$wrong"
	echo "!EINVAL c done error=-5 ext=$wrong"
done)
!ERANGE c done ext=64K:64K error=0
!ERANGE c done ext=64K:64K error=5
!EINVAL c done
!EINVAL c done extents:00
c take
answer ext=128K:64K,256K:64K next=1000K
c take
answer ext=none next=1000K
expect dirty=192K push_bytes=0
c chunks
answer ext=0:64K,64K:128K:ld,192K:64K,256K:64K:ld,320K:680K next=1000K
c done ext=64K:64K,256K:64K
expect dirty=64K push_bytes=128K
!EINVAL c done ext=64K:64K
!EINVAL c done ext=64K:128K
# written while it is on its way: it is dirty again, and not to be had before that is over
$(write_in 2)
wait 0
c take
answer ext=none next=1000K
c done ext=128K:64K
expect dirty=64K push_bytes=192K
c take
answer ext=128K:64K next=1000K
# could not be brought: it is dirty again
c done ext=128K:64K error=-5
expect dirty=64K push_bytes=192K
!EAGAIN c del
c take
answer ext=128K:64K next=1000K
c done ext=128K:64K
expect dirty=0
# zeroes and discards are writes, too; a discard leaves out what it would have to fetch
spawn blkdiscard -f -z -o 655360 -l 65536 \$DEV
wait 0
c take
answer ext=640K:64K next=1000K
c done ext=640K:64K
spawn blkdiscard -f -o 659456 -l 131072 \$DEV
wait 0
c take
answer ext=640K:128K next=1000K
c done ext=640K:128K
expect request_messages=0
# a sync is a flush of its own, with a number of its own
c sync
recv q 1
check 0 op=flush offset=0 length=0
silent e
q complete queue=0 seq=@seq comp=@t0:0:0
event e synced sync=@sync errno=0
c sync
recv q 1
q complete queue=0 seq=@seq comp=@t1:-28:0
event e synced sync=@sync errno=28
!EINVAL c sync -generation
!ESTALE c sync generation=+1
!EINVAL c sync force
# fsync, and FUA: the helper is asked before it is over
spawn dd if=/dev/zero of=\$DEV bs=64K count=1 conv=fsync oflag=direct status=none
recv q 1
check 2 op=flush
expect dirty=64K writes=5
quiet q 100
q complete queue=0 seq=@seq comp=@t2:-5:0
wait fail
spawn dd if=/dev/zero of=\$DEV bs=64K count=1 oflag=direct,dsync status=none
recv q 1
check 3 op=flush
q complete queue=0 seq=@seq comp=@t3:0:0
recv q 1
check 4 op=flush
q complete queue=0 seq=@seq comp=@t4:0:0
wait 0
!EOPNOTSUPP c set size=64M
!EOPNOTSUPP c set size=512
c set size=1000K
$(works)
close c
close q
$(flushed local)
$(flushed durable)
END

note "helpers that die"
peer <<END
$(peer_up_managed timeout=300000)
$(write_of 0)
wait 0
$(write_of 1)
wait 0
c take limit=64K
answer ext=0:64K next=64K
c claim offset=128K length=128K
answer ext=128K:128K next=256K
$(read_of 2 2)
$(read_of 4 4)
recv q 1
check 0 op=fetch offset=256K
await misses=4
close q
await state=parked waiting=4
close c
# nobody is its helper
socket o
!EPERM o claim
!EPERM o take
!EPERM o fill ext=128K:64K
!EPERM o open
o chunks
answer ext=0:128K:ld,128K:64K:b,192K:64K,256K:64K:b,320K:680K next=1000K
expect dirty=128K local=128K
$(again)
recv q 2
# the one that was there is first
check 1 op=fetch offset=256K flags=4
check 2 op=fetch offset=128K flags=0
!EINVAL c fill ext=128K:64K
!EINVAL c fill ext=192K:64K
!EINVAL c done ext=0:64K
poke t 128K 64K 2
poke t 256K 64K 4
peek s 128K 64K 2
!ENOENT q complete queue=0 comp=@t0:0:0
q complete queue=0 seq=@seq comp=@t1:0:0,@t2:0:0
wait 0
wait 0
c take
answer ext=0:128K next=1000K
c done ext=0:128K
# one that had attached and not started may fill as well, and leave as well
c claim offset=512K length=64K
close c
await state=parked
close q
unmap t
socket c
c attach
!ESTALE c fill ext=512K:64K generation=-1
c claim offset=512K length=64K
answer ext=512K:64K next=576K
c claim offset=576K length=64K
c fill ext=576K:64K
close c
await helper_pid=0
$(again)
c claim offset=512K length=128K
answer ext=512K:64K next=640K
c fill ext=512K:64K error=-5
$(works)
END

note "helpers that die and have no heir, and devices that are deleted"
for end in 'close q' 'c del force'; do
	peer <<-END
	$(peer_up_managed park=0 timeout=300000)
	listen e
	c claim length=64K
	$(read_of 0)
	$(read_of 1)
	recv q 1
	c sync
	await misses=2 in_flight=1 waiting=3
	$end
	wait fail
	wait fail
	$([ "$end" = 'close q' ] && printf 'event e failed\nevent e synced sync=@sync errno=5\n' ||
		printf 'await gone\n!ENODEV c claim\n!ENODEV c take\n')
	$([ "$end" != 'close q' ] || printf 'expect state=failed\nc del\n')
	await gone
	END
done

note "a store that is cut under its device"
peer <<END
socket c
socket q
c new size=1M chunk=64K store=105 flags=0x2e
q bind queue=0
c start
c claim
c fill ext=0:1M
sh truncate -s 100K $store
$(read_of 0)
wait 0
$(read_of 10)
wait any
$(write_of 10)
wait any
c open
c del force
await gone
END

stores_close
