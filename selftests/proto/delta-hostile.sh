#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will say to a receiver, and to a sender, what no decent peer says, and what one says that is slow or
# takes nothing: it is refused, nothing outside of the folder is touched, others are served, and streams do not
# wait for each other.

. "$(dirname "$0")/../lib/test.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/delta.inc.sh"
requires_program python3 cmp
ktap_plan 9
export PYTHONPATH=$TEST_TOP/selftests/proto PYTHONDONTWRITEBYTECODE=1

# peer ARG...: a program on stdin, with all that syncraw.py has
peer()
{
	{
		printf 'from syncraw import *\nimport os\n'
		cat
	} | python3 - "$@"
}

receive_start s out

nonsense()
{
	peer s <<-'END' || return
		import sys
		def refused(first, greet=True, more=b""):
		    p = Peer(sys.argv[1])
		    if greet:
		        p.greet(SENDER)
		    p.raw(first + more)
		    assert p.ended(), first
		def message(kind, stream=0, payload=b"", flags=0, length=None):
		    return struct.pack(">HHII", kind, flags, stream,
		                       len(payload) if length is None else length) + payload
		# before HELLO, and wrong ones
		for data in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100, b"\xff" * 100, message(END),
		             message(HELLO, 0, hello(SENDER, magic=1)), message(HELLO, 0, hello(RECEIVER)),
		             message(HELLO, 0, hello(7)), message(HELLO, 0, hello(SENDER, versions=(2, 9))),
		             message(HELLO, 0, hello(SENDER, versions=(3, 2))),
		             message(HELLO, 0, hello(SENDER, hashes=(9,))),
		             message(HELLO, 0, hello(SENDER, hashes=())),
		             message(HELLO, 0, hello(SENDER, chunk=0)),
		             message(HELLO, 0, hello(SENDER, chunk=4095)),
		             message(HELLO, 0, hello(SENDER, chunk=2 << 20)),
		             message(HELLO, 1, hello(SENDER)), message(HELLO, 0, hello(SENDER)[:-1])):
		    refused(data, greet=False)
		# after it
		for data in (message(0), message(19), message(END, flags=1), message(HELLO, 0, hello(SENDER)),
		             message(DATA, 1, length=0xffffffff), message(WANT, 1, length=65537),
		             message(OPENED, 1, b"\0" * 8), message(DATA, 1, b"\0" * 9),
		             message(COMMIT, 5, b"\0" * 40), message(ROUND, 0, b"\0" * 7), message(CLOSE, 9),
		             message(COMMITTED, 1, b"\0" * 32), message(ALIVE, 0, b"x"), message(END, 4)):
		    refused(data)
	END
	kill -0 "$receiver"
}
ktap_test "bytes that are no message, or none for a receiver" nonsense

names()
{
	mkdir -p outside
	ln -sfn "$PWD/outside" out/link
	peer s <<-'END' || return
		import sys
		for name in (b"../outside/x", b"/etc/x", b"a/../../outside/x", b"", b"a//b", b"./x", b"a/", b"..",
		             b"a\0b", b"x" * 4096, b"x" * 256):
		    p = Peer(sys.argv[1])
		    p.greet(SENDER)
		    p.open(1, name, 10)
		    assert p.ended(), name
		    p = Peer(sys.argv[1])
		    p.greet(SENDER)
		    p.say(REMOVE, 0, name)
		    assert p.ended(), name
		p = Peer(sys.argv[1])
		p.greet(SENDER)
		for n, name in enumerate((b"link", b"link/x", b"link/y/z")):
		    p.open(n + 1, name, 10)
		    assert b"link" in p.expect(ERROR, n + 1)
		p.say(REMOVE, 0, b"link/x")
		p.say(REMOVE, 0, b"link")
		p.say(END)
		assert p.expect(END, 0) == b"" and p.ended()
	END
	[ -z "$(ls outside)" ] && [ -L out/link ]
}
ktap_test "names that lead out of the folder" names

ranges()
{
	peer s <<-'END' || return
		import sys
		def opened(name=b"f"):
		    p = Peer(sys.argv[1])
		    p.greet(SENDER)
		    p.open(1, name, 200000)
		    p.expect(OPENED, 1)
		    return p
		for kind, payload in ((DATA, struct.pack(">Q", 1) + b"x" * 65536),
		                      (DATA, struct.pack(">Q", 0) + b"x" * 65535),
		                      (DATA, struct.pack(">Q", 65536 * 4) + b"x" * 65536),
		                      (DATA, struct.pack(">Q", 65536 * 3) + b"x" * 65536),
		                      (DATA, struct.pack(">Q", 1 << 63) + b"x" * 65536),
		                      (ZERO, struct.pack(">QQ", 0, 1)), (ZERO, struct.pack(">QQ", 0, 1 << 62)),
		                      (ZERO, struct.pack(">QQ", 1 << 62, 65536)), (ZERO, struct.pack(">QQ", 0, 0)),
		                      (RESIZE, struct.pack(">Q", 1 << 63)),
		                      (WANT, struct.pack(">IQQ", STRONG, 0, 2)),
		                      (WANT, struct.pack(">IQQ", STRONG, 1, 1)),
		                      (WANT, struct.pack(">IQQQQ", STRONG, 0, 1, 0, 1)),
		                      (WANT, struct.pack(">IQQ", GROUPS, 0, 1)),
		                      (OPEN, struct.pack(">HHIQ", 1, 0, 0, 1) + b"g")):
		    p = opened()
		    p.say(kind, 1, payload)
		    assert p.ended(), (kind, payload[:40])
		# more than there is memory for; and so in smaller chunks
		p = Peer(sys.argv[1])
		p.greet(SENDER)
		p.open(1, b"huge", 1 << 62)
		assert b"--max-memory" in p.expect(ERROR, 1)
		p = Peer(sys.argv[1])
		p.greet(SENDER, chunk=1 << 20)
		p.open(1, b"large", 1 << 40)
		p.expect(OPENED, 1)
		p.say(END)
		p.expect(END, 0)
		for size in (1 << 40) - 1, 1 << 41:
		    p = Peer(sys.argv[1])
		    p.greet(SENDER, chunk=4096)
		    p.open(1, b"large", size)
		    assert b"--max-memory" in p.expect(ERROR, 1)
		p.open(2, b"large", 5000)
		p.expect(OPENED, 2)
		# one COMMIT at a time
		p = opened(b"committed")
		p.say(ZERO, 1, struct.pack(">QQ", 0, 200000))
		p.raw((struct.pack(">HHIIQ", COMMIT, 0, 1, 40, 200000) + b"y" * 32) * 2)
		assert "COMMIT" in p.ended()
		# a root that it is not: told so, and nothing is confirmed
		p = opened(b"fresh")
		p.say(DATA, 1, struct.pack(">Q", 0) + b"x" * 65536)
		p.say(COMMIT, 1, struct.pack(">Q", 200000) + b"y" * 32)
		root = p.expect(DIFFERS, 1)
		p.say(COMMIT, 1, struct.pack(">Q", 200000) + root)
		assert p.expect(COMMITTED, 1) == root
		data = b"x" * 65536 + b"\0" * (200000 - 65536)
		assert root_of(data, strong=sha256) == root
	END
	kill -0 "$receiver" && [ ! -e out/huge ] && [ "$(stat -c %s out/large)" = 5000 ]
}
ktap_test "ranges that fit nothing, and a hash that is another one" ranges

# more than the credit, which takes a chunk or two that cannot be written yet: a sparse region of one that is stopped
credit()
{
	peer s <<-'END' || return
		import sys
		p = Peer(sys.argv[1])
		p.greet(SENDER, chunk=1 << 20)
		p.open(1, b"fast", 64 << 20)
		credit = struct.unpack(">II", p.expect(OPENED, 1))[1]
		assert 2 << 20 <= credit <= 64 << 20
		said = 0
		for n in range(64):
		    if said + (1 << 20) + 20 > credit:
		        break
		    said += (1 << 20) + 20
		    p.say(DATA, 1, struct.pack(">Q", n << 20) + bytes([n]) * (1 << 20))
		back = 0
		while back < said:
		    kind, stream, payload = p.hear()
		    assert kind == CREDIT and stream == 1, kind
		    back += struct.unpack(">I", payload)[0]
		assert back == said
		p.open(2, b"fast", 1)
		assert b"another sender" in p.expect(ERROR, 2)
	END
	kill -0 "$receiver"
}
ktap_test "credit comes back for all that is done; one writes at a time" credit

# What was said before CLOSE is done first, though the file is gone by then, and there anew.
closed()
{
	peer s <<-'END' || return
		import sys
		p = Peer(sys.argv[1])
		p.greet(SENDER, chunk=1 << 20)
		def until(kind, stream):
		    while True:
		        got = p.hear()
		        assert got[0] != ERROR, got
		        if got[:2] == (kind, stream):
		            return got[2]
		for n in range(20):
		    first, second = 3 * n + 1, 3 * n + 2
		    p.open(first, b"sub/again", 4 << 20)
		    assert until(OPENED, first)[3] == 1, "it was not removed"
		    p.say(DATA, first, struct.pack(">Q", 0) + b"x" * (1 << 20))
		    p.say(DATA, first, struct.pack(">Q", 1 << 20) + b"y" * (1 << 20))
		    p.say(CLOSE, first)
		    p.open(second, b"sub/again", 3)
		    until(OPENED, second)
		    p.say(CLOSE, second)
		    p.say(REMOVE, 0, b"sub/again")
		# one that is opened and closed while it waits
		p.open(100, b"twice", 4 << 20)
		until(OPENED, 100)
		p.say(DATA, 100, struct.pack(">Q", 0) + b"x" * (1 << 20))
		p.say(CLOSE, 100)
		p.open(101, b"twice", 1)
		p.say(CLOSE, 101)
		p.say(REMOVE, 0, b"twice")
		p.say(END)
		until(END, 0)
	END
	wait_until 20 "what was removed is gone" test ! -e out/twice && [ ! -e out/sub ]
}
ktap_test "a stream that is closed, removed and opened anew while it is at work" closed

silent()
{
	local others=$receiver
	receive_start t other --handshake-timeout 1s --idle-timeout 4s
	peer t <<-'END' || return
		import sys
		quiet = Peer(sys.argv[1])                      # says nothing: --handshake-timeout
		idle = Peer(sys.argv[1])
		idle.greet(SENDER)                             # and then nothing: --idle-timeout
		half = Peer(sys.argv[1])
		half.greet(SENDER)
		half.raw(struct.pack(">HHII", DATA, 0, 1, 65544) + b"x" * 100)
		for p in quiet, idle, half:
		    assert p.ended()
	END
	pid_end "$receiver"
	receiver=$others
	# who does not wait long hears more often that the other end is there than who does
	peer s <<-'END' || return
		import sys
		hasty, calm = Peer(sys.argv[1]), Peer(sys.argv[1])
		calm.greet(SENDER)
		hasty.greet(SENDER, patience=400)
		for _ in range(4):
		    assert hasty.message()[0] == ALIVE
		calm.s.settimeout(0.001)
		try:
		    calm.message()
		    calm.message()
		    assert False, "as often"
		except TimeoutError:
		    pass
	END
	# a peer that asks, and takes no answers, is not answered without bound
	peer s "$receiver" <<-'END' || return
		import sys
		def memory():
		    for line in open("/proc/%s/status" % sys.argv[2]):
		        if line.startswith("VmRSS"):
		            return int(line.split()[1])
		p = Peer(sys.argv[1])
		p.greet(SENDER, chunk=4096)
		p.open(1, b"asked", 64 << 20)
		p.expect(OPENED, 1)
		before = memory()
		want = struct.pack(">HHII", WANT, 0, 1, 20) + struct.pack(">IQQ", STRONG, 0, (64 << 20) // 4096 // 16)
		p.s.settimeout(1)
		try:
		    for _ in range(2000):                  # 512 KiB each
		        p.s.sendall(want * 10)
		except (socket.timeout, BrokenPipeError, ConnectionResetError):
		    pass
		assert memory() - before < 200000, (before, memory())
	END
	random_file fine 100000
	send s fine >sent && cmp fine out/fine
}
ktap_test "peers that are silent, stop half-way, or take nothing; others are served" silent

# The receiver gives the first of two streams no credit: the second one is whole and committed meanwhile.
sender()
{
	head -c 8M /dev/urandom >first
	head -c 1M /dev/urandom >second
	peer q first second <<-'END' || return
		import subprocess, sys
		server = socket.socket(socket.AF_UNIX)
		server.bind(sys.argv[1])
		server.listen()
		child = subprocess.Popen(["r3map", "send", "--to", "unix:" + sys.argv[1], "--idle-timeout", "30s",
		                          "--hash", "sha256", *sys.argv[2:]], stderr=subprocess.PIPE)
		p = Peer(server.accept()[0])
		p.greet(RECEIVER, chunk=0)
		streams = {}
		while len(streams) < 2:
		    kind, stream, payload = p.hear()
		    assert kind == OPEN
		    streams[payload[16:].decode()] = stream
		first, second = streams["first"], streams["second"]
		p.say(OPENED, first, struct.pack(">II", 1, 2 * 65536 + 100))
		p.say(OPENED, second, struct.pack(">II", 1, 1 << 30))
		got = {first: 0, second: 0}
		while True:
		    kind, stream, payload = p.hear()
		    if kind == COMMIT:
		        break
		    assert kind == DATA
		    got[stream] += len(payload) - 8
		assert stream == second and got[second] == 1 << 20 and got[first] <= 2 * 65536, got
		p.say(COMMITTED, second, payload[8:])
		# and then nonsense for a sender: it ends, and says why
		p.say(COMMITTED, first, b"\0" * 32)
		assert "COMMITTED" in p.ended()
		assert child.wait(60) == 1 and b"broke the protocol" in child.stderr.read()
	END
}
ktap_test "a stream without credit holds up no other; a sender refuses nonsense" sender

# ROUND and END that nobody has said anything for: nothing is there yet, and nobody says that it is.
early()
{
	peer e first <<-'END' || return
		import subprocess, sys
		server = socket.socket(socket.AF_UNIX)
		server.bind(sys.argv[1])
		server.listen()
		for kind, payload in (ROUND, struct.pack(">Q", 1)), (END, b""):
		    child = subprocess.Popen(["r3map", "send", "--to", "unix:" + sys.argv[1], sys.argv[2]],
		                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
		    p = Peer(server.accept()[0])
		    p.greet(RECEIVER, chunk=0)
		    assert p.hear()[0] == OPEN
		    p.say(kind, 0, payload)
		    out, err = child.communicate()
		    assert child.returncode == 1 and out == b"" and b"was not said" in err, (out, err)
	END
}
ktap_test "an answer to what a sender has not said" early

# A receiver that is slow to confirm, while what a hub has is cut and made longer again: it is cut there, too.
cut()
{
	r3map hub --idle-timeout 10m -l "unix:$PWD/up" -o "unix:$PWD/down" store >hub.out 2>hub.err &
	cleanup_fn pid_end $!
	wait_until 20 "the hub listens" grep -qs 'for receivers' hub.err
	random_file cut 200000
	send up cut >sent || return
	peer down <<-'END'
		import subprocess, sys
		p = Peer(sys.argv[1])
		p.greet(RECEIVER, chunk=0, hashes=(XXH3,))
		def until(wanted):
		    while True:
		        kind, stream, payload = p.hear()
		        if kind == wanted:
		            return payload
		        assert kind in (DATA, ZERO), kind
		until(OPEN)
		p.say(OPENED, 1, struct.pack(">II", 1, 1 << 20))
		root = until(COMMIT)[8:]
		for size in 70000, 200000:
		    os.truncate("cut", size)
		    subprocess.run(["r3map", "send", "--to", "unix:up", "cut"], check=True, stdout=subprocess.DEVNULL)
		p.say(COMMITTED, 1, root)
		assert until(RESIZE) == struct.pack(">Q", 70000)
		assert until(RESIZE) == struct.pack(">Q", 200000)
		assert until(COMMIT) == struct.pack(">Q", 200000) + root_of(open("cut", "rb").read())
	END
}
ktap_test "what is cut and grows again while a receiver of a hub is slow" cut
ktap_status
