#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will read a sparse image from servers that do not send its holes,
# and ask them where they are, with every form of replies that they have.

. "$(dirname "$0")/../lib/test.sh"
. "$(dirname "$0")/rc.sh"

# right WHAT: what $NBD tells is what is in $IMAGE
right()
{
	local form offset
	for form in structured simple; do
		backend-io verify -b 64K -s 3 "$NBD&headers=$form" 2>/dev/null &&
			fail "$1, $form: the holes have the pattern"
		for offset in 0 1M 3M 15M; do
			result_is ok read -b 1M -o $offset -s 3 "$NBD&headers=$form"
		done
		for offset in 2M 4M 8M 14M; do
			result_is ok read -z -b 1M -o $offset "$NBD&headers=$form"
		done
	done
	info_is "$NBD&headers=structured" can_extents=1
	info_is "$NBD&headers=simple" can_extents=0
	result_is "0 16777216 data
ok" extents -b 16M "$NBD&headers=simple"
	result_is "0 2097152 data
2097152 1048576 hole zero
3145728 1048576 data
4194304 11534336 hole zero
15728640 1048576 data
ok" extents -b 16M "$NBD&headers=structured"
	result_is "524288 1572864 data
2097152 524288 hole zero
ok" extents -b 2M -o 512K "$NBD&headers=structured"
	result_is ok cache -b 1M "$NBD&headers=structured"
}

# data in 0 to 2M, 3M to 4M and 15M to 16M
requires_program qemu-nbd nbdkit
image 16M
backend-io fill -b 1M -s 3 "file:$IMAGE"
for range in 2M:1M 4M:11M; do
	fallocate --punch-hole -o ${range%:*} -l ${range#*:} "$IMAGE" 2>/dev/null ||
		skip "no holes in files here"
done

qemu_nbd_start --format=raw --cache=writeback "$IMAGE"
right "qemu-nbd, raw"
backend-io random -n "$(slow 3000)" -d 32 "$NBD&headers=structured"

backend-io fill -b 1M -s 3 "file:$IMAGE"
fallocate --punch-hole -o 2M -l 1M "$IMAGE"
fallocate --punch-hole -o 4M -l 11M "$IMAGE"
nbdkit_start file "$IMAGE"
right "nbdkit file"
nbdkit_start --filter=error --filter=cow file "$IMAGE" error-extents=EIO \
	error-extents-rate=100% error-pread=EIO error-pread-rate=10%
result_is EIO extents "$NBD&headers=structured"
backend-io bench -e -n 3000 -w 50 "$NBD&headers=structured" >"$TEST_DIR/out" || :
grep -q 'failed=[1-9]' "$TEST_DIR/out" || fail "no read failed"
