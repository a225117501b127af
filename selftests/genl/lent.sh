#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:2 7.2:1
#
# This test will lend the bytes of reads from good and bad places, and see the
# bytes, or the same read once more without R3MAP_DESC_LEND, or a refusal.

# shellcheck disable=SC2016,SC2119 # $DEV is the peer's to expand; nothing to add
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

read='dd if=$DEV of=$DEV.data bs=64K count=1 iflag=direct status=none'
write='dd if=/dev/zero of=$DEV bs=64K count=1 oflag=direct status=none'
want=$TEST_DIR/want

# pages AREA LETTERS: the lines that give each page of 4 KiB of an area a letter of its own
pages()
{
	local i code
	for ((i = 0; i < ${#2}; i++)); do
		printf -v code %d "'${2:i:1}"
		echo "poke $1 $((i * 4096)) 4096 $code"
	done
}

# lettered LETTERS: and the same as a file
lettered()
{
	local i page
	printf -v page %4096s ''
	for ((i = 0; i < ${#1}; i++)); do
		printf %s "${page// /${1:i:1}}"
	done
}

# data FILE [SKIP]: the line that tells whether all that was read is there from byte SKIP on
data()
{
	echo "sh cmp -n 65536 -i ${2:-0}:0 $1 \$DEV.data"
}

# lends N ADDRESS FILE [SKIP]: the lines of a read, request N, that is lent what is at ADDRESS, and has it
lends()
{
	printf '%s\n' "spawn $read" 'recv q 1' \
		"q complete queue=0 seq=@seq comp=@t$1:0:65536 addr=$2" 'wait 0' "$(data "$3" "${4:-0}")"
}

lettered ABCDEFGHIJKLMNOPQRSTU >"$want.b"
lettered abcdefghijklmnopqrstu >"$want.a"
head -c 65536 /dev/zero >"$want.zero"

peer <<END
$(peer_up)
map b 1M
map ro 1M ro
map p 1M private
map hole 4M hole
$(pages b ABCDEFGHIJKLMNOPQRSTU)
$(pages a abcdefghijklmnopqrstu)
# whole pages, and bytes that begin anywhere
spawn $read
recv q 1
check 0 op=read length=65536 area=0 flags=32
q complete queue=0 seq=@seq comp=@t0:0:65536 addr=@b
wait 0
$(data "$want.b")
$(lends 1 @b+5633 "$want.b" 5633)
# 0 is the area; what cannot be written is read; of private pages that were only read there is but one
$(lends 2 0 "$want.a")
peek ro 0 1048576 0
$(lends 3 @ro+4096 "$want.zero")
peek p 0 1048576 0
$(lends 4 @p "$want.zero")
$(lends 5 @p+513 "$want.zero")
expect reads=6 lent=5 errors=0 reissued=0 in_flight=0
# refused as a whole
spawn $read
recv q 1
!EINVAL q complete queue=0 comp=@t6:0:65536 addr=@b,@b
!EINVAL q complete queue=0 seq=@seq addr=@b
!EINVAL q complete queue=0 comp=@t6:0:65536 addresses:00000000
!EINVAL q complete queue=0 comp=@t6:0:65536 addresses:
!ENOENT q complete queue=0 comp=@t6:0:65536,@t6+1:0:65536 addr=@b,@b
!EINVAL q complete queue=0 comp=@t6:0:65537 addr=@b
expect in_flight=1
q complete queue=0 seq=@seq comp=@t6:0:65536 addr=@b+4096
wait 0
$(data "$want.b" 4096)
spawn $write
recv q 1
check 7 op=write flags=0
!EINVAL q complete queue=0 comp=@t7:0:65536 addr=@b
q complete queue=0 seq=@seq comp=@t7:0:65536 addr=0
wait 0
$(pages a abcdefghijklmnopqrstu)
# errors and short ones are what they are without
spawn $read
recv q 1
q complete queue=0 seq=@seq comp=@t8:-61:0 addr=@b
wait fail
spawn $read
recv q 1
q complete queue=0 seq=@seq comp=@t9:0:512 addr=@b
wait fail
expect errors=2 reads=7 lent=6
# where not all of it is, it comes again, and not to be lent
spawn $read
recv q 1
q complete queue=0 seq=@seq comp=@t10:0:65536 addr=@hole+2093056
recv q 1
check 11 op=read offset=0 length=65536 area=0 flags=0
expect in_flight=1 errors=2 reads=7 lent=6
!ENOENT q complete queue=0 comp=@t10:0:65536
q complete queue=0 seq=@seq comp=@t11:0:65536
wait 0
$(data "$want.a")
# lent all the same: the bytes, if they are there
spawn $read
recv q 1
q complete queue=0 seq=@seq comp=@t12:0:65536 addr=1
recv q 1
q complete queue=0 seq=@seq comp=@t13:0:65536 addr=@b
wait 0
$(data "$want.b")
# and the end of it, if they are not
spawn $read
recv q 1
q complete queue=0 seq=@seq comp=@t14:0:65536 addr=0xffff888000000000
recv q 1
q complete queue=0 seq=@seq comp=@t15:0:65536 addr=0xffffffffffff0000
wait fail
expect errors=3 reads=9 lent=7
# one message: lent, in the area, not there, each its own
spawn $read
recv q 1
spawn dd if=\$DEV of=\$DEV.0 bs=64K count=1 iflag=direct status=none
await waiting=1
spawn dd if=\$DEV of=\$DEV.1 bs=64K count=1 iflag=direct status=none
await waiting=2
spawn dd if=\$DEV of=\$DEV.2 bs=64K count=1 iflag=direct status=none
await waiting=3
q complete queue=0 seq=@seq comp=@t16:0:65536 addr=@b
wait 0
$(data "$want.b")
recv q 3
check 18 area=131072 flags=32
poke a 131072 65536 0x78
q complete queue=0 seq=@seq comp=@t17:0:65536,@t18:0:65536,@t19:0:65536 addr=@b+512,0,@hole+2031617
wait 0
wait 0
recv q 1
check 20 op=read flags=0
poke a 0 1048576 0x79
q complete queue=0 seq=@seq comp=@t20:0:65536
wait 0
sh tail -c +513 $want.b | head -c 65536 >$want && cat \$DEV.[012] | tr -d xy | cmp - $want
sh [ \$(cat \$DEV.[012] | tr -dc x | wc -c) = 65536 ] && [ \$(cat \$DEV.[012] | tr -dc y | wc -c) = 65536 ] && rm \$DEV.[012]
# who has missed what was lent goes on with another helper
spawn $read
recv q 1
q complete queue=0 seq=@seq comp=@t21:0:65536 addr=0x7ffffffff000
recv q 1
expect in_flight=1
close c
close q
await state=parked
socket c
socket q
c attach backend=test:
q bind queue=0 area_addr=@a area_size=4M
c start
recv q 1
check 23 op=read flags=4
$(pages a abcdefghijklmnopqrstu)
q complete queue=0 seq=@seq comp=@t23:0:65536
wait 0
$(data "$want.a")
sh rm \$DEV.data
$(peer_works)
END

# What was lent is given back: by reads that had all of it, that missed a part behind pages that were
# there, and that looked up more pages than they needed; and by the area, which has the rest.
lettered ABCDEFGHIJKLMNOPQ >"$want.m"
peer <<END
$(peer_up)
map m 4M memfd hole
poke m 0 2097152 0
$(pages m ABCDEFGHIJKLMNOPQ)
$(lends 0 @m "$want.m")
$(lends 1 @m+513 "$want.m" 513)
spawn $read
recv q 1
q complete queue=0 seq=@seq comp=@t2:0:65536 addr=@m+2064385
recv q 1
check 3 op=read flags=0
q complete queue=0 seq=@seq comp=@t3:0:65536
wait 0
sh rm \$DEV.data
expect reads=3 lent=2 errors=0
seal m
$(peer_works)
END

# there is nothing to lend where payload is in the messages
peer <<END
$(peer_up_inline)
map b 1M
spawn $read
recv q 1
check 0 op=read flags=0
!EINVAL q complete queue=0 comp=@t0:0:65536 addr=@b
!EINVAL q complete queue=0 comp=@t0:0:65536 addr=@b fill=4096
q complete queue=0 seq=@seq comp=@t0:0:65536$(for _ in {1..16}; do printf " fill=4096"; done)
wait 0
sh rm \$DEV.data
$(peer_works)
END
