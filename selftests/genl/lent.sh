#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:2 6.12 7.2:1
#
# This test will lend the bytes of reads from good and bad places, and see the
# bytes, or the same read once more without R3MAP_DESC_LEND, or a refusal.

# shellcheck disable=SC2016 # $DEV is the peer's to expand
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

read='dd if=$DEV of=$DEV.data bs=64K count=1 iflag=direct status=none'
write='dd if=/dev/zero of=$DEV bs=64K count=1 oflag=direct status=none'
# data CHARACTER: the line that tells whether all that was read is that
data()
{
	echo "sh [ \$(stat -c %s \$DEV.data) = 65536 ] && [ \"\$(tr -d '$1' <\$DEV.data | wc -c)\" = 0 ] && rm \$DEV.data"
}

peer <<END
$(peer_up)
map b 1M
map ro 1M ro
map hole 4M hole
poke b 0 1048576 0x42
poke hole 0 2097152 0x48
poke a 0 4194304 0x41
# whole pages, and bytes that begin anywhere
spawn $read
recv q 1
check 0 op=read length=65536 area=0 flags=32
q complete queue=0 seq=@seq comp=@t0:0:65536 addr=@b
wait 0
$(data B)
spawn $read
recv q 1
q complete queue=0 seq=@seq comp=@t1:0:65536 addr=@b+513
wait 0
$(data B)
# 0 is the area, what cannot be written is read, what was never touched may be all zeroes
spawn $read
recv q 1
q complete queue=0 seq=@seq comp=@t2:0:65536 addr=0
wait 0
$(data A)
peek ro 0 1048576 0
spawn $read
recv q 1
q complete queue=0 seq=@seq comp=@t3:0:65536 addr=@ro+4096
wait 0
$(data '\000')
expect reads=4 errors=0 reissued=0 in_flight=0
# refused as a whole
spawn $read
recv q 1
!EINVAL q complete queue=0 comp=@t4:0:65536 addr=@b,@b
!EINVAL q complete queue=0 seq=@seq addr=@b
!EINVAL q complete queue=0 comp=@t4:0:65536 addresses:00000000
!EINVAL q complete queue=0 comp=@t4:0:65536 addresses:
!ENOENT q complete queue=0 comp=@t4:0:65536,@t4+1:0:65536 addr=@b,@b
!EINVAL q complete queue=0 comp=@t4:0:65537 addr=@b
expect in_flight=1
q complete queue=0 seq=@seq comp=@t4:0:65536 addr=@b
wait 0
$(data B)
spawn $write
recv q 1
check 5 op=write flags=0
!EINVAL q complete queue=0 comp=@t5:0:65536 addr=@b
q complete queue=0 seq=@seq comp=@t5:0:65536 addr=0
wait 0
poke a 0 4194304 0x41
# errors and short ones are what they are without
spawn $read
recv q 1
q complete queue=0 seq=@seq comp=@t6:-61:0 addr=@b
wait fail
spawn $read
recv q 1
q complete queue=0 seq=@seq comp=@t7:0:512 addr=@b
wait fail
expect errors=2 reads=5
# where not all of it is, it comes again, and not to be lent
spawn $read
recv q 1
q complete queue=0 seq=@seq comp=@t8:0:65536 addr=@hole+2093056
recv q 1
check 9 op=read offset=0 length=65536 flags=0
expect in_flight=1 errors=2 reads=5
!ENOENT q complete queue=0 comp=@t8:0:65536
q complete queue=0 seq=@seq comp=@t9:0:65536
wait 0
$(data A)
# lent all the same: the bytes, if they are there
spawn $read
recv q 1
q complete queue=0 seq=@seq comp=@t10:0:65536 addr=1
recv q 1
q complete queue=0 seq=@seq comp=@t11:0:65536 addr=@b
wait 0
$(data B)
# and the end of it, if they are not
spawn $read
recv q 1
q complete queue=0 seq=@seq comp=@t12:0:65536 addr=0xffff888000000000
recv q 1
q complete queue=0 seq=@seq comp=@t13:0:65536 addr=0xffffffffffff0000
wait fail
expect errors=3 reads=7
# who has missed what was lent goes on with another helper
spawn $read
recv q 1
q complete queue=0 seq=@seq comp=@t14:0:65536 addr=0x7ffffffff000
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
check 16 op=read flags=4
q complete queue=0 seq=@seq comp=@t16:0:65536
wait 0
$(data A)
# a row of them, some here, some there, some nowhere
spawn dd if=\$DEV of=\$DEV.data bs=256K count=1 iflag=direct status=none
recv q 1
q complete queue=0 seq=@seq comp=@t17:0:262144 addr=@hole+1835008
wait 0
sh [ "\$(tr -d H <\$DEV.data | wc -c)" = 0 ] && rm \$DEV.data
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
q complete queue=0 seq=@seq comp=@t0:0:65536 $(for i in {1..16}; do printf " fill=4096"; done)
wait 0
sh rm \$DEV.data
$(peer_works)
END
