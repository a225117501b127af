#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will take the server away from a client that works, in every way,
# and see that it goes on where it was as soon as there is a server again, that
# it ends in time if there is none, and that the log tells.
# timeout: 240

. "$(dirname "$0")/../lib/test.sh"
. "$(dirname "$0")/rc.sh"
requires_program nbdkit qemu-nbd

ERR=$TEST_DIR/err
image 16M

# server ARG...: start nbdkit, or start it again in the same place
server()
{
	rm -f "$SOCKET"
	nbdkit -U "$SOCKET" -P "$PIDFILE" --filter=log "$@" logfile="$TEST_DIR/log" ||
		fail "nbdkit $* does not start"
}

# server_kill: it is gone when this returns
server_kill()
{
	local pid
	pid=$(cat "$PIDFILE")
	kill -9 "$pid"
	until process_ended "$pid"; do sleep 0.02; done
}

# load ARG...: backend-io in the background
load()
{
	: >"$TEST_DIR/log"
	backend-io "$@" >"$TEST_DIR/out" 2>"$ERR" &
	pid=$!
}

# load_status: how it ended
load_status()
{
	local status=0
	wait "$pid" || status=$?
	cat "$ERR"
	return $status
}

# tells COUNT TEXT: so many lines of the log have it
tells()
{
	[ "$(grep -cF "$2" "$ERR")" = "$1" ] || fail "wanted '$2' $1 times"
}

# working: a request that came just now is at the server
working()
{
	: >"$TEST_DIR/log"
	wait_until 60 "requests come" grep -qE ' (Read|Write) ' "$TEST_DIR/log"
}

killed_under_load()
{
	local i
	nbd_socket
	server --filter=delay file "$IMAGE" delay-read=2ms delay-write=2ms
	load random -n 60000 -d 32 "$NBD"
	for i in 1 2 3; do
		working
		server_kill
		wait_until 60 "loss $i is told" eval "[ \$(grep -c 'wait for a new' $ERR) = $i ]"
		server --filter=delay file "$IMAGE" delay-read=2ms delay-write=2ms
		wait_until 60 "return $i is told" eval "[ \$(grep -c 'connected again' $ERR) = $i ]"
	done
	load_status || fail "the load failed"
	tells 3 "requests wait for a new connection"
	tells 3 "connected again after"
	[ "$(wc -l <"$ERR")" = 6 ] || fail "more lines than that"
}

# three_busy: requests came over three connections
three_busy()
{
	[ "$(grep -aoE 'connection=[0-9]+ (Read|Write) ' "$TEST_DIR/log" | cut -d' ' -f1 |
		sort -u | wc -l)" = 3 ]
}

several_connections()
{
	nbd_socket
	server --filter=delay file "$IMAGE" delay-read=2ms delay-write=2ms
	info_is "$NBD" channels_max=0
	: >"$TEST_DIR/log"
	load random -n 40000 -d 8 -t 3 "$NBD"
	wait_until 60 "three connections have requests" three_busy
	server_kill
	server --filter=delay file "$IMAGE" delay-read=2ms delay-write=2ms
	load_status || fail "the load failed"
	tells 3 "connected again after"
}

# in_use PID: it has read so much that requests must be coming
in_use()
{
	[ "$(sed -n 's/^rchar: //p' "/proc/$1/io")" -gt 10000000 ]
}

# nbdkit 1.32 may abort when a client leaves with requests under way
hung()
{
	local qemu
	nbd_socket
	rm -f "$SOCKET"
	qemu-nbd -t -e 0 -f raw -k "$SOCKET" "$IMAGE" &
	qemu=$!
	echo $qemu >"$PIDFILE"
	wait_until 60 "qemu-nbd listens" nbd_server_listens
	load random -n 300000 -d 32 "$NBD&timeout=5"
	wait_until 60 "requests come" in_use $qemu
	process_stop $qemu
	wait_until 60 "the silence is noticed" grep -q 'nothing was heard' "$ERR"
	kill -CONT $qemu
	load_status || fail "the load failed"
	tells 1 "connected again after"
	kill -9 $qemu
}

shutting_down()
{
	nbd_socket
	server --filter=error file "$IMAGE" error-pwrite=ESHUTDOWN error-pwrite-rate=100% \
		error-file="$TEST_DIR/trigger"
	touch "$TEST_DIR/trigger"
	load write "$NBD"
	wait_until 60 "it is told" grep -q 'shuts down' "$ERR"
	rm "$TEST_DIR/trigger"
	load_status || fail "the write failed"
	tells 1 "shuts down"
	grep -qx ok "$TEST_DIR/out" || fail "the write printed $(cat "$TEST_DIR/out")"
}

another_size()
{
	nbd_socket
	server --filter=delay file "$IMAGE" delay-read=2ms delay-write=2ms
	load random -n 100000 "$NBD"
	working
	server_kill
	truncate -s 24M "$IMAGE"
	server file "$IMAGE"
	! load_status || fail "it went on"
	tells 1 "has changed since it was opened: 25165824 bytes, not 16777216"
	truncate -s 16M "$IMAGE"
}

too_long()
{
	nbd_socket
	server --filter=delay file "$IMAGE" delay-read=2ms delay-write=2ms
	load random -e -n 100000 "$NBD&reconnect=1"
	working
	server_kill
	! load_status || fail "it went on"
	tells 1 "no connection for"
	tells 1 "is the NBD server running there?"
}

goodbye()
{
	nbd_socket
	server --filter=exitlast file "$IMAGE"
	backend-io verify -z -b 1M "$NBD" >/dev/null 2>&1 || :
	wait_until 60 "the server leaves with its last client" \
		process_ended "$(cat "$PIDFILE")"
}

lost_writes()
{
	# the load ends with a flush, after writes that the first server acknowledged
	nbd_socket
	server --filter=delay file "$IMAGE" wdelay=20ms
	load fill -b 64K -d 1 "$NBD&flush=$1"
	wait_until 60 "a write is done" eval "[ \$(grep -c ' ...Write' $TEST_DIR/log) -gt 3 ]"
	server_kill
	server file "$IMAGE"
	load_status
}

ktap_plan 9
ktap_test "killed three times under load" killed_under_load
ktap_test "three connections, each by itself" several_connections
ktap_test "a server that hangs" hung
ktap_test "a server that says that it shuts down" shutting_down
ktap_test "another size after the restart" another_size
ktap_test "away for too long" too_long
ktap_test "a goodbye at the end" goodbye
ktap_test "flush=trust goes on" lost_writes trust
ktap_test "flush=strict fails" eval '! lost_writes strict'
ktap_status
