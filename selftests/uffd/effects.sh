#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will count what each improvement is there for: faults that one read brings, requests to the backend for
# them and at a time, those in the background that leave nothing to fault, and how bytes get to the client and back. With
# one thread all of it is exact; of many, two may wait for the same page, and are two faults.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../lib/test.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

requires_uffd events
pages=128
size=$((pages * 4096))
head -c $size /dev/urandom >"$TEST_DIR/image"
file=file:$TEST_DIR/image
# slow enough that many threads wait at a time
slow=delay:5ms:$file

# counts NAME: what the handler says of its client, which is gone, in the variables that are named here
counts()
{
	wait_until 30 "the client is gone" grep -q 'client 0 is gone: ' "$TEST_DIR/$1.log"
	read -r faults reads requests background most copied mapped zeroes poisoned back < <(sed -n \
		's/.*client 0 is gone: //p' "$TEST_DIR/$1.log" | tr -cs '0-9\n' ' ')
	note "$faults faults, $reads reads, $requests + $background requests, $most at a time," \
		"$copied copied, $mapped mapped, $zeroes zeroes, $poisoned poisoned, $back back"
}

# reads NAME BACKEND LIST THREADS [OPTION...]: that many read all of it; the counts
reads()
{
	local name=$1 backend=$2 list=$3 threads=$4
	shift 4
	handler "$name" "$backend" --improve "$list" "$@"
	client "$TEST_DIR/$name" && ask ok readers 0 "$threads" && ask ok close && counts "$name"
}

plain()
{
	reads plain "$file" none 1 && [ "$faults $reads $requests $background $most" = "$pages $pages $pages 0 1" ] &&
		[ "$copied $mapped $zeroes $poisoned $back" = "$size 0 0 0 0" ]
}

plain_many()
{
	reads plain-many "$slow" none 16 && [ "$faults" = "$reads" ] && [ "$requests" -ge $pages ] &&
		[ "$background $most" = "0 1" ]
}

events()
{
	reads events "$slow" events 16 && [ "$reads" -lt "$faults" ] && [ "$requests" -ge $pages ] && [ "$most" = 1 ]
}

in_flight()
{
	reads in-flight "$slow" in-flight 16 --in-flight 4 && [ "$faults" = "$reads" ] &&
		[ "$requests" -ge $pages ] && [ "$most" -gt 1 ] && [ "$most" -le 4 ]
}

around()
{
	reads around "$file" around 1 --around 64K &&
		[ "$faults $reads $requests $most" = "$((pages / 16)) $((pages / 16)) $((pages / 16)) 1" ]
}

# resident: bytes of the client's memory that userfaultfd watches and that are there
resident()
{
	awk '/^Rss:/ { rss = $2 } /^VmFlags:/ && / um( |$)/ { sum += rss } END { print sum * 1024 }' "/proc/$CLIENT/smaps"
}

all_there() { [ "$(resident)" = $size ]; }

# nobody touches anything until all of it is there
populate()
{
	handler populate "$file" --improve populate
	client "$TEST_DIR/populate"
	wait_until 30 "all of it is there" all_there
	ask ok readers 0 4 && ask ok close && counts populate &&
		[ "$faults $reads $requests $copied" = "0 0 0 $size" ] && [ "$background" -gt 0 ]
}

minor()
{
	reads minor "$file" minor 1 && [ "$faults $requests $copied $mapped" = "$pages $pages 0 $size" ]
}

# a page that cannot be read, touched twice: with POISON the kernel answers by itself
poison()
{
	handler poison "fault:op=read,range=64K-68K:$file" --improve poison
	client "$TEST_DIR/poison"
	ask bus get 0 65536 && ask bus get 0 65537 && ask ok close && counts poison &&
		[ "$faults $requests $copied $poisoned" = "1 1 0 4096" ]
}

# two pages are written, one of them twice, and all are read: two are sent
dirty()
{
	handler dirty "$file" --improve minor,dirty
	client "$TEST_DIR/dirty"
	ask ok readers 0 1 && ask ok set 0 5000 1 && ask ok set 0 5001 2 && ask ok set 0 40960 3 && ask ok sync &&
		ask ok sync && ask ok close && counts dirty && [ "$faults $mapped $back" = "$pages $size 8192" ]
}

# holes are answered with the zero page
holes()
{
	dd if=/dev/zero of="$TEST_DIR/image" bs=4096 seek=10 count=20 conv=notrunc status=none
	reads holes "$file" none 1 && [ "$faults $copied $zeroes" = "$pages $((size - 20 * 4096)) $((20 * 4096))" ]
}

# tries WHAT LIST FUNCTION: or skips what this kernel has not
tries()
{
	local why
	if why=$(uffd_why "$2"); then
		ktap_test "$1" "$3"
	else
		ktap_skip "$1" "$why"
	fi
}

ktap_plan 10
ktap_test "plain: a read, a request and a page for each fault" plain
ktap_test "plain, many threads: one at a time" plain_many
tries "events: a read brings several" events events
tries "in-flight: several requests at a time, and no more than that" in-flight in_flight
tries "around: one fault for 16 pages" around around
tries "populate: nothing is left to fault" populate populate
tries "minor: nothing is copied" minor minor
tries "poison: asked for once" poison poison
tries "dirty: what was written is sent, once" dirty dirty
ktap_test "holes" holes
ktap_status
