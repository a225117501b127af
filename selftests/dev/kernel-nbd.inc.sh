# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Sourced by the tests of the kernel's own NBD client after rc.sh: it is skipped where there is none,
# else $nbd is its device, which is detached when the test ends.

requires_program nbd-client fio mkfs.ext4 e2fsck
requires_filesystem ext4
# 7.2: unix sockets below its command lock; the report would end lockdep for all tests behind this
[ ! -e /proc/lockdep_stats ] || skip "lockdep reports a cycle within the kernel's own nbd driver"
[ -d /sys/module/nbd ] || modprobe -q nbd nbds_max=1 2>/dev/null || skip "this kernel has no nbd"
nbd=/dev/nbd0
[ -b $nbd ] || skip "no $nbd"

# kernel_attach ARG...: nbd-client ARG..., which must name $nbd where it belongs
kernel_attach()
{
	nbd-client -b 4096 "$@" >"$TEST_DIR/nbd-client.log" 2>&1 || {
		cat "$TEST_DIR/nbd-client.log"
		fail "nbd-client $*"
	}
}

# kernel_free: has the kernel let go of the last connection? It refuses another one until then, and
# does so some time after nbd-client has returned if somebody has the device open.
kernel_free()
{
	[ ! -e "/sys/block/${nbd#/dev/}/pid" ]
}

kernel_detach()
{
	nbd-client -d $nbd >/dev/null
	wait_until 60 "$nbd is free" kernel_free
}

cleanup_fn eval "kernel_free || nbd-client -d $nbd >/dev/null 2>&1 || :"
