# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Sourced by the tests of userfaultfd after ../lib/test.sh: handlers, and a program with memory that
# they fill (memory.c).

requires_program r3map

# requires_uffd NAME...: skip the test unless userfaultfd may be used here, and has these for --improve
requires_uffd()
{
	local name why
	for name; do
		why=$(uffd_why "$name") || skip "$why"
	done
}

# uffd_why NAME: why a handler does not start with it, as it says itself
uffd_why()
{
	local list=$1
	[ "$list" != dirty ] || list=minor,dirty
	r3map uffd serve mem:1M --improve "$list" --socket "$TEST_DIR/no/such/folder" 2>&1 |
		sed -n 's/^r3map: //p' >"$TEST_DIR/why"
	grep -q '^cannot listen on' "$TEST_DIR/why" && return 0
	cat "$TEST_DIR/why"
	return 1
}

# handler NAME BACKEND [OPTION...]: one on $TEST_DIR/NAME, in place of the last one; sets HANDLER, its process
handler()
{
	[ -z "${HANDLER:-}" ] || handler_end "$HANDLER"
	handler_more "$@"
}

# handler_more NAME BACKEND [OPTION...]: another one
handler_more()
{
	local name=$1 backend=$2
	shift 2
	r3map uffd serve "$backend" --socket "$TEST_DIR/$name" "$@" 2>"$TEST_DIR/$name.log" &
	HANDLER=$!
	cleanup_fn handler_end $HANDLER
	wait_until 20 "the handler $name serves" handler_serves "$name"
}

# handler_serves NAME: or says why not
handler_serves()
{
	[ -S "$TEST_DIR/$1" ] || { kill -0 "$HANDLER" || fail "$(cat "$TEST_DIR/$1.log")"; return 1; }
}

# handler_end PID
handler_end()
{
	kill -CONT "$1" 2>/dev/null || return 0
	kill "$1" 2>/dev/null || return 0
	wait "$1" || :
}

# client SOCKET [OPTION...]: a program with memory, for ask, in place of the last one
client()
{
	client_count=$((${client_count:-0} + 1))
	local to=$TEST_DIR/to.$client_count from=$TEST_DIR/from.$client_count
	[ -z "${CLIENT:-}" ] || client_end "$CLIENT"
	mkfifo "$to" "$from"
	memory "$@" <"$to" >"$from" 2>"$TEST_DIR/client.err" &
	CLIENT=$!
	cleanup_fn client_end $CLIENT
	exec {TO}>"$to" {FROM}<"$from"
	heard ready
}

# client_end PID
client_end()
{
	kill -9 "$1" 2>/dev/null || :
	wait "$1" 2>/dev/null || :
}

# heard TEXT: the client's next line is that
heard()
{
	local line=''
	read -r -t $((60 * ${TEST_SLOW:-1})) -u "$FROM" line ||
		note "no answer; $(cat "$TEST_DIR/client.err")"
	[ "$line" = "$1" ] || { note "it said '$line', not '$1'"; return 1; }
}

# ask ANSWER WORD...: the client is told WORD..., and says ANSWER
ask()
{
	local want=$1
	shift
	echo "$*" >&"$TO"
	heard "$want"
}

# byte FILE OFFSET: as the client tells it
byte()
{
	od -An -v -tu1 -j "$2" -N 1 "$1" | tr -d ' \n'
}
