#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will take the handler away from a program in every way: killed, stopped, ended by a signal, and hanging in its
# backend. The program hears of it, keeps what it has, gets SIGBUS for the rest, and a thread that waits
# gets it as well; nothing waits for ever.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../lib/test.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

requires_uffd events
head -c 1M /dev/urandom >"$TEST_DIR/image"
first=$(byte "$TEST_DIR/image" 0)
touch "$TEST_DIR/hang"
backend="fault:mode=hang,range=256K-1M,file=$TEST_DIR/hang:file:$TEST_DIR/image"

# dies NAME LIST HOW [OPTION...]: the handler ends by HOW while a thread waits for a page
dies()
{
	local name=$1 list=$2 how=$3
	shift 3
	handler "$name" "$backend" --improve "$list" --timeout 60s
	client "$TEST_DIR/$name" timeout=2s "$@"
	ask "$first" get 0 0 && ask ok set 0 100 7 && ask ok start 0 524288 || return
	"$how" $HANDLER
	ask ok lost || return
	# the one that waits is told
	ask bus end && ask bus get 0 786432 && ask bus set 0 131072 1 || return
	# what was here is here
	ask "$first" get 0 0 && ask 7 get 0 100
}

killed()
{
	kill -9 "$1"
	wait "$1" 2>/dev/null || :
}
ended() { handler_end "$1"; }
stopped() { process_stop "$1"; }

# hangs NAME LIST [OPTION...]: the handler lives, but its backend does not answer; what can be had is there
hangs()
{
	local name=$1 list=$2
	shift 2
	handler "$name" "$backend" --improve "$list" --timeout 1s
	client "$TEST_DIR/$name" timeout=3600s "$@"
	ask "$first" get 0 0 && ask bus get 0 524288 && ask bus get 0 528384 && ask bus get 0 786432 &&
		ask "$first" get 0 0 && ask ok close
}

# cancelled: a command whose memory never comes ends by a signal, and leaves nothing
cancelled()
{
	local status=0 pid
	handler cancel "$backend" --improve none --timeout 60min
	r3map uffd map --socket "$TEST_DIR/cancel" --run "exec cat >'$TEST_DIR/out'" &
	pid=$!
	cleanup_fn client_end $pid
	wait_until 20 "the command has what there is" test -s "$TEST_DIR/out"
	kill $pid
	killed $HANDLER
	wait $pid || status=$?
	[ $status != 0 ] || note "status $status"
	[ $status != 0 ]
}

# holes: a process can have 65530 mappings
holes()
{
	handler holes mem:300M --improve none
	client "$TEST_DIR/holes" timeout=2s
	ask ok sparse 0 && killed $HANDLER && ask ok lost && ask bus get 0 4096 && ask bus get 0 314568704
}

# second: its backend hangs, and so would it
second()
{
	handler second "$backend" --improve none --timeout 60min
	client "$TEST_DIR/second" timeout=3600s
	ask ok start 0 524288 && wait_until 20 "the backend is asked" logged second "client 0 has" || return
	kill "$HANDLER"
	wait_until 20 "it ends" test ! -S "$TEST_DIR/second"
	kill "$HANDLER"
	wait "$HANDLER" || :
	ask ok lost && ask bus end
}

logged() { grep -q "$2" "$TEST_DIR/$1.log"; }

poison=none
if uffd_why poison >/dev/null; then poison=poison; fi
ktap_plan 13
ktap_test "killed" dies killed none killed
ktap_test "killed, with POISON" dies poison $poison killed
ktap_test "ended" dies ended none ended
ktap_test "stopped" dies stopped none stopped
if uffd_why minor >/dev/null; then
	ktap_test "killed, shared memory" dies shared minor,$poison killed
else
	ktap_skip "killed, shared memory" "this kernel has no minor"
fi
if uffd_why dirty >/dev/null; then
	ktap_test "killed, memory that is watched, without POISON" dies watched minor,dirty killed
else
	ktap_skip "killed, memory that is watched, without POISON" "this kernel has no dirty"
fi
ktap_test "killed, by SIGSEGV" dies signals none killed signals
ktap_test "the backend hangs" hangs hangs none
ktap_test "the backend hangs, several at a time" hangs hangs-around events,in-flight,around
ktap_test "the backend hangs, by SIGSEGV" hangs hangs-signals around signals
ktap_test "cancelled" cancelled
ktap_test "killed, with more holes than there are mappings" holes
ktap_test "a handler that cannot end is ended by a second signal" second
ktap_status
