#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1 6.12 7.2:1
#
# This test will answer requests wrongly in every way, and see each answer
# refused as a whole, and every bio end exactly once, with the right result.

# shellcheck disable=SC2016 # $DEV is the peer's to expand
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

read='dd if=$DEV of=/dev/null bs=4096 count=1 iflag=direct status=none'
write='dd if=/dev/zero of=$DEV bs=4096 count=1 oflag=direct status=none'

peer <<END
$(peer_up flags=0x2e)
# nothing is in flight
!ENOENT q complete queue=0 comp=0:0:0
!EINVAL q complete queue=0 comp=8:0:0
!EINVAL q complete queue=0 comp=18446744073709551615:0:0
!EINVAL q complete queue=0 seq=1000
!EINVAL q complete queue=0 seq=@seq+1
# one read is
spawn $read
recv q 1
check 0 op=read offset=0 length=4096 flags=32
!ENOENT q complete queue=0 comp=@t0+1:0:4096
!ENOENT q complete queue=0 comp=@t0+4294967296:0:4096
!EINVAL q complete queue=0 comp=@t0+8:0:4096
!EINVAL q complete queue=0 comp=@t0:0:4097
!EINVAL q complete queue=0 comp=@t0:0:4294967295
!EINVAL q complete queue=0 comp=@t0:5:4096
!EINVAL q complete queue=0 comp=@t0:-5:1
!EINVAL q complete queue=0 comp=@t0:-4096:0
!EINVAL q complete queue=0 comp=@t0:-2147483648:0
!ENOENT q complete queue=0 comp=@t0:0:4096,@t0:0:4096
!ENOENT q complete queue=0 comp=@t0:0:4096,@t0+1:0:4096
!EINVAL q complete queue=0 comp=@t0:0:4096 fill=4096
!EINVAL q complete queue=0 comp=@t0:0:4096 seq=@seq+1
!EPERM c complete queue=0 comp=@t0:0:4096
socket other
!EPERM other complete queue=0 comp=@t0:0:4096 seq=@seq
expect in_flight=1 errors=0 reads=0
q complete queue=0 seq=@seq comp=@t0:0:4096
wait 0
expect in_flight=0 reads=1 read_bytes=4096 errors=0
!ENOENT q complete queue=0 comp=@t0:0:4096
# a short transfer, and an error
spawn $read
recv q 1
q complete queue=0 seq=@seq comp=@t1:0:512
wait fail
expect errors=1
spawn $read
recv q 1
q complete queue=0 seq=@seq comp=@t2:-61:0
wait fail
expect errors=2
spawn $write
recv q 1
check 3 op=write offset=0 length=4096
q complete queue=0 seq=@seq comp=@t3:0:0
wait fail
expect errors=3 writes=0
# one that waits for the credit was never sent: its tag cannot be known, but guessed
spawn $read
recv q 1
spawn $read
await waiting=1
!ENOENT q complete queue=0 comp=@t4+1:0:4096
!ENOENT q complete queue=0 comp=0:0:0,1:0:0,2:0:0
quiet q 200
q complete queue=0 seq=@seq comp=@t4:0:4096
wait 0
recv q 1
q complete queue=0 seq=@seq comp=@t5:0:4096
wait 0
expect reads=3
$(peer_works)
END

# what the kernel counted as refused was refused
peer <<END
$(peer_up)
!ENOENT q complete queue=0 comp=0:0:0
!ENOENT q complete queue=0 comp=1:0:0
expect refused=2
c del
await gone
END
