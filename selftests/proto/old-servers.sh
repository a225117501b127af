#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will use a server that knows nothing newer than EXPORT_NAME, one
# that knows no structured replies, and refuse oldstyle with a sentence.

. "$(dirname "$0")/../lib/test.sh"
. "$(dirname "$0")/rc.sh"

for flags in 0 1 2; do		# bits: fixed newstyle, no zeroes
	nbdkit_start --mask-handshake=$flags memory 16M
	info_is "$NBD" size=16777216 can_flush=1
	backend-io random -n "$(slow 2000)" "$NBD" || fail "handshake flags $flags"
done
nbdkit_start --no-sr memory 16M
info_is "$NBD" size=16777216 can_flush=1
backend-io random -n "$(slow 2000)" "$NBD" || fail "without structured replies"
nbdkit_start -o memory 16M
refused "$NBD" "oldstyle"
