#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will write a file through nbdkit and find the same bytes, and the
# same holes, in the file itself.

. "$(dirname "$0")/../lib/test.sh"
. "$(dirname "$0")/rc.sh"

image 64M
nbdkit_start file "$IMAGE"
backend-io fill -b 128K "$NBD"
backend-io verify "file:$IMAGE?ro" || fail "what was written through nbdkit is not in the file"
backend-io fill -s 2 "file:$IMAGE"
backend-io verify -s 2 -b 128K "$NBD" || fail "what is in the file does not come through nbdkit"

if info_is "$NBD" can_discard=1; then
	before=$(stat -c %b "$IMAGE")
	result_is ok discard -o 16M -b 32M "$NBD"
	result_is ok flush "$NBD"
	after=$(stat -c %b "$IMAGE")
	[ "$after" -lt $((before - 60000)) ] || fail "discard left $after of $before blocks"
	result_is ok read -z -o 16M -b 32M "file:$IMAGE?ro"
fi
