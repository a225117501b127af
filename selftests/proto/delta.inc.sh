# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Sourced by the tests of r3map send, receive and hub, after ../lib/test.sh: starts these ends on unix sockets
# in $TEST_DIR, which is the current folder, and compares what they have.

cd "$TEST_DIR" || exit

# pid_end PID [SIGNAL]: ends a process of this test, and waits for that
pid_end()
{
	kill "-${2:-TERM}" "$1" 2>/dev/null || return 0
	wait "$1" 2>/dev/null || :
}

# receive_start SOCKET DIR [OPTION...]: r3map receive; $receiver is its process
receive_start()
{
	local socket=$1 dir=$2
	shift 2
	rm -f "$socket" "$socket.err"
	r3map receive -l "unix:$PWD/$socket" "$@" "$dir" >"$socket.out" 2>"$socket.err" &
	receiver=$!
	cleanup_fn pid_end "$receiver"
	wait_until 20 "the receiver listens" grep -qs 'listens on' "$socket.err"
}

# receive_once SOCKET DIR COMMAND...: a receiver for one sender, which COMMAND is; both must succeed
receive_once()
{
	local socket=$1 dir=$2
	shift 2
	receive_start "$socket" "$dir" --once
	"$@" || return
	wait "$receiver" || { note "the receiver: $(cat "$socket.err")"; return 1; }
}

# send SOCKET ARG...: r3map send to it
send()
{
	local socket=$1
	shift
	r3map send --to "unix:$PWD/$socket" "$@"
}

# send_start SOCKET ARG...: the same in the background; $sender is its process, sent and sent.err what it says
send_start()
{
	rm -f sent sent.err
	r3map send --to "unix:$PWD/$1" "${@:2}" >sent 2>sent.err &
	sender=$!
	cleanup_fn pid_end "$sender"
}

# random_file NAME SIZE: of random bytes
random_file()
{
	head -c "$2" /dev/urandom >"$1"
}

# json FILE FILTER: of the last line
json()
{
	tail -n 1 "$1" | jq -r "$2"
}
