#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will read, write, discard and zero through nbdkit's memory plugin,
# with small and large requests, few and many at once.

. "$(dirname "$0")/../lib/test.sh"
. "$(dirname "$0")/rc.sh"

size=$(slow 64 32)
nbdkit_start memory "${size}M"
info_is "$NBD" size=$((size << 20)) read_only=0 can_flush=1 can_fua=1 can_discard=1 can_zeroes=1 \
	max_io=33554432 channels_max=0 "name=$NBD"

backend-io verify -z "$NBD" || fail "a new region is not zero"
for block in 512 4K 64K 1M 32M; do
	depth=64
	[ $block != 32M ] || depth=3
	backend-io fill -b $block -d $depth -s "${#block}" "$NBD" || fail "writes of $block"
	backend-io verify -b 4K -d 1 -s "${#block}" "$NBD" || fail "writes of $block, read by 4K"
	backend-io verify -b $block -d $depth -s "${#block}" "$NBD" || fail "reads of $block"
done
backend-io verify -b 4K -d 3000 -s 3 "$NBD" || fail "more requests at once than one connection takes"
backend-io random -d 100 -n "$(slow 20000)" "$NBD" || fail "random requests"
backend-io random -d 8 -b 128K -n "$(slow 2000)" -F "$NBD" || fail "random requests with FUA"
backend-io random -t 4 -d 50 -n "$(slow 5000)" "$NBD" || fail "four channels at once"

# a read that spans what was written, discarded and zeroed
backend-io fill -s 9 "$NBD"
result_is ok discard -o 1M -b 1M "$NBD"
result_is ok zero -o 2M -b 1M "$NBD"
result_is ok zero -o 3M -b 1M -K -F "$NBD"
result_is ok read -z -o 1M -b 3M "$NBD"
result_is ok read -s 9 -o 4M -b 1M "$NBD"
result_is ok read -s 9 -o 1020K -b 4K "$NBD"
result_is ok flush "$NBD"
result_is EINVAL read -o "${size}M" -b 512 "$NBD"
