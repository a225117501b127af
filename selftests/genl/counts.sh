#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:1 6.12 7.2:1
#
# This test will look at what a managed device counts where it is easily counted wrongly: errors of
# bios only, chunks once, the short chunk at the end as what it is.

# shellcheck disable=SC2016,SC2119 # $DEV is the peer's to expand; no attributes are meant
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

ktap_plan 6
ktap_test "a fetch that nobody serves is no error beside that of its reader" peer <<END
$(peer_up_managed park=0)
close q
await state=failed
spawn dd if=\$DEV of=/dev/null bs=4K count=1 iflag=direct status=none
wait fail
expect errors=1
c del
await gone
END
ktap_test "a sync that fails is no error of a bio" peer <<END
$(peer_up_managed park=0)
close q
await state=failed
listen e
socket o
o sync
event e synced sync=@sync errno=5
expect errors=0
c del
await gone
END
ktap_test "a sync that takes too long is no error of a bio" peer <<END
$(peer_up timeout=200)
listen e
c sync
recv q 1
event e synced sync=@sync
expect errors=0
c del
await gone
END
ktap_test "a chunk that is taken and written again counts once" peer <<END
$(peer_up_managed)
spawn dd if=/dev/zero of=\$DEV bs=64K count=1 oflag=direct status=none
wait 0
c take
expect dirty=64K
spawn dd if=/dev/zero of=\$DEV bs=64K count=1 oflag=direct status=none
wait 0
expect dirty=64K
c done ext=0:64K
expect dirty=64K
c del force
await gone
END
ktap_test "the last chunk counts as what it is" peer <<END
$(peer_up_managed)
c claim offset=960K
c fill ext=960K:40K
expect local=40K fill_bytes=40K
c del
await gone
END
ktap_test "what an extent has no use for is refused" peer <<END
$(peer_up_managed)
c claim
!EINVAL c fill ext=0:64K:1
!EINVAL c fill ext=0:64K:0:1
c del
await gone
END
ktap_status
