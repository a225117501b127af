#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will start r3map serve in all ways there are, and end it so: exports and their
# names, addresses, sockets of systemd, --run, --daemon, signals while requests are under way;
# and be refused, with one sentence, where that makes no sense.
# shellcheck disable=SC2016	# what --run is given is meant literally

. "$(dirname "$0")/../lib/test.sh"
. "$(dirname "$0")/rc.sh"
requires_program nbdinfo python3
ktap_plan 16

uri()
{
	echo "nbd+unix:///$1?socket=$SOCKET"
}

names()
{
	serve_start -e one=mem:1M two=mem:2M mem:3M -D one='the first' -D 'no name' \
		'with%20space & more=mem:4M'
	[ "$(wc -l <"$SERVE_OUT")" = 4 ] && grep -qxF "$(uri one)" "$SERVE_OUT" &&
		grep -qxF "$(uri 'with%2520space%20%26%20more')" "$SERVE_OUT" || return
	[ "$(nbdinfo --size "$(uri one)")" = 1048576 ] &&
		[ "$(nbdinfo --size "$(uri two)")" = 2097152 ] &&
		[ "$(nbdinfo --size "$(uri '')")" = 3145728 ] || return
	while read -r u; do nbdinfo --size "$u" >/dev/null || return; done <"$SERVE_OUT"
	! nbdinfo "$(uri three)" >/dev/null 2>&1 || return
	refused "$(uri three)" "no export 'three'"
	serve_end
	serve_start one=mem:1M two=mem:2M --default two
	[ "$(nbdinfo --size "$(uri '')")" = 2097152 ] || return
	serve_end
	serve_start one=mem:1M two=mem:2M
	! nbdinfo "$(uri '')" >/dev/null 2>&1 || return
	serve_end
	serve_start one=mem:1M
	[ "$(nbdinfo --size "$(uri '')")" = 1048576 ] && [ "$(nbdinfo --size "$(uri one)")" = 1048576 ] ||
		return
	serve_end
}
ktap_test "names and defaults" names

read_only()
{
	image 1M
	serve_start "old=file:$IMAGE?ro" new=mem:1M
	nbdinfo --is read-only "$(uri old)" && ! nbdinfo --is read-only "$(uri new)" || return
	result_is EPERM write "$(uri old)"
	result_is ok write "$(uri new)"
	serve_end
	serve_start --read-only "old=file:$IMAGE" new=mem:1M
	nbdinfo --is read-only "$(uri old)" && nbdinfo --is read-only "$(uri new)" || return
	python - "$SOCKET" <<-'END' || return
		import sys
		from nbdraw import *
		for name in "old", "new":
		    c = client(sys.argv[1], name)
		    assert c.write(0, bytes(512)).error == EPERM
		    assert c.call(TRIM, 0, 512).error == EPERM
		    assert c.call(WRITE_ZEROES, 0, 512).error == EPERM
		    assert not c.read(0, 512).error and not c.call(FLUSH).error
		    c.disconnect()
	END
	serve_end
}
ktap_test "read-only" read_only

bad_usage()
{
	local s=$TEST_DIR/bad.sock long
	long=$(printf 'n%.0s' {1..4097})
	serve_refuses 2 'nothing to serve'
	serve_refuses 2 'nothing to serve' --unix "$s"
	serve_refuses 2 '--run and --daemon' --run true --daemon mem:1M
	serve_refuses 2 '--exit-with-parent' --exit-with-parent --daemon mem:1M
	serve_refuses 2 '--log is for --daemon' --log "$TEST_DIR/l" mem:1M
	serve_refuses 2 '--tls' --tls off --tls-psk /dev/null mem:1M
	serve_refuses 2 '--tls-allow needs' --tls-allow CN=x mem:1M
	serve_refuses 2 '--tls-allow and --tls-psk' --tls require --tls-psk /dev/null \
		--tls-verify-peer --tls-allow CN=x mem:1M
	serve_refuses 2 '--max-memory' --max-memory 4K --max-payload 8K mem:1M
	serve_refuses 2 'max-payload' --max-payload 1 mem:1M
	serve_refuses 2 'threads' --threads 0 mem:1M
	serve_refuses 2 'nonsense' --nonsense mem:1M
	serve_refuses 2 'sometimes' --tls sometimes mem:1M
	serve_refuses 1 "export 'a' is given twice" -U "$s" a=mem:1M a=mem:2M
	serve_refuses 1 'without a name' -U "$s" mem:1M mem:2M
	serve_refuses 1 "no export 'b'" -U "$s" --default b a=mem:1M
	serve_refuses 1 'fits no export' -U "$s" -D b=text a=mem:1M
	serve_refuses 1 'at most 4096' -U "$s" "$long=mem:1M"
	serve_refuses 1 'at most 4096' -U "$s" -D "a=$long" a=mem:1M
	serve_refuses 1 'is not a backend' -U "$s" a=nothing
	serve_refuses 1 "$TEST_DIR/nowhere" -U "$s" "file:$TEST_DIR/nowhere"
	serve_refuses 1 'not a port' -l localhost:x mem:1M
	serve_refuses 1 'not a port' -l localhost:65536 mem:1M
	serve_refuses 1 '[ADDRESS]' -l ::1:10809 mem:1M
	serve_refuses 1 '[ADDRESS]' -l '[::1' mem:1M
	serve_refuses 1 'not known' -l "${long:0:64}" mem:1M	# no label; nobody is asked
	serve_refuses 1 'cannot listen' -l 192.0.2.1:0 mem:1M
	serve_refuses 1 'cannot listen' -U "$TEST_DIR/nowhere/s" mem:1M
	serve_refuses 1 '107 bytes' -U "/tmp/$long" mem:1M
	serve_refuses 1 'cannot open the log' --daemon --log "$TEST_DIR/nowhere/l" -U "$s" mem:1M
	serve_refuses 1 'is not a backend' --daemon -U "$s" a=nothing
	[ ! -e "$s" ]
}
ktap_test "refusals" bad_usage

addresses()
{
	local one
	SOCKET=
	serve_start_at -l 127.0.0.1:0 disk=mem:1M
	[[ $NBD =~ ^nbd://127\.0\.0\.1:[0-9]+/disk$ ]] && nbdinfo --size "$NBD" >/dev/null || return
	one=${NBD#nbd://} one=${one%/disk}
	serve_refuses 1 'another server' -l "$one" mem:1M
	serve_end
	if [ -e /proc/net/if_inet6 ] && grep -q ' lo$' /proc/net/if_inet6; then
		serve_start_at -l '[::1]:0' disk=mem:1M
		[[ $NBD =~ ^nbd://\[::1\]:[0-9]+/disk$ ]] && nbdinfo --size "$NBD" >/dev/null || return
		serve_end
	fi
	# several, and all of one name
	serve_start_at -l localhost:0 -l :0 -U "$TEST_DIR/also.sock" a=mem:1M b=mem:1M
	while read -r u; do
		nbdinfo --size "$u" >/dev/null || return
	done <"$SERVE_OUT"
	[ "$(grep -c ^nbd:// "$SERVE_OUT")" -ge 4 ] && [ "$(grep -c ^nbd+unix:// "$SERVE_OUT")" = 2 ] ||
		return
	serve_end
	[ ! -e "$TEST_DIR/also.sock" ]
}
ktap_test "addresses" addresses

sockets()
{
	serve_start mem:1M
	serve_refuses 1 'another server' -U "$SOCKET" mem:2M
	[ "$(nbdinfo --size "$NBD")" = 1048576 ] || return
	kill -KILL "$SERVER"
	wait "$SERVER" 2>/dev/null || :
	[ -S "$SOCKET" ] || return
	serve_start_at -U "$SOCKET" mem:2M		# what a killed server has left is replaced
	[ "$(nbdinfo --size "$NBD")" = 2097152 ] || return
	serve_end
	# what is no socket is not
	echo precious >"$TEST_DIR/file"
	serve_refuses 1 'cannot listen' -U "$TEST_DIR/file" mem:1M
	ln -s "$TEST_DIR/file" "$TEST_DIR/link"
	serve_refuses 1 'cannot listen' -U "$TEST_DIR/link" mem:1M
	serve_refuses 1 'cannot listen' -U "$TEST_DIR" mem:1M
	[ "$(cat "$TEST_DIR/file")" = precious ] || return
	# a relative name, from a folder that is left
	(cd "$TEST_DIR" && r3map serve --daemon -U relative.sock mem:1M >uri) || return
	nbdinfo "$(cat "$TEST_DIR/uri")" >/dev/null && grep -qF "$TEST_DIR/relative.sock" "$TEST_DIR/uri" ||
		return
	kill "$(daemon_pid "$TEST_DIR/relative.sock")" || return
	wait_until 20 "the socket is gone" test ! -e "$TEST_DIR/relative.sock"
}

# daemon_pid SOCKET: the process at the other end of it
daemon_pid()
{
	python - "$1" <<-'END'
		import socket, struct, sys
		s = socket.socket(socket.AF_UNIX)
		s.connect(sys.argv[1])
		print(struct.unpack("iII", s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])
	END
}
ktap_test "unix sockets" sockets

# passed TYPE... -- ARG...: r3map serve with sockets as systemd passes them
passed()
{
	cat >"$TEST_DIR/pass.py" <<-'END'
		import os, socket, sys
		kinds, command = sys.argv[1:sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1:]
		kept = []
		for kind in kinds:
		    if kind.startswith("/"):
		        s = socket.socket(socket.AF_UNIX)
		        s.bind(kind)
		        s.listen()
		    elif kind == "tcp":
		        s = socket.create_server(("127.0.0.1", 0))
		    else:
		        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		    kept.append(s)
		high = [os.dup2(s.fileno(), 100 + n, True) for n, s in enumerate(kept)]
		for s in kept:
		    s.close()
		for n, fd in enumerate(high):
		    os.dup2(fd, 3 + n, True)
		os.environ.update(LISTEN_FDS=str(len(kinds)), LISTEN_FDNAMES="a:b")
		os.environ.setdefault("LISTEN_PID", str(os.getpid()))
		os.closerange(50, 200)
		os.execvp(command[0], command)
	END
	python "$TEST_DIR/pass.py" "$@"
}

activated()
{
	local status=0 server
	passed "$TEST_DIR/act.sock" tcp -- r3map serve mem:1M >"$TEST_DIR/uris" 2>"$TEST_DIR/err" &
	server=$!
	cleanup_fn serve_kill $server
	wait_until 20 "the activated server is ready" test -s "$TEST_DIR/uris"
	[ "$(wc -l <"$TEST_DIR/uris")" = 2 ] || return
	while read -r u; do nbdinfo --size "$u" >/dev/null || return; done <"$TEST_DIR/uris"
	kill -TERM "$(daemon_pid "$TEST_DIR/act.sock")"
	wait $server || return
	[ -S "$TEST_DIR/act.sock" ] || return		# systemd's, not ours to remove
	# the command does not take them for its own
	passed "$TEST_DIR/act2.sock" -- r3map serve --run \
		'test -z "$LISTEN_FDS$LISTEN_PID" && nbdinfo "$R3MAP_URI" >/dev/null' mem:1M || return
	# another process's are left alone
	LISTEN_PID=1 passed "$TEST_DIR/act3.sock" -- r3map serve --run 'echo "$R3MAP_URI"' \
		mem:1M >"$TEST_DIR/uris" || return
	! grep -q act3 "$TEST_DIR/uris" || return
	passed udp -- r3map serve mem:1M >/dev/null 2>"$TEST_DIR/err" || status=$?
	[ $status = 1 ] && grep -q 'not a listening stream socket' "$TEST_DIR/err"
}
ktap_test "sockets of systemd" activated

run()
{
	local status=0
	r3map serve --run 'nbdinfo --size "$R3MAP_URI"; [ "$uri" = "$R3MAP_URI" ] &&
		[ -S "$unixsocket" ] && echo "$unixsocket" >&2' name=mem:5M \
		>"$TEST_DIR/out" 2>"$TEST_DIR/err" || return
	[ "$(cat "$TEST_DIR/out")" = 5242880 ] || return
	[ ! -e "$(cat "$TEST_DIR/err")" ] && [ ! -e "$(dirname "$(cat "$TEST_DIR/err")")" ] || return
	r3map serve --run 'exit 77' mem:1M || status=$?
	[ $status = 77 ] || return
	status=0
	r3map serve --run 'kill -USR1 $$' mem:1M || status=$?
	[ $status = 138 ] || return
	# a signal is the command's
	r3map serve --run "trap 'kill \$sleep; exit 5' TERM; sleep 100 & sleep=\$!
		echo >'$TEST_DIR/running'; wait" mem:1M &
	SERVER=$!
	wait_until 20 "the command runs" test -e "$TEST_DIR/running"
	kill -TERM $SERVER
	status=0
	wait $SERVER || status=$?
	[ $status = 5 ]
}
ktap_test "--run" run

parent()
{
	bash -c 'r3map serve --exit-with-parent -U "$1" mem:1M >"$1.uri" & echo $! >"$1.pid"
		until [ -s "$1.uri" ]; do sleep 0.05; done' x "$TEST_DIR/child.sock" || return
	wait_until 20 "it ends with its parent" test ! -e "$TEST_DIR/child.sock"
}
ktap_test "--exit-with-parent" parent

daemon()
{
	local pid
	r3map serve --daemon --log "$TEST_DIR/daemon.log" -U "$TEST_DIR/d.sock" -l 127.0.0.1:0 \
		{a,b,c,d,e,f,g,h}-with-a-name-of-some-length=mem:1M >"$TEST_DIR/uris" || return
	[ "$(wc -l <"$TEST_DIR/uris")" = 16 ] || return		# all of them, however many
	while read -r u; do nbdinfo --size "$u" >/dev/null || return; done <"$TEST_DIR/uris"
	pid=$(daemon_pid "$TEST_DIR/d.sock")
	python - "$TEST_DIR/d.sock" <<-'END' || return
		import sys
		from nbdraw import *
		c = Client(sys.argv[1])
		c.greet(0x80)
		assert c.ended()
	END
	grep -q 'unknown client flags' "$TEST_DIR/daemon.log" || return
	[ "$(readlink "/proc/$pid/cwd")" = / ] || return
	kill -TERM "$pid" && wait_until 20 "the daemon ends" process_ended "$pid"
	[ ! -e "$TEST_DIR/d.sock" ]
}
ktap_test "--daemon and --log" daemon

notified()
{
	cat >"$TEST_DIR/notify.py" <<-'END'
		import os, socket, subprocess, sys
		s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		s.bind(sys.argv[1])
		s.settimeout(60)
		p = subprocess.Popen(["r3map", "serve", "-U", sys.argv[2], "mem:1M"],
		                     stdout=subprocess.DEVNULL, env=dict(os.environ, NOTIFY_SOCKET=sys.argv[1]))
		assert s.recv(100) == b"READY=1"
		c = socket.socket(socket.AF_UNIX)
		c.connect(sys.argv[2])		# ready means ready
		assert c.recv(8) == b"NBDMAGIC"
		p.terminate()
		assert s.recv(100) == b"STOPPING=1"
		assert p.wait(60) == 0
	END
	python "$TEST_DIR/notify.py" "$TEST_DIR/notify" "$TEST_DIR/n.sock"
}
ktap_test "systemd is told" notified

# Requests that are under way when the signal comes are answered, what is written is kept.
in_flight()
{
	image 1M
	serve_start "delay:2s:file:$IMAGE"
	python - "$SOCKET" "$SERVER" <<-'END' || return
		import os, signal, sys
		from nbdraw import *
		c = client(sys.argv[1], "", STRUCTURED)
		idle = client(sys.argv[1])
		cookies = [c.request(WRITE, n * 4096, 4096, 0, bytes([n + 1]) * 4096) for n in range(10)]
		c.wait_taken()
		os.kill(int(sys.argv[2]), signal.SIGTERM)
		for cookie in cookies:
		    assert not c.answer(cookie).error
		assert c.ended() and idle.ended()
	END
	wait "$SERVER" || return
	python -c 'import sys
want = b"".join(bytes([n + 1]) * 4096 for n in range(10))
assert open(sys.argv[1], "rb").read(40960) == want' "$IMAGE" || return
	[ ! -s "$SERVE_LOG" ]
}
ktap_test "SIGTERM while requests are under way" in_flight

# A flush that nobody asked for comes at the end: one that fails is told.
flushed()
{
	local status=0
	image 1M
	serve_start "fault:op=flush:file:$IMAGE"
	result_is ok write "$NBD"
	kill -TERM "$SERVER"
	wait "$SERVER" || status=$?
	[ $status = 1 ] && grep -q 'could be made durable' "$SERVE_LOG"
}
ktap_test "what was written is flushed at the end" flushed

# given_up TEXT: the server ends although a backend hangs, and has said TEXT of it, nothing else. The
# bound is below the 60 s that it waits by default.
given_up()
{
	local status=0
	kill -TERM "$SERVER"
	wait_until 45 "the server ends" process_ended "$SERVER"
	wait "$SERVER" || status=$?
	if [ $status != 1 ] || [ -e "$SOCKET" ] || [ "$(wc -l <"$SERVE_LOG")" != 2 ] ||
		! grep -qF -- "$1" "$SERVE_LOG" ||
		! grep -q 'not everything that clients wrote could be made durable' "$SERVE_LOG"; then
		note "status $status: $(cat "$SERVE_LOG")"
		return 1
	fi
}

# An export that hangs is given up; the others are not.
hanging_flush()
{
	image 1M
	cp "$IMAGE" "$IMAGE.2"
	serve_start --shutdown-timeout 2s "good=file:$IMAGE" "hangs=delay:0s,flush=60min:file:$IMAGE.2"
	result_is ok write "$(uri good)"
	result_is ok write "$(uri hangs)"
	given_up "export 'hangs' could not be flushed within 2s (--shutdown-timeout)"
}
ktap_test "--shutdown-timeout: a flush that hangs" hanging_flush

hanging_request()
{
	local client
	serve_start --shutdown-timeout 1s delay:0s,read=60min:mem:1M
	python - "$SOCKET" >"$TEST_DIR/waits" <<-'END' &
		import sys
		from nbdraw import *
		c = client(sys.argv[1])
		c.request(READ, 0, 512)
		cookie = c.request(FLUSH)
		assert not c.answer(cookie).error	# so the other one was taken, too
		print("waits", flush=True)
		assert c.ended()
	END
	client=$!
	wait_until 20 "the request is under way" test -s "$TEST_DIR/waits"
	given_up 'it did not end in time' && wait $client
}
ktap_test "--shutdown-timeout: a request that hangs" hanging_request

# The backend's own server does not answer: its process is stopped.
hanging_server()
{
	nbdkit_start memory 1M
	serve_start --shutdown-timeout 2s "$NBD"
	result_is ok write "$NBD"
	cleanup_fn kill -CONT "$(cat "$PIDFILE")"
	process_stop "$(cat "$PIDFILE")"
	given_up 'could not be flushed within 2s' || return
	kill -CONT "$(cat "$PIDFILE")"
}
ktap_test "--shutdown-timeout: a server behind that hangs" hanging_server

# The second signal does not wait.
twice()
{
	local status=0
	serve_start delay:30s:mem:1M
	python - "$SOCKET" "$SERVER" <<-'END' || return
		import os, signal, sys, time
		from nbdraw import *
		c = client(sys.argv[1])
		c.request(FLUSH)
		c.request(READ, 0, 512)
		c.wait_taken()
		status = "/proc/%s/status" % sys.argv[2]
		pending = lambda: any(int(line.split()[1], 16) & 1 << signal.SIGTERM - 1
		                      for line in open(status) if line[:6] in ("SigPnd", "ShdPnd"))
		began = time.monotonic()
		os.kill(int(sys.argv[2]), signal.SIGTERM)
		while pending():		# or the second one would be the same
		    time.sleep(0.01)
		os.kill(int(sys.argv[2]), signal.SIGTERM)
		assert c.ended()
		assert time.monotonic() - began < 9	# it waits for 10 s otherwise
	END
	wait "$SERVER" || status=$?
	[ $status != 0 ]
}
ktap_test "a second signal" twice
