#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will take what a server says of block sizes, flushes and zeroes at
# its word, and do without what it lacks.

. "$(dirname "$0")/../lib/test.sh"
. "$(dirname "$0")/rc.sh"

nbdkit_start_or_skip "block size policies" --filter=blocksize-policy memory 16M \
	blocksize-minimum=4K blocksize-preferred=64K blocksize-maximum=128K \
	blocksize-error-policy=error
info_is "$NBD" block_min=4096 block_preferred=65536 max_io=131072
backend-io random -b 128K -d 16 -n "$(slow 2000)" "$NBD"
result_is EINVAL read -b 512 "$NBD"
result_is EINVAL write -b 256K "$NBD"
result_is EINVAL read -o 2K -b 4K "$NBD"
result_is ok zero -b 8M "$NBD"

nbdkit_start --filter=fua memory 16M		# without FUA, as without a mode
info_is "$NBD" can_fua=0
backend-io random -F -n "$(slow 2000)" "$NBD" || fail "emulated FUA"
nbdkit_start --filter=fua memory 16M fuamode=force
backend-io random -F -n "$(slow 2000)" "$NBD"

nbdkit_start --filter=nozero memory 16M
info_is "$NBD" can_zeroes=0
result_is EOPNOTSUPP zero "$NBD"

nbdkit_start --filter=multi-conn memory 16M multi-conn-mode=disable
info_is "$NBD" channels_max=1
backend-io random -c 3 -n 500 "$NBD" || fail "channels one after the other"
expect_fail backend-io random -t 2 -n 500 "$NBD"
grep -q "does not allow several connections" "$TEST_DIR/stderr" || fail "two channels at once"

nbdkit_start -r memory 16M
info_is "$NBD" read_only=1 can_discard=0
result_is EPERM write "$NBD"
result_is ok flush "$NBD"
result_is ok read -z "$NBD"
