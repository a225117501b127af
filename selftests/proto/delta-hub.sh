#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will have a hub forward what one sender brings to many receivers: all get it, one that comes late
# and one that has stopped, too, and the sender's work does not depend on how many there are.

. "$(dirname "$0")/../lib/test.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/delta.inc.sh"
requires_program jq cmp
ktap_plan 7

# hub_start: r3map hub; $hub is its process
hub_start()
{
	rm -f hub.err
	r3map hub -l "unix:$PWD/up" -o "unix:$PWD/down" store >hub.out 2>hub.err &
	hub=$!
	cleanup_fn pid_end "$hub"
	wait_until 20 "the hub listens" grep -qs 'for receivers' hub.err
}

# join DIR [OPTION...]: a receiver of it; $joined is its process
join()
{
	local dir=$1
	shift
	r3map receive --from "unix:$PWD/down" "$@" "$dir" >"$dir.out" 2>"$dir.err" &
	joined=$!
	cleanup_fn pid_end "$joined"
}

same() { diff -r src "$1" >/dev/null; }

mkdir -p src/sub
random_file src/a 4M
random_file src/sub/b 100001
: >src/empty

forwarded()
{
	hub_start
	join one
	first=$joined
	join two
	send up -j src/ >sent && same store || return
	wait_until 60 "the first has it" same one
	wait_until 60 "the second has it" same two
	wait_until 60 "all of them say the same" agree
}
agree()
{
	diff <(sort hub.out) <(sort one.out) && diff <(sort hub.out) <(sort two.out) &&
		[ "$(json sent '.files[] | .root + "  " + .name' | sort)" = "$(sort hub.out)" ]
}
ktap_test "two receivers get what one sender brings, and agree on it" forwarded

changes()
{
	dd if=/dev/urandom of=src/a bs=64K seek=7 count=2 conv=notrunc status=none
	truncate -s 70000 src/sub/b
	random_file src/new 300000
	send up -j src/ >sent || return
	# two receivers are there: it is sent as to one
	[ "$(json sent .data_bytes)" = $((2 * 65536 + 300000)) ] || { note "$(json sent .data_bytes) bytes"; return 1; }
	wait_until 60 "the first has it" same one
	wait_until 60 "the second has it" same two
	wait_until 60 "both have confirmed what the sender has" confirmed one two
	# a second sender of the same
	send up -j src/ >sent && [ "$(json sent .data_bytes)" = 0 ]
}
confirmed()
{
	local dir
	for dir; do
		! json sent '.files[] | .root + "  " + .name' | grep -vxFf "$dir.out" || return
	done
}
ktap_test "what changes, grows, shrinks and is new" changes

late()
{
	join three --once
	wait "$joined" || { note "$(cat three.err)"; return 1; }
	same three || return
	# the hub has it, also after a start of its own
	pid_end "$hub"
	hub_start
	join four --once
	{ wait "$joined" && same four; } || { note "$(cat four.err)"; return 1; }
	# a copy that is old is brought up to date
	dd if=/dev/zero of=three/a bs=64K seek=3 count=1 conv=notrunc status=none
	join three --once
	wait "$joined" && same three || return
	# and those that were there before are there again
	dd if=/dev/urandom of=src/a bs=64K seek=9 count=1 conv=notrunc status=none
	send up src/ >/dev/null || return
	wait_until 60 "the first has found the hub" same one
}
ktap_test "a late joiner gets all from the hub, and once all is there it ends" late

# memory: KiB of the hub's own
memory()
{
	sed -n 's/^RssAnon:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$hub/status"
}

# what is stopped takes nothing, while the other one gets each of these; then it gets what is left of them. The
# hub keeps none of it; a sanitizer does, of what is free
stopped()
{
	local before=0 rounds=8 n
	! grep -q 'lib[at]san' "/proc/$hub/maps" || rounds=3
	process_stop "$first"
	cleanup_fn kill -CONT "$first"
	for ((n = 1; n <= rounds; n++)); do
		random_file src/a 16M
		send up -j src/ >sent && [ "$(json sent .failed)" = 0 ] || return
		wait_until 60 "the other one has it" same two
		[ $n != 2 ] || before=$(memory)
	done
	[ $rounds = 3 ] || [ $(($(memory) - before)) -lt 65536 ] ||
		{ note "it has $(memory) kB, and had $before six times 16 MiB before"; return 1; }
	! same one || return
	kill -CONT "$first"
	wait_until 60 "it has gone on" same one
}
ktap_test "one that has stopped holds up nobody, and goes on" stopped

removed()
{
	send_start up -i 100ms src/
	wait_until 60 "a round was made" test -s sent
	rm src/new
	wait_until 60 "it is gone at the first" test ! -e one/new
	wait_until 60 "it is gone at the second" test ! -e two/new
	pid_end "$sender"
	same one && same two && same store
}
ktap_test "what is removed" removed

# Killed when the network has stopped in the midst of an upload: the next hub has files that no sender ever had.
torn()
{
	local name
	pid_end "$hub"
	rm -rf torn five six store
	hub_start
	mkdir torn
	random_file torn/whole 100000
	random_file torn/old 24M
	send up torn/ >sent || return
	cp store/old before
	random_file torn/old 24M
	python3 "$(dirname "$TEST_LIB")/proto/syncraw.py" via up 10000000 >via.out &
	cleanup_fn pid_end $!
	wait_until 20 "there is a network" test -S via
	send_start via torn/
	wait_until 60 "it has stopped" grep -q holds via.out
	wait_until 60 "the hub has written some of it" differs before store/old
	pid_end "$hub" KILL
	wait "$sender" && { note "the sender does not know"; return 1; }
	hub_start
	join five --once
	wait "$joined" || { note "$(cat five.err)"; return 1; }
	{ cmp torn/whole five/whole && [ ! -e five/old ]; } || { note "it has $(ls five)"; return 1; }
	grep -q "'old' is not offered" hub.err || { note "$(cat hub.err)"; return 1; }
	for name in .r3map-hub .r3map-hub/x; do
		mkdir -p evil
		rm -rf evil/.r3map-hub
		[ $name = .r3map-hub ] || mkdir evil/.r3map-hub
		: >evil/$name
		! send up evil/ 2>sent.err && grep -q "what the hub notes" sent.err || return
	done
	# whoever brings all of it makes it whole, also for the one after that
	send up -j torn/ >sent || return
	[ "$(json sent .data_bytes)" -lt $((24 << 20)) ] || { note "all was sent again"; return 1; }
	[ ! -e store/.r3map-hub ] || { note "the mark is there: $(ls -A store)"; return 1; }
	pid_end "$hub"
	hub_start
	join six --once
	wait "$joined" && diff -r torn six
}
differs()
{
	! cmp -s "$1" "$2"
}
ktap_test "a hub that is killed in the midst: what is torn is not offered" torn

# Also in the midst of its reading at the start, and with a receiver in the midst of a copy; what it held then
# is for the leak checker to see.
ended()
{
	pid_end "$hub"
	truncate -s 4G store/vast
	hub_start
	join seven
	{ kill "$hub" && wait "$hub"; } || return
	rm store/vast
	random_file store/large 256M
	hub_start
	join eight
	wait_until 60 "a copy has begun" find eight -size +0
	kill "$hub" && wait "$hub"
}
ktap_test "it ends when told, in the midst of anything" ended
ktap_status
