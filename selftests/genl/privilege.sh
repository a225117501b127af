#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:1 6.12 7.2:2
#
# This test will call as nobody, with CAP_NET_ADMIN alone, from another user namespace
# and from another network namespace; only real CAP_SYS_ADMIN is served, anywhere, but for
# answers, which the queue's own socket may give without.

# shellcheck disable=SC2016 # $DEV is the peer's to expand
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program setpriv unshare jq

# a device that must stay what it is
device_mount mem:16M
INDEX=${NAME#r3map}
GENERATION=$(device_fact generation)

refused()
{
	cat <<-END
	socket c
	map a 4M
	!EPERM c features
	!EPERM c new size=1M
	!EPERM c get index=$INDEX
	!?EPERM c dump
	!EPERM c set index=$INDEX generation=$GENERATION size=4M
	!EPERM c del index=$INDEX generation=$GENERATION
	!EPERM c del index=$INDEX generation=$GENERATION force
	!EPERM c attach index=$INDEX generation=$GENERATION
	!EPERM c start index=$INDEX generation=$GENERATION
	!EPERM c bind index=$INDEX generation=$GENERATION queue=0 area_addr=@a area_size=4M
	!EPERM c complete index=$INDEX queue=0 seq=0
	map s 1M memfd
	!EPERM c new size=1M chunk=64K store=s
	!EPERM c open index=$INDEX generation=$GENERATION
	!EPERM c claim index=$INDEX generation=$GENERATION
	!EPERM c fill index=$INDEX generation=$GENERATION ext=0:64K
	!EPERM c chunks index=$INDEX
	!EPERM c take index=$INDEX generation=$GENERATION
	!EPERM c done index=$INDEX generation=$GENERATION ext=0:64K
	!EPERM c sync index=$INDEX generation=$GENERATION
	!EPERM listen e
	END
}
refused >"$TEST_DIR/script"
cat >"$TEST_DIR/granted" <<-'END'
listen e
socket c
socket q
map a 4M
c features
c dump
c new size=16M
event e created
q bind queue=0 area_addr=@a area_size=4M
c start
event e ready
serve dd if=/dev/zero of=$DEV bs=64k count=4 oflag=direct status=none
c del
event e deleting
event e removed
map s 1M memfd
c new size=1M chunk=64K store=s flags=0x20
event e created
q bind queue=0
c start
event e ready
c open as=t
c claim length=512K
c fill ext=0:512K
serve dd if=/dev/zero of=$DEV bs=64k seek=6 count=4 oflag=direct conv=fsync status=none
c chunks
answer ext=0:384K:l,384K:256K:ld,640K:384K next=1M
c take
c done ext=384K:256K
c sync
recv q 1
q complete queue=0 seq=@seq comp=@t0:0:0
event e synced sync=@sync errno=0
c del
event e deleting
event e removed
END
chmod -R a+rX "$TEST_DIR"
drop=(setpriv --reuid 65534 --regid 65534 --clear-groups)
peer=$(command -v peer)
ktap_plan 9
ktap_test "nobody is refused" "${drop[@]}" --inh-caps=-all "$peer" <"$TEST_DIR/script"
ktap_test "CAP_NET_ADMIN is not enough" \
	"${drop[@]}" --inh-caps=-all,+net_admin --ambient-caps=-all,+net_admin "$peer" <"$TEST_DIR/script"
ktap_test "root without CAP_SYS_ADMIN is refused" \
	setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin "$peer" <"$TEST_DIR/script"
ktap_test "root of another user namespace is refused" \
	unshare -Ur "$peer" <"$TEST_DIR/script"
# that one owns its network, and may join any group there: but there it hears nothing of ours
grep -v listen "$TEST_DIR/script" >"$TEST_DIR/deaf"
deaf()
{
	unshare -Urn "$peer" <"$TEST_DIR/deaf" || return
	unshare -Urn "$peer" <<-END &
	listen e
	sh echo >$TEST_DIR/listening
	sh read -r x <$TEST_DIR/told || :
	silent e
	END
	read -r <"$TEST_DIR/listening" || :
	r3map set --park 2h "$DEV"
	r3map set --park 1h "$DEV"
	echo >"$TEST_DIR/told"
	wait $!
}
mkfifo "$TEST_DIR/listening" "$TEST_DIR/told"
ktap_test "root of another user and network namespace is refused, and hears nothing" deaf
ktap_test "CAP_SYS_ADMIN is enough" \
	"${drop[@]}" --inh-caps=-all,+sys_admin --ambient-caps=-all,+sys_admin "$peer" <<-'END'
	socket c
	c features
	c new size=16M
	c del
	map s 1M memfd
	c new size=1M chunk=64K store=s
	c claim
	c fill ext=0:1M
	c del
	END
# 21 is CAP_SYS_ADMIN
answers()
{
	peer <<-'END' || return
	socket c
	socket q
	map a 4M
	c new index=99 size=16M park=0 flags=0x2e
	q bind queue=0 area_addr=@a area_size=4M
	c start
	nocap 21
	!EPERM c features
	!EPERM c complete queue=0 seq=0
	serve dd if=/dev/zero of=$DEV bs=64k count=4 oflag=direct status=none
	!EPERM c del
	END
	wait_until 30 "it has lost its helper" grep -qx failed /sys/block/r3map99/r3map/state
	r3map umount /dev/r3map99
}
cleanup_fn device_remove /dev/r3map99
ktap_test "answers need the queue's socket and no capability" answers
ktap_test "another network namespace is served, and hears the events" \
	unshare -n "$peer" <"$TEST_DIR/granted"
works()
{
	[ "$(device_fact generation)" = "$GENERATION" ] && device_is live &&
		[ "$(device_counter refused)" = 0 ] &&
		dd if=/dev/zero of="$DEV" bs=1M count=16 oflag=direct status=none
}
ktap_test "the device is what it was" works
