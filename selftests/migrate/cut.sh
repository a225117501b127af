#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12:2
#
# This test will cut the connection behind a certain byte of FINALIZE, of its answer and of COMMIT: as long as the
# seeder has not the whole question nothing has happened, and from then on the region goes, once.

# shellcheck disable=SC2016,SC2119 # eval expands; no options are meant
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program sequence python3

cat >"$TEST_DIR/cutter.py" <<'END'
# cutter.py SEEDER LISTEN TYPE:BYTES...: a proxy that cuts a control link when so many bytes have passed, from the
# beginning of a message of TYPE on: one of these after the other. Says what it has cut
import socket, struct, sys, threading

MIGRATE, ACK = 0x72336d01, 1
OPTION, REPLY = b"IHAVEOPT", struct.pack(">Q", 0x3e889045565a9)
orders = sys.argv[3:]

class Pump(threading.Thread):
    def __init__(self, a, b, asks):
        super().__init__(daemon=True)
        self.a, self.b, self.asks, self.left = a, b, asks, None

    def read(self, n):
        data = b""
        while len(data) < n:
            more = self.a.recv(n - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def write(self, data):
        if self.left is None or len(data) < self.left:
            self.b.sendall(data)
            self.left = self.left and self.left - len(data)
            return
        self.b.sendall(data[:self.left])
        print("cut", orders.pop(0), flush=True)
        raise EOFError

    def messages(self):
        while True:
            head = self.read(12)
            kind, _, length = struct.unpack(">HHI", head[4:])
            wanted = orders[0].split(":") if orders else ["0", "0"]
            if int(wanted[0], 16) == kind:
                self.left = int(wanted[1])
            self.write(head + self.read(length))

    def negotiation(self):
        """Until a control link begins, or something else."""
        self.write(self.read(4 if self.asks else 18))
        while (magic := self.read(8)) == (OPTION if self.asks else REPLY):
            head = self.read(8 if self.asks else 12)
            self.write(magic + head + self.read(struct.unpack(">I", head[-4:])[0]))
            option, kind = struct.unpack(">II", head[:8])
            if option == MIGRATE and (self.asks or kind == ACK):
                self.messages()
        self.write(magic)

    def run(self):
        try:
            self.negotiation()
            while data := self.a.recv(65536):
                self.b.sendall(data)
        except (EOFError, OSError):
            pass
        for s in (self.a, self.b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[2])
listener.listen(64)
while True:
    a, _ = listener.accept()
    b = socket.socket(socket.AF_UNIX)
    try:
        b.connect(sys.argv[1])
    except OSError:	# the seeder is gone
        a.close()
        continue
    Pump(a, b, True).start()
    Pump(b, a, False).start()
END

# FINALIZE has 20 bytes, COMMIT 12. FINALIZED has 44, and the list that follows as many as it needs, 12 at least
early=(3:0 3:11 3:19)
late=(3:20 8005:0 8005:13 8005:43 8005:44 8005:55 4:0 4:11 4:12)
truncate -s $((REGION / 2)) "$TEST_DIR/region"
seed "file:$TEST_DIR/region" --hold-time 1h
python3 "$TEST_DIR/cutter.py" "$TEST_DIR/seed.sock" "$TEST_DIR/cutter.sock" "${early[@]}" "${late[@]}" \
	>"$TEST_DIR/cuts" 2>"$TEST_DIR/cutter.log" &
cutter=$!
cleanup_fn eval "kill $cutter 2>/dev/null || :; cat $TEST_DIR/cutter.log"
wait_until 60 "the proxy listens" test -S "$TEST_DIR/cutter.sock"
URI="nbd+unix:///?socket=$TEST_DIR/cutter.sock"
writer direct "$SOURCE" /dev/r3map1
leech
for cut in "${early[@]}"; do
	of_await "$TARGET" .migration.phase following
	! r3map finalize "$TARGET" 2>"$TEST_DIR/told" || fail "finalized, although the seeder cannot know: $cut"
	[ "$(tail -n 1 "$TEST_DIR/cuts")" = "cut $cut" ] || fail "it was not cut: $cut"
	grep -q 'nothing has happened' "$TEST_DIR/told" || { cat "$TEST_DIR/told"; fail "the reason is another one: $cut"; }
	of_is "$SOURCE" .hold none || fail "writes are held: $cut"
	of_is "$TARGET" .hold all || fail "somebody was let in: $cut"
	writer_goes_on
done
! grep 'has the region' "$TEST_DIR/seed.log" || fail "it was given away too early"
of_await "$TARGET" .migration.phase following
r3map finalize "$TARGET"
diff "$TEST_DIR/cuts" <(printf 'cut %s\n' "${early[@]}" "${late[@]}") || fail "not all was cut"
[ "$(grep -c 'has the region; writes wait here' "$TEST_DIR/seed.log")" = 1 ] || fail "it was not given away once"
of_is "$TARGET" .hold none || fail "nobody is let in"
of_await "$TARGET" .migration.phase complete
writer_goes_on
writer_ends "$TARGET"
wait_until 60 "the seeder's device is gone" device_gone "$SOURCE"
r3map umount "$TARGET"
