#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:1 6.12 7.2:1
#
# This test will watch the messages themselves: one unanswered at a time, what gathers
# meanwhile comes in the next, tags are given back, and a late answer is taken silently.

# shellcheck disable=SC2016 # $DEV is the peer's to expand
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

large='dd if=$DEV of=/dev/null bs=1M count=1 iflag=direct status=none'
read='dd if=$DEV of=/dev/null bs=4096 count=1 iflag=direct status=none'

peer <<END
$(peer_up timeout=300000)
spawn $read
recv q 1
expect request_messages=1 in_flight=1
spawn $read
spawn $read
spawn $read
await waiting=3
quiet q 200
expect request_messages=1
# the answer to a request does not answer the message
q complete queue=0 comp=@t0:0:4096
wait 0
quiet q 200
expect request_messages=1 waiting=3
# its bare number does, also twice and late
q complete queue=0 seq=@seq
recv q 3
expect request_messages=2 in_flight=3
q complete queue=0 seq=1
q complete queue=0 seq=1
spawn $read
await waiting=1
quiet q 200
# out of order, in two messages
q complete queue=0 comp=@t3:0:4096
q complete queue=0 comp=@t1:0:4096,@t2:0:4096 seq=@seq
wait 0
wait 0
wait 0
recv q 1
q complete queue=0 comp=@t4:0:4096 seq=@seq
wait 0
expect in_flight=0 waiting=0 reads=5 errors=0 refused=0
# the area is full: what does not fit waits, and goes where others were
spawn $read
recv q 1
spawn $large
spawn $large
spawn $large
spawn $large
await waiting=4
q complete queue=0 seq=@seq
recv q 3
check 6 area=4096 length=1M
expect in_flight=4 waiting=1
q complete queue=0 comp=@t5:0:4096
wait 0
q complete queue=0 seq=@seq
quiet q 100
expect in_flight=3 waiting=1
q complete queue=0 comp=@t7:0:1M
recv q 1
check 9 length=1M
q complete queue=0 seq=@seq comp=@t6:0:1M,@t8:0:1M,@t9:0:1M
wait 0
wait 0
wait 0
wait 0
expect in_flight=0 waiting=0
$(peer_works)
END

# a request that takes too long: the reader has its error, the helper its answer accepted
peer <<END
$(peer_up timeout=200)
poke a 0 4M 1
spawn $read
recv q 1
wait fail
expect timeouts=1 errors=1 in_flight=0 reads=0
c set timeout=30000
# its slot and its room are not anybody else's yet
spawn $read
await waiting=1
q complete queue=0 seq=@seq
recv q 1
check 1 area=4096
q complete queue=0 seq=@seq comp=@t0:0:4096
!ENOENT q complete queue=0 comp=@t0:0:4096
q complete queue=0 comp=@t1:0:4096
wait 0
expect reads=1 refused=1
c set timeout=200
# while it waits for the credit it expires, too
spawn $read
recv q 1
spawn $read
wait fail
wait fail
await timeouts=3 waiting=0 in_flight=0
q complete queue=0 seq=@seq comp=@t2:-5:0
expect errors=3
c set timeout=30000
$(peer_works)
END

# the helper dies with slots abandoned and requests at every stage; the next one has it all
peer <<END
$(peer_up timeout=30000 park=60000)
spawn $read
recv q 1
spawn dd if=/dev/zero of=\$DEV bs=4096 count=1 seek=3 oflag=direct status=none
await waiting=1
close q
await state=parked waiting=2 in_flight=0
close c
socket c
socket q
c attach
expect parked=2
q bind queue=0 area_addr=@a area_size=4M
c start
recv q 2
check 1 op=read flags=36 offset=0
check 2 op=write flags=0 offset=12288
!ENOENT q complete queue=0 comp=@t0:0:4096
q complete queue=0 seq=@seq comp=@t1:0:4096,@t2:0:4096
wait 0
wait 0
expect reissued=1 reads=1 writes=1 errors=0
$(peer_works)
END
