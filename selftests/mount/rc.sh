# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Sourced by the tests of managed mounts: a store that the module serves, pull and push.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/../lib/test.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/../lib/device.sh"

# shellcheck disable=SC2119 # no parameters of the module are meant
requires_module
requires_program jq
[ "$VIA" = r3map ] || requires_nbd

# image SIZE: $IMAGE, a file of random bytes with a hole in its second quarter, and what it has to
# be later, $WANT
image()
{
	IMAGE=$TEST_DIR/image WANT=$TEST_DIR/want
	head -c "$1" /dev/urandom >"$IMAGE"
	fallocate -p -o $(($(stat -c %s "$IMAGE") / 4 / 4096 * 4096)) \
		-l $(($(stat -c %s "$IMAGE") / 4 / 4096 * 4096)) "$IMAGE"
	cp "$IMAGE" "$WANT"
}

# put OFFSET LENGTH: random bytes to the device, by one write, and to $WANT; in sectors of 512 bytes
put()
{
	head -c $(($2 * 512)) /dev/urandom >"$TEST_DIR/put"
	dd if="$TEST_DIR/put" of="$DEV" bs=$(($2 * 512)) seek=$(($1 * 512)) \
		oflag=direct,seek_bytes conv=notrunc status=none
	dd if="$TEST_DIR/put" of="$WANT" bs=$(($2 * 512)) seek=$(($1 * 512)) \
		oflag=seek_bytes conv=notrunc status=none
}

# same: the device is what is wanted
same()
{
	cmp "$DEV" "$WANT" || fail "$DEV is not what it should be"
}

# all_local: is the whole region here?
all_local()
{
	[ "$(device_fact local)" = "$(device_fact size)" ]
}

# is_clean: is nothing dirty?
is_clean()
{
	[ "$(device_fact dirty)" = 0 ]
}
