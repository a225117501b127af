#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will meet every limit that r3map serve sets its clients, with the option that
# changes it: who keeps within is served, who does not is refused, and the next one is served
# again.

. "$(dirname "$0")/../lib/test.sh"
. "$(dirname "$0")/rc.sh"
requires_program nbdinfo python3
ktap_plan 10

# client_script: Python on stdin, with the socket of the server as "where"
client_script()
{
	{
		printf 'import sys, time\nfrom nbdraw import *\nwhere = sys.argv[1]\n'
		cat
	} >"$TEST_DIR/script.py"
	python "$TEST_DIR/script.py" "$SOCKET"
}

# said TEXT: the server ends, and has said TEXT of those whom it refused
said()
{
	serve_stop
	grep -q -- "$1" "$SERVE_LOG" || { note "no '$1' in: $(cat "$SERVE_LOG")"; return 1; }
}

connections()
{
	serve_start --max-connections 3 mem:1M
	client_script <<-'END' || return
		kept = [client(where) for n in range(3)]
		for n in range(3):
		    c = Client(where)
		    assert c.ended()
		kept.pop().disconnect()
		time.sleep(0.3)
		for c in kept:
		    assert not c.write(0, b"x").error
		for patience in range(100):	# it may take a moment until the place is free
		    try:
		        c = client(where)
		        break
		    except Gone:
		        time.sleep(0.1)
		c.disconnect()
	END
	said 'there are 3 connections already (--max-connections)'
}
ktap_test "--max-connections" connections

export_connections()
{
	serve_start --max-export-connections 2 a=mem:1M b=mem:1M
	client_script <<-'END' || return
		kept = [client(where, "a") for n in range(2)]
		c = Client(where)
		c.greet()
		assert c.go("a", INFO)[-1][0] == ACK
		replies = c.go("a")
		assert len(replies) == 1 and replies[0][0] == ERR_POLICY, replies
		assert c.go("b")[-1][0] == ACK	# another export is another matter
		assert not c.read(0, 512).error
		c.disconnect()
		c = Client(where)
		c.greet()
		c.option_say(EXPORT_NAME, b"a")
		assert c.ended()
		kept.pop().disconnect()
		for patience in range(100):
		    c = Client(where)
		    c.greet()
		    if c.go("a")[-1][0] == ACK:
		        break
		    time.sleep(0.1)
		assert not c.read(0, 512).error
	END
	said 'too many connections to export'
}
ktap_test "--max-export-connections" export_connections

options()
{
	serve_start --max-options 5 mem:1M
	client_script <<-'END' || return
		c = Client(where)
		c.greet()
		for n in range(7):
		    assert c.verdict(4711) == ERR_UNSUP
		assert c.go("")[-1][0] == ACK	# who has all it wanted may begin
		assert not c.read(0, 512).error
		c = Client(where)
		c.greet()
		for n in range(7):
		    assert c.verdict(LIST) == ACK
		c.option_say(LIST)
		assert c.ended()
		client(where).disconnect()
	END
	said 'more than 7 options'	# 5, and 2 for the export
}
ktap_test "--max-options" options

name()
{
	serve_refuses 1 'has 5 bytes, at most 4 are allowed (--max-name)' --max-name 4 disk1=mem:1M
	serve_start --max-name 4 disk=mem:1M
	client_script <<-'END' || return
		TOO_BIG = ERR | 9
		for option in INFO, GO:
		    c = Client(where)
		    c.greet()
		    assert c.verdict(STRUCTURED) == ACK
		    assert c.context("disk1")[-1][0] == TOO_BIG
		    assert c.go("disk1", option)[-1][0] == TOO_BIG
		    assert c.go("none", option)[-1][0] == ERR_UNKNOWN
		    assert c.context("disk")[-1][0] == ACK
		    assert c.go("disk")[-1][0] == ACK
		    assert not c.read(0, 512).error
		    c.disconnect()
		c = Client(where)
		c.greet()
		c.export_name("disk", False)
		c.disconnect()
		c = Client(where)
		c.greet()
		c.option_say(EXPORT_NAME, b"disk1")
		assert c.ended()
	END
	said 'by a name of 5 bytes'
}
ktap_test "--max-name" name

payload()
{
	serve_start --max-payload 64K mem:1M
	[ "$(nbdinfo --json "$NBD" | tr -d ' \t' | grep -c '"block_size_maximum":65536')" = 1 ] || return
	client_script <<-'END' || return
		for headers in None, STRUCTURED, EXTENDED_HEADERS:
		    c = client(where, "", headers)
		    assert not c.write(0, bytes(65536)).error and not c.read(1, 65536).error
		    assert c.write(0, bytes(65537)).error == EOVERFLOW
		    assert c.read(0, 65537).error == EOVERFLOW
		    # what has no payload has no such limit
		    assert not c.call(TRIM, 0, 1 << 20).error
		    assert not c.call(WRITE_ZEROES, 0, 1 << 20).error
		    c.disconnect()
		c = client(where)
		c.request(WRITE, 0, (64 << 20) + 1)
		assert c.ended()
		client(where).disconnect()
	END
	said 'announced a payload of 67108865 bytes' || return
	# less than what the backend prefers: the sizes still fit together
	serve_start --max-payload 4K "mem:1M"
	backend-io random -n 300 "$NBD" || return
	serve_end
}
ktap_test "--max-payload" payload

requests()
{
	serve_start --max-requests 2 delay:300ms:mem:1M
	client_script <<-'END' || return
		c, other = client(where), client(where)
		began = time.monotonic()
		cookies = [c.request(READ, 0, 512) for n in range(6)]
		assert not other.read(0, 512).error	# does not wait for the first one
		for cookie in cookies:
		    assert not c.answer(cookie, 0, 512, READ).error
		# two at a time, one pair after the other
		assert time.monotonic() - began > 0.85
		c.disconnect()
	END
	serve_end
}
ktap_test "--max-requests" requests

memory()
{
	serve_start --max-memory 1M --max-payload 1M delay:100ms:mem:16M
	client_script <<-'END' || return
		c, other = client(where), client(where)
		began = time.monotonic()
		cookies = [c.request(READ, n << 20, 1 << 20) for n in range(4)]
		assert not other.read(0, 1 << 20).error
		for cookie in cookies:
		    assert not c.answer(cookie, 0, 1 << 20, READ).error
		assert time.monotonic() - began > 0.38	# one after the other
		# small ones have room beside each other
		began = time.monotonic()
		cookies = [c.request(READ, n, 512) for n in range(200)]
		for cookie in cookies:
		    assert not c.answer(cookie, 0, 512, READ).error
		assert time.monotonic() - began < 15	# 20 s, one after the other
		c.disconnect()
	END
	serve_end
}
ktap_test "--max-memory" memory

handshake()
{
	serve_start --handshake-timeout 2s mem:1M
	client_script <<-'END' || return
		silent, half = Client(where), Client(where)
		half.greet()
		half.say(b"IHAVEOPT\0\0")
		busy = Client(where)			# never done, however much it says
		busy.greet()
		assert silent.ended() and half.ended()
		try:
		    for n in range(60):
		        busy.option(4711)
		        time.sleep(0.05)
		    assert False
		except Gone:
		    pass
		for patience in range(20):		# the machine may be busy
		    try:
		        c = client(where)
		        break
		    except Gone:
		        pass
		time.sleep(0.5)				# not counted any more
		assert not c.read(0, 512).error
		c.disconnect()
	END
	said 'the handshake took too long'
}
ktap_test "--handshake-timeout" handshake

stall()
{
	serve_start --stall-timeout 500ms delay:0s:mem:64M
	client_script <<-'END' || return
		quiet = client(where)
		c = client(where)			# within a header
		c.say(b"\x25\x60\x95\x13\0\0")
		assert c.ended()
		c = client(where)			# within a payload
		c.request(WRITE, 0, 5000, 0, bytes(4999))
		assert c.ended()
		c = client(where)			# a byte now and then
		c.request(WRITE, 0, 5000)
		try:
		    for n in range(600):
		        c.say(b"x")
		        time.sleep(0.05)
		    assert False
		except Gone:
		    pass
		c = client(where)			# does not take its answers
		for n in range(40):
		    c.request(READ, 0, 1 << 20)
		time.sleep(5)
		assert c.ended()
		# slow is not stopped: 64 KiB a second is enough, and an idle one may wait
		c = client(where)
		c.request(WRITE, 0, 200000)
		for n in range(8):
		    c.say(bytes(25000))
		    time.sleep(0.1)
		assert not c.answer(c.cookie).error
		assert not quiet.read(0, 512).error
	END
	said 'it stopped within a request' || return
	grep -q 'does not take its answers' "$SERVE_LOG"
}
ktap_test "--stall-timeout" stall

idle()
{
	serve_start --idle-timeout 5s delay:0s,read=8s:mem:1M
	client_script <<-'END' || return
		c, silent = client(where), client(where)
		assert not c.read(0, 512).error	# who waits for an answer is not idle
		assert silent.ended() and c.ended()
	END
	serve_end
}
ktap_test "--idle-timeout" idle
