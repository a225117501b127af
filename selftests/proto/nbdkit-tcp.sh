#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will reach a server over TCP, by IPv4, IPv6 and name, and choose
# an export by a name that needs encoding.

. "$(dirname "$0")/../lib/test.sh"
. "$(dirname "$0")/rc.sh"
requires_program nbdkit

tcp_start()
{
	nbdkit_tcp_start "$1" --filter=exportname memory 16M exportname-list=explicit \
		exportname-strict=true exportname='hello world/ü' exportname=plain && return
	note "$(cat "$TEST_DIR/stderr")"
	return 1
}

tcp_start 127.0.0.1 || fail "nbdkit finds no port"
backend-io random -n "$(slow 5000)" "nbd://127.0.0.1:$PORT/plain"
backend-io random -n 500 -b 1M -d 4 "nbd://localhost:$PORT/hello%20world/%C3%BC"
info_is "nbd://127.0.0.1:$PORT/hello%20world/ü" "name=nbd://127.0.0.1:$PORT/hello%20world/%C3%BC"
refused "nbd://127.0.0.1:$PORT/hello" "no export 'hello'"

if [ -e /proc/net/if_inet6 ] && tcp_start ::1; then
	backend-io random -n "$(slow 5000)" "nbd://[::1]:$PORT/plain"
else
	note "no IPv6 here: not tried"
fi
refused "nbd://127.0.0.1:1/x" "cannot connect to 127.0.0.1 port 1: Connection refused"
refused "nbd://no-such-host.invalid/x" "cannot find host no-such-host.invalid"
