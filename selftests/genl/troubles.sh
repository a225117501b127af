#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:1 6.12 7.2:1
#
# This test will tell the module what is wrong, as a helper does: who listens hears of what begins and ends,
# who asks hears of what there is, nobody hears of what is no news, and it ends with the helper.

# shellcheck disable=SC2016 # $DEV is the peer's to expand
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program jq

{
	peer_up park=60000
	cat <<-'END'
	listen e
	expect troubles=0
	c tell
	c tell wrong=3:5:1000
	event e trouble state=live troubles=1
	expect troubles=1
	# no news: the same again, or since another time
	c tell wrong=3:5:1000
	c tell wrong=3:5:2000
	# another error is, and one more
	c tell wrong=3:28:1000
	event e trouble troubles=1
	c tell wrong=1:107:3000,2:5:2500,3:28:1000
	event e trouble troubles=3
	# one has ended; one has begun as another ended
	c tell wrong=1:107:3000,3:28:1000
	event e recovered troubles=2
	c tell wrong=1:107:3000,2:5:4000
	event e trouble troubles=2
	c tell
	event e recovered troubles=0
	expect troubles=0
	c tell wrong=1:107:3000
	event e trouble troubles=1
	# what makes no sense changes nothing
	!EINVAL c tell wrong=0:5:1000
	!EINVAL c tell wrong=4:5:1000
	!EINVAL c tell wrong=2:0:1000
	!EINVAL c tell wrong=2:4096:1000
	!EINVAL c tell wrong=3:5:1000,2:5:1000
	!EINVAL c tell wrong=2:5:1000,2:5:1000
	!EINVAL c tell troubles:0102030405060708
	!ERANGE c tell wrong=1:5:1,2:5:1,3:5:1,3:5:1
	!ESTALE c tell generation=-1 wrong=2:5:1000
	!EINVAL c tell -generation wrong=2:5:1000
	sh G=$(r3map show -j $DEV | jq .generation); N=${DEV#/dev/r3map}; printf 'set index %s\nset generation %s\nsocket o\n!EPERM o tell\n' $N $G | peer
	expect troubles=1
	# it ends with who has told it
	close c
	event e parked troubles=0
	expect troubles=0
	socket d
	!EPERM d tell wrong=1:107:3000
	d del
	event e deleting
	event e removed
	END
} | peer >"$TEST_DIR/said" || { cat "$TEST_DIR/said"; fail "see above"; }
