#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:2 6.12 7.2:1
#
# This test will register payload areas that are no good: unaligned, unmapped,
# read-only, too small, beyond RLIMIT_MEMLOCK, of another process.

# shellcheck disable=SC2016 # $DEV is the peer's to expand
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

peer <<'END'
socket c
socket q
map a 4M
map ro 4M ro
map hole 4M hole
c new size=64M backend=test: max_io=1M
!EINVAL q bind queue=0 area_addr=@a+1 area_size=4M
!EINVAL q bind queue=0 area_addr=@a+512 area_size=2M
!EINVAL q bind queue=0 area_addr=@a area_size=4194303
!EINVAL q bind queue=0 area_addr=@a area_size=512K
!EFAULT q bind queue=0 area_addr=@ro area_size=4M
!EFAULT q bind queue=0 area_addr=@hole area_size=4M
!EFAULT q bind queue=0 area_addr=0 area_size=4M
!EFAULT q bind queue=0 area_addr=4096 area_size=1M
!EFAULT,EINVAL q bind queue=0 area_addr=0xffff888000000000 area_size=1M
!EFAULT,EINVAL,EOVERFLOW q bind queue=0 area_addr=0xfffffffffffff000 area_size=1M
!EFAULT,EINVAL q bind queue=0 area_addr=0x7ffffffff000 area_size=1G
# nothing stays pinned or charged after a refusal
sh [ "$(awk '/VmPin/ { print $2 }' /proc/$PPID/status)" = 0 ]
expect area=0
q bind queue=0 area_addr=@hole area_size=2M
expect area=2M
sh [ "$(awk '/VmPin/ { print $2 }' /proc/$PPID/status)" = 2048 ]
c start
c del
await gone
sh for i in $(seq 100); do [ "$(awk '/VmPin/ { print $2 }' /proc/$PPID/status)" != 0 ] || exit 0; sleep 0.05; done; exit 1
# without CAP_IPC_LOCK the limit counts, for all areas of the user together
limit memlock 3M
c new size=64M backend=test: max_io=1M queues=2
socket p
q bind queue=0 area_addr=@a area_size=4M
nocap 14
!ENOMEM p bind queue=1 area_addr=@a area_size=4M
p bind queue=1 area_addr=@a area_size=2M
c del
await gone
c new size=64M backend=test: max_io=1M queues=2
# what was charged is given back: it fits again
socket r
socket s
sh for i in $(seq 600); do [ "$(awk '/VmPin/ { print $2 }' /proc/$PPID/status)" != 0 ] || exit 0; sleep 0.05; done; exit 1
r bind queue=0 area_addr=@a area_size=2M
!ENOMEM s bind queue=1 area_addr=@hole area_size=2M
c del
await gone
END
