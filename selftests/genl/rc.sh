# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Sourced by the tests that talk to the module by hand, see peer.c.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/../lib/test.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/../lib/device.sh"

# shellcheck disable=SC2119 # no parameters of the module are meant
requires_module
requires_program peer

# peer_up [ATTRIBUTE...]: the lines that make a device of one queue with these attributes
peer_up()
{
	cat <<-END
	socket c
	socket q
	map a 4M
	c new size=64M depth=8 backend=test: flags=0x2e $*
	q bind queue=0 area_addr=@a area_size=4M
	c start
	END
}

# peer_up_inline [ATTRIBUTE...]: the same, payload in the messages
peer_up_inline()
{
	cat <<-END
	socket c
	socket q
	c new size=64M depth=8 backend=test: transport=inline flags=0x2e $*
	q bind queue=0
	c start
	END
}

# peer_up_managed [ATTRIBUTE...]: the same with a store s, 15 chunks of 64 KiB and one of 40
peer_up_managed()
{
	cat <<-END
	socket c
	socket q
	map s 1000K memfd
	c new size=1000K depth=8 backend=test: chunk=64K store=s flags=0x2e $*
	q bind queue=0
	c start
	END
}

# peer_works: the lines that show that the device still works, and remove it
peer_works()
{
	cat <<-'END'
	serve dd if=/dev/urandom of=$DEV.copy bs=64k count=4 status=none && dd if=$DEV.copy of=$DEV bs=64k oflag=direct status=none && cmp -n 262144 $DEV $DEV.copy && rm $DEV.copy
	c del
	await gone
	END
}
