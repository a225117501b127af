#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:1 6.12 7.2:1
#
# This test will listen while a device lives, parks, recovers, fails, changes and dies:
# every step is told, in order, with its generation, and a dump tells the same.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program peer jq

# one that was there before is told of once the monitor listens
device_mount --index 3 mem:1M
r3map monitor -j --until REMOVED >"$TEST_DIR/events" &
monitor=$!
wait_until 60 "the monitor listens" grep -q PRESENT "$TEST_DIR/events"
peer <<'END'
listen e
socket c
socket q
map a 4M
c new size=8M max_io=64K park=3600000 index=9
event e created
q bind queue=0 area_addr=@a area_size=1M
c start
event e ready
expect state=live
c set timeout=5000
event e changed
c set size=4M
event e changed
!ERANGE c set size=1
close c
event e parked
expect state=parked
socket s
s set park=200
event e changed
# 200 ms later
event e failed
close s
expect state=failed park=200
close q
socket c
socket q
c attach
event e attached
q bind queue=0 area_addr=@a area_size=1M
c start
event e ready
expect state=live size=4M timeout=5000
c set park=0
event e changed
close q
event e failed
expect state=failed
socket d
d del
event e deleting
event e removed
await gone
END
wait $monitor
got=$(jq -r 'select(.index == 9 and .event != "PRESENT") | .event' "$TEST_DIR/events" | paste -sd ' ')
[ "$got" = "CREATED READY CHANGED CHANGED PARKED CHANGED FAILED ATTACHED READY CHANGED FAILED DELETING REMOVED" ] ||
	fail "the monitor heard: $got"
jq -r 'select(.index == 9) | .time' "$TEST_DIR/events" | sort -nc || fail "times are out of order"
[ "$(jq -r 'select(.index == 9) | .generation' "$TEST_DIR/events" | uniq | wc -l)" = 2 ] || fail "generations"
states=$(jq -r 'select(.index == 9 and .event != "PRESENT") | .state' "$TEST_DIR/events" | paste -sd ' ')
[ "$states" = "NEW LIVE LIVE LIVE PARKED PARKED FAILED FAILED LIVE LIVE FAILED DELETING REMOVED" ] || fail "states: $states"
r3map umount "$DEV"
