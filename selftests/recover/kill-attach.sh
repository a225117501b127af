#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:2 6.12 7.2:2
#
# This test will lose helpers while they set up a device or take one over, at every
# step, and while it is being deleted: what is new vanishes, what is parked stays so.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program peer

peer <<'END'
listen e
map a 4M
map b 4M
# between NEW and BIND, by its only socket
socket c
c new size=8M flags=0x2e
event e created
close c
event e deleting
event e removed
await gone
# between BIND and START, by a queue's socket
socket c
socket q
c new size=8M queues=2 flags=0x2e
event e created
q bind queue=0 area_addr=@a area_size=4M
close q
event e deleting
event e removed
await gone
!ENODEV c start
# by the control socket
socket q
c new size=8M flags=0x2e
event e created
q bind queue=0 area_addr=@a area_size=4M
close c
event e deleting
event e removed
await gone
!ENODEV q complete queue=0 seq=0
# a socket may serve another device afterwards
socket c
c new size=8M flags=0x2e
event e created
q bind queue=0 area_addr=@a area_size=4M
c start
event e ready
# while it is parked: those that take over die at every step, the reader waits for the last
spawn dd if=$DEV of=/dev/null bs=4096 count=1 iflag=direct status=none
recv q 1
close c
event e parked
socket c
c attach
event e attached
close c
expect state=parked helper_pid=0
socket c
socket p
c attach
event e attached
p bind queue=0 area_addr=@a area_size=4M
expect area=4M
close p
expect state=parked helper_pid=0 area=0
!EPERM c start
socket p
c attach
event e attached
p bind queue=0 area_addr=@a area_size=4M
close c
expect state=parked helper_pid=0 area=0
# the queue socket of the first helper has nothing to say any more
!EPERM q complete queue=0 comp=@t0:0:4096
socket c
c attach
event e attached
!EINVAL q bind queue=1 area_addr=@a area_size=4M
q bind queue=0 area_addr=@b area_size=4M
c start
event e ready
recv q 1
check 1 op=read flags=36
q complete queue=0 seq=@seq comp=@t1:0:4096
wait 0
# while it is being deleted and somebody has it open
spawn exec 3<$DEV; while [ -b $DEV ]; do sleep 0.1; done
await openers=1
!EBUSY c del
c del force
close c
close q
event e deleting
event e removed
await gone
wait 0
END

# one that takes over and then hangs keeps all others out until it is gone, also when the time is over
peer <<'END'
socket c
socket q
socket o
map a 4M
c new size=8M flags=0x2e backend=test:
q bind queue=0 area_addr=@a area_size=4M
c start
close c
await state=parked
socket c
c attach backend=test:
sh r3map show $DEV | grep -q "is taking it over"
!EBUSY o attach backend=test:
o set park=100
await state=failed
sh r3map show $DEV | grep -q "requests fail until"
!EBUSY o attach backend=test:
!EPERM o start
close c
await helper_pid=0
o attach backend=test:
socket p
p bind queue=0 area_addr=@a area_size=4M
o start
expect state=live
close q
o del
await gone
END
