#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:2 6.12 7.2:1
#
# This test will try to start, bind, complete, attach and delete what belongs to
# another socket, helper or generation, and see it refused.

# shellcheck disable=SC2016 # $DEV is the peer's to expand
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

peer >"$TEST_DIR/out" <<'END' || { cat "$TEST_DIR/out"; fail "see above"; }
socket c
socket q0
socket q1
socket o
map a 4M
map b 4M
c new size=64M queues=2 backend=test: flags=0x2e park=60000 index=3
expect state=new
# before all queues are bound, and from another socket
!EINVAL c start
q0 bind queue=0 area_addr=@a area_size=4M
!EINVAL c start
!EPERM o start
!EPERM q0 start
!EBUSY o bind queue=0 area_addr=@b area_size=4M
!EBUSY q0 bind queue=0 area_addr=@b area_size=4M
!ESTALE q1 bind queue=1 area_addr=@b area_size=4M generation=+1
!ESTALE q1 bind queue=1 area_addr=@b area_size=4M generation=-1
!ESTALE c start generation=-1
!ESTALE c del generation=-1
!ESTALE c set generation=+1 size=1M
!EBUSY o attach
sh G=$(r3map show -j $DEV | jq .generation); printf 'set index 3\nset generation %s\nsocket o\nmap b 4M\n!EPERM o bind queue=1 area_addr=@b area_size=4M\n!EPERM o start\n!EBUSY o attach\n' $G | peer
q1 bind queue=1 area_addr=@b area_size=4M
c start
expect state=live
!ESTALE q0 complete queue=0 seq=0 generation=-1
!ESTALE q0 complete queue=0 seq=0 generation=+1
q0 complete queue=0 seq=0 -generation
!EALREADY c start
!EBUSY q1 bind queue=1 area_addr=@b area_size=4M
!EBUSY o bind queue=0 area_addr=@b area_size=4M
!EBUSY o attach
!EBUSY o attach force
sh G=$(r3map show -j $DEV | jq .generation); printf 'set index 3\nset generation %s\nsocket o\nmap b 4M\n!EPERM,EBUSY o bind queue=1 area_addr=@b area_size=4M\n!EPERM o start\n!EBUSY o attach force\n!EPERM o complete queue=0 seq=0\n' $G | peer
# the helper of queue 1 dies: that is the whole helper
close q1
await state=parked helper_pid=0
!EPERM q0 complete queue=0 seq=0
!EPERM c start
!EINVAL c attach size=32M
!EINVAL c attach size=128M
!EINVAL c attach size=32M force
!EINVAL c attach backend=other:
!ESTALE c attach generation=-1
!ESTALE c attach generation=+1
!EPERM q0 bind queue=0 area_addr=@a area_size=4M
c attach size=64M backend=test:
expect state=parked
!EBUSY o attach
!EBUSY o attach force
!ESTALE o attach generation=-1
!EPERM o start
!EINVAL c start
socket p0
socket p1
p0 bind queue=0 area_addr=@a area_size=4M
p1 bind queue=1 area_addr=@b area_size=4M
!EPERM q0 complete queue=0 seq=0
c start
expect state=live
!EPERM q0 complete queue=0 seq=0
close q0
expect state=live
serve dd if=/dev/zero of=$DEV bs=1M count=4 oflag=direct status=none
# the control socket is part of the helper, too; and another backend only with force
close c
await state=parked
socket n
!EINVAL n attach backend=another:
n attach backend=another: force
expect backend=another: state=parked
close n
expect state=parked helper_pid=0
socket n
n del
await gone
!ENODEV n del
END
