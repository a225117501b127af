# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Sourced by the protocol tests after ../lib/test.sh: starts NBD servers that
# end with the test, and looks at what backend-io tells. $NBD is the URI of
# the server started last, $IMAGE the file that a server of files serves.
# shellcheck disable=SC2034

# nbd_pid_end PIDFILE: end a server by the file that it wrote
nbd_pid_end()
{
	local pid
	pid=$(cat "$1" 2>/dev/null) || return 0
	kill "$pid" 2>/dev/null || return 0
	until process_ended "$pid"; do sleep 0.02; done
}

# nbd_socket: a new name for a socket; a test may start several servers
nbd_socket()
{
	nbd_count=$((${nbd_count:-0} + 1))
	SOCKET=$TEST_DIR/$nbd_count.sock
	PIDFILE=$TEST_DIR/$nbd_count.pid
	NBD="nbd+unix:///?socket=$SOCKET"
	cleanup_fn nbd_pid_end "$PIDFILE"
}

# nbdkit_start ARG...: nbdkit on a unix socket; returns when it answers
nbdkit_start()
{
	requires_program nbdkit
	nbd_socket
	nbdkit -U "$SOCKET" -P "$PIDFILE" "$@" || fail "nbdkit $* does not start"
}

# nbdkit_start_or_skip WHAT ARG...: the same, where nbdkit may be built without WHAT
nbdkit_start_or_skip()
{
	local what=$1
	shift
	requires_program nbdkit
	nbd_socket
	nbdkit -U "$SOCKET" -P "$PIDFILE" "$@" 2>"$TEST_DIR/stderr" ||
		skip "nbdkit cannot do $what: $(tail -n 1 "$TEST_DIR/stderr")"
}

# nbdkit_tcp_start ADDRESS ARG...: nbdkit on a free $PORT of ADDRESS, below those that the kernel
# hands out; fails if there is none, and $TEST_DIR/stderr has why
nbdkit_tcp_start()
{
	local address=$1
	shift
	requires_program nbdkit
	for _ in 1 2 3 4 5; do
		PORT=$((20000 + RANDOM % 10000))
		nbd_socket
		! nbdkit -i "$address" -p $PORT -P "$PIDFILE" "$@" 2>"$TEST_DIR/stderr" || return 0
	done
	return 1
}

# nbd_server_listens: its socket is there before it can be connected to
nbd_server_listens()
{
	python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])' \
		"$SOCKET" 2>/dev/null
}

# nbd_server_decided: it listens, or has ended, as it does behind our back if its port is taken
nbd_server_decided()
{
	nbd_server_listens || process_ended "$(cat "$PIDFILE")"
}

# nbd_server_start NAME CONFIG-LINE...: nbd-server with one export, $IMAGE; $NBD_SERVER_TLS may be
# a folder of certificates, without which no client gets in then
nbd_server_start()
{
	requires_program nbd-server
	for _ in 1 2 3 4 5; do
		nbd_server_try "$@"
		wait_until 20 "nbd-server listens" nbd_server_decided
		! nbd_server_listens || return 0
	done
	fail "nbd-server does not start: $(cat "$TEST_DIR/nbd-server.log")"
}

# nbd_server_try NAME CONFIG-LINE...: on a port that may be taken
nbd_server_try()
{
	local name=$1
	shift
	nbd_socket
	{
		# it always wants a port, too, and 0 is none to it
		printf '[generic]\nunixsock = %s\nport = %s\nlistenaddr = 127.0.0.1\n' \
			"$SOCKET" $((20000 + RANDOM % 10000))
		[ -z "${NBD_SERVER_TLS:-}" ] || printf '%s = %s\n' force_tls true \
			cacertfile "$NBD_SERVER_TLS/ca-cert.pem" \
			certfile "$NBD_SERVER_TLS/server-cert.pem" keyfile "$NBD_SERVER_TLS/server-key.pem"
		printf '[%s]\nexportname = %s\n' "$name" "$IMAGE"
		[ $# = 0 ] || printf '%s\n' "$@"
	} >"$TEST_DIR/nbd-server.conf"
	nbd-server -C "$TEST_DIR/nbd-server.conf" -p "$PIDFILE" >"$TEST_DIR/nbd-server.log" 2>&1 ||
		fail "nbd-server does not start: $(cat "$TEST_DIR/nbd-server.log")"
	NBD="nbd+unix:///$name?socket=$SOCKET"
}

# qemu_nbd_start ARG...: qemu-nbd on a unix socket
qemu_nbd_start()
{
	requires_program qemu-nbd
	nbd_socket
	qemu-nbd --fork --persistent --shared=8 --socket="$SOCKET" --pid-file="$PIDFILE" "$@" ||
		fail "qemu-nbd $* does not start"
}

# image SIZE: $IMAGE, a file of that size without content
image()
{
	IMAGE=$TEST_DIR/image
	rm -f "$IMAGE"
	truncate -s "$1" "$IMAGE"
}

# info_is BACKEND KEY=VALUE...: what backend-io info must show
info_is()
{
	local backend=$1 want
	shift
	backend-io info "$backend" >"$TEST_DIR/info" || fail "$backend cannot be opened"
	for want; do
		grep -qxF "$want" "$TEST_DIR/info" ||
			fail "$backend: wanted $want, got $(grep "^${want%%=*}=" "$TEST_DIR/info")"
	done
}

# refused BACKEND TEXT: it cannot be opened, and the sentence has TEXT in it
refused()
{
	expect_fail backend-io info "$1"
	grep -qF -- "$2" "$TEST_DIR/stderr" ||
		fail "$1: wanted '$2', got: $(cat "$TEST_DIR/stderr")"
}

# result_is TEXT ARG...: backend-io ARG... prints TEXT
result_is()
{
	local want=$1 got
	shift
	got=$(backend-io "$@" 2>"$TEST_DIR/stderr") || :
	[ "$got" = "$want" ] || fail "backend-io $*: wanted $want, got $got"
}

# serve_up: has r3map serve said where it is, or given up?
serve_up()
{
	[ -s "$SERVE_OUT" ] || process_ended "$SERVER"
}

# serve_kill PID: the end of a server at the end of the test
serve_kill()
{
	jobs -p | grep -qx "$1" || return 0	# the number may be another process's by now
	kill -KILL "$1" 2>/dev/null || return 0
	wait "$1" 2>/dev/null || :
}

# serve_start_at ARG...: r3map serve; $NBD is the first URI it told, $SERVE_OUT has all of them,
# $SERVE_LOG what it said on stderr, $SERVER is its process
serve_start_at()
{
	nbd_count=$((${nbd_count:-0} + 1))
	SERVE_OUT=$TEST_DIR/$nbd_count.uris
	SERVE_LOG=$TEST_DIR/$nbd_count.log
	r3map serve "$@" >"$SERVE_OUT" 2>"$SERVE_LOG" &
	SERVER=$!
	cleanup_fn serve_kill $SERVER
	wait_until 20 "r3map serve $* is ready" serve_up
	[ -s "$SERVE_OUT" ] || fail "r3map serve $*: $(cat "$SERVE_LOG")"
	NBD=$(head -n 1 "$SERVE_OUT")
}

# serve_start ARG...: the same, on the unix socket $SOCKET
serve_start()
{
	SOCKET=$TEST_DIR/$((${nbd_count:-0} + 1)).sock
	serve_start_at --unix "$SOCKET" "$@"
}

# serve_stop: the server ends when it is asked to, in order
serve_stop()
{
	local status=0
	kill -TERM "$SERVER"
	wait "$SERVER" || status=$?
	[ $status = 0 ] || fail "the server ends with $status: $(cat "$SERVE_LOG")"
	[ -z "${SOCKET:-}" ] || [ ! -e "$SOCKET" ] || fail "the socket is left"
}

# serve_end: the same, and it has complained about nothing
serve_end()
{
	serve_stop
	[ ! -s "$SERVE_LOG" ] || fail "the server complains: $(cat "$SERVE_LOG")"
}

# serve_refuses STATUS TEXT ARG...: r3map serve ARG... ends so, with one sentence that has TEXT in it
serve_refuses()
{
	local want=$1 text=$2 status=0
	shift 2
	timeout 60 r3map serve "$@" >"$TEST_DIR/stdout" 2>"$TEST_DIR/stderr" </dev/null || status=$?
	[ $status = "$want" ] ||
		fail "r3map serve $*: status $status, wanted $want: $(cat "$TEST_DIR/stderr")"
	[ "$(wc -l <"$TEST_DIR/stderr")" = 1 ] ||
		fail "r3map serve $*: not one sentence: $(cat "$TEST_DIR/stderr")"
	grep -qF -- "$text" "$TEST_DIR/stderr" ||
		fail "r3map serve $*: wanted '$text', got: $(cat "$TEST_DIR/stderr")"
	[ ! -s "$TEST_DIR/stdout" ] || fail "r3map serve $* said: $(cat "$TEST_DIR/stdout")"
}

# python ARG...: Python that finds nbdraw, and libnbd's module if this machine has it
python()
{
	PYTHONPATH=$TEST_TOP/selftests/proto PYTHONDONTWRITEBYTECODE=1 "${PYTHON:-python3}" "$@"
}

# libnbd_python: lets python() be one that has libnbd's module; fails if there is none
libnbd_python()
{
	for PYTHON in python3 /usr/bin/python3; do
		! $PYTHON -c 'import nbd' 2>/dev/null || return 0
	done
	return 1
}
