#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will write to memory that a handler fills, and sync: the backend has what was written, and only that is
# sent; what could not be written stays, and comes with the next sync; without dirty, nothing
# leaves the process.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../lib/test.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

requires_uffd minor dirty
head -c 2M /dev/urandom >"$TEST_DIR/image"
cp "$TEST_DIR/image" "$TEST_DIR/model"
cp "$TEST_DIR/image" "$TEST_DIR/original"

# put OFFSET BYTE: in the memory and in the model
put()
{
	ask ok set 0 "$1" "$2" || return
	printf %b "\\x$(printf %x "$2")" | dd of="$TEST_DIR/model" bs=1 seek="$1" conv=notrunc status=none
}

same() { cmp "$TEST_DIR/image" "$TEST_DIR/model"; }

# pushes NAME [OPTION...]
pushes()
{
	local name=$1
	shift
	handler "$name" "file:$TEST_DIR/image" --improve minor,dirty,around
	client "$TEST_DIR/$name" "$@"
	put 0 1 && put 4095 2 && put 40960 3 && put 2097151 4 && ask ok sync && same || return
	# what was written between syncs, in a page that was pushed and in another
	put 1 5 && put 1048576 6 && ask ok sync && same || return
	ask ok sync && same || return
	put 2 7 && ask ok close && same
}

# sent: only pages that were written are
sent()
{
	handler sent "fault:op=write,range=64K-2M:file:$TEST_DIR/image" --improve minor,dirty,populate
	client "$TEST_DIR/sent"
	ask ok readers 0 4 && put 5000 8 && ask ok sync && same && ask ok close
}

# given_back: pages that were never filled, or have been given back, are not written
given_back()
{
	handler back "fault:op=read,range=512K-516K:file:$TEST_DIR/image" --improve minor,dirty,poison
	client "$TEST_DIR/back"
	put 12288 11 && ask ok sync && ask ok drop 0 12288 4096 && ask bus get 0 524288 && ask ok sync && same &&
		ask 11 get 0 12288 && ask ok close && same
}

# taken: what was written, and then taken by the kernel and asked for again, is still written
taken()
{
	handler taken "file:$TEST_DIR/image" --improve minor,dirty,around
	client "$TEST_DIR/taken"
	put 16384 12 && ask ok forget 0 16384 4096 && ask 12 get 0 16384 && ask ok sync && same || return
	# and what was not asked for again
	put 24576 13 && ask ok forget 0 24576 4096 && ask ok sync && same && ask ok close
}

# unflushed: a backend that cannot flush has lost what was written, as a disk does; it gets it again
unflushed()
{
	local told="what was written is not at the backend: fault:op=flush,file=$TEST_DIR/broken:file:$TEST_DIR/image: Input/output error"
	handler unflushed "fault:op=flush,file=$TEST_DIR/broken:file:$TEST_DIR/image" --improve minor,dirty
	client "$TEST_DIR/unflushed"
	cp "$TEST_DIR/image" "$TEST_DIR/before"
	touch "$TEST_DIR/broken"
	put 50000 14 && ask "$told" sync || return
	rm "$TEST_DIR/broken"
	dd if="$TEST_DIR/before" of="$TEST_DIR/image" conv=notrunc status=none
	ask ok sync && same && ask ok close
}

# failing: what cannot be written is kept
failing()
{
	local told="what was written is not at the backend: fault:op=write,file=$TEST_DIR/broken:file:$TEST_DIR/image: Input/output error"
	handler failing "fault:op=write,file=$TEST_DIR/broken:file:$TEST_DIR/image" --improve minor,dirty
	client "$TEST_DIR/failing"
	touch "$TEST_DIR/broken"
	put 9000 9 && ask "$told" sync && ask "$told" close && ! cmp -s "$TEST_DIR/image" "$TEST_DIR/model" || return
	rm "$TEST_DIR/broken"
	ask ok close && same
}

# hanging: a backend that does not answer; what it was given, and what not, is there once it does
hanging()
{
	local told="what was written is not at the backend: fault:op=write,mode=hang,file=$TEST_DIR/hang:file:$TEST_DIR/image: Connection timed out"
	handler hanging "fault:op=write,mode=hang,file=$TEST_DIR/hang:file:$TEST_DIR/image" --improve minor,dirty --timeout 500ms
	client "$TEST_DIR/hanging"
	touch "$TEST_DIR/hang"
	put 20000 10 && ask "$told" sync && put 30000 11 || return
	rm "$TEST_DIR/hang"
	wait_until 30 "the backend has written" synced && same && ask ok close
}

# synced: is it, by now?
synced() { ask ok sync; }

# private: not without dirty, and not to a backend that is read-only
private()
{
	handler private "file:$TEST_DIR/image" --improve "$1"
	client "$TEST_DIR/private"
	ask ok set 0 0 77 && ask ok sync && same && ask 77 get 0 0 && ask ok close && same
}

# filter: a command's output, of which only what differs is sent
filter()
{
	cp "$TEST_DIR/original" "$TEST_DIR/image"
	handler filter "file:$TEST_DIR/image" --improve all
	r3map uffd map --socket "$TEST_DIR/filter" --write --run "tr '[:lower:]' '[:upper:]'" &&
		cmp "$TEST_DIR/image" <(tr '[:lower:]' '[:upper:]' <"$TEST_DIR/original")
}

ktap_plan 11
ktap_test "written and pushed" pushes pushes
ktap_test "by SIGSEGV" pushes signals signals
ktap_test "only what was written" sent
if uffd_why poison >/dev/null; then
	ktap_test "not what is not there" given_back
else
	ktap_skip "not what is not there" "this kernel has no poison"
fi
ktap_test "what the kernel takes stays written" taken
ktap_test "what fails is kept" failing
ktap_test "a flush that fails" unflushed
ktap_test "a backend that hangs" hanging
ktap_test "not without dirty" private minor,around
ktap_test "not private memory" private around
ktap_test "a command's output" filter
ktap_status
