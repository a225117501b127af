#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:1 6.12 7.2:1
#
# This test will answer reads of the inline transport with DATA that is missing,
# short, too long and in pieces, and see only what fits accepted.

# shellcheck disable=SC2016 # $DEV is the peer's to expand
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

read='dd if=$DEV of=$DEV.data bs=8192 count=1 iflag=direct status=none'

peer <<END
socket c
socket q
map a 4M
c new size=64M depth=8 backend=test: transport=inline flags=0x2e
!EINVAL q bind queue=0 area_addr=@a area_size=4M
!EINVAL q bind queue=0 area_size=4M
q bind queue=0
c start
spawn $read
recv q 1
!EINVAL q complete queue=0 comp=@t0:0:8192
!EINVAL q complete queue=0 comp=@t0:0:8192 fill=8191
!EINVAL q complete queue=0 comp=@t0:0:8192 fill=8193
!EINVAL q complete queue=0 comp=@t0:0:8192 fill=8192 fill=1
!EINVAL q complete queue=0 comp=@t0:-5:0 fill=8192
!EINVAL q complete queue=0 seq=@seq fill=8192
!EINVAL q complete queue=0 comp=@t0:0:4096 fill=8192
q complete queue=0 seq=@seq comp=@t0:0:8192 fill=1 fill=0 fill=4099 fill=4092
wait 0
sh [ "\$(tr -d Z <\$DEV.data | wc -c)" = 0 ] && rm \$DEV.data
# a short one comes with the bytes it has, and fails
spawn $read
recv q 1
q complete queue=0 seq=@seq comp=@t1:0:4096 fill=4096
wait fail
# DATA of a write cannot be sent back
spawn dd if=/dev/zero of=\$DEV bs=4096 count=1 oflag=direct status=none
recv q 1
check 2 op=write length=4096 area=0
!EINVAL q complete queue=0 seq=@seq comp=@t2:0:4096 fill=4096
q complete queue=0 seq=@seq comp=@t2:0:4096
wait 0
expect errors=1 reads=1 writes=1
sh rm -f \$DEV.data
$(peer_works)
END
