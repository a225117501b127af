#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:2 6.12 7.2:1
#
# This test will lose leechers, seeders and the connection between them at several steps, and let writes not come to
# rest in time: the application goes on, on one side only, and nothing of it is lost.

# shellcheck disable=SC2016,SC2119 # eval expands; no options are meant
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program sequence python3

# a leecher that is killed while it pulls or follows is no loss to the seeder
rm -f "$state"
truncate -s $REGION "$TEST_DIR/a"
seed "file:$TEST_DIR/a"
writer direct "$SOURCE"
leech --pull-rate $((REGION / 5))
wait_until 60 "something was pulled" eval '[ "$(of "$TARGET" .local)" -gt 0 ]'
kill -9 "$(helper_of "$TARGET")"
writer_goes_on
of_await "$SOURCE" '.leechers[0].state' "is lost"
r3map umount --force "$TARGET"
leech
of_await "$TARGET" .migration.phase following
kill -9 "$(helper_of "$TARGET")"
writer_goes_on
r3map umount --force "$TARGET"
writer_ends "$SOURCE"

# a seeder that is killed: a new helper takes its device over, and the leecher has to begin anew
writer direct "$SOURCE"
leech
of_await "$TARGET" .migration.phase following
kill -9 "$(helper_of "$SOURCE")"
expect_fail r3map seed --recover "$SOURCE" --index 3 "file:$TEST_DIR/a"
r3map seed --daemon --log "$TEST_DIR/seed.log" --unix "$TEST_DIR/seed.sock" --recover "$SOURCE" \
	"file:$TEST_DIR/a" >/dev/null
writer_goes_on
of_await "$TARGET" .migration.phase failed
grep -q 'in use at the seeder as before' "$TEST_DIR/leech.log" || fail "the leecher does not say what is"
expect_fail r3map finalize "$TARGET"
r3map umount "$TARGET"
writer_ends "$SOURCE"
r3map umount "$SOURCE"

# a write that does not come to rest: nothing has happened, and later it works
truncate -s $REGION "$TEST_DIR/b"
seed "delay:0,write=8s:file:$TEST_DIR/b"
leech --deadline 300ms
of_await "$TARGET" .migration.phase following
head -c 4096 /dev/urandom >"$TEST_DIR/block"
dd if="$TEST_DIR/block" of="$SOURCE" bs=4k seek=7 oflag=direct conv=notrunc status=none &
late=$!
of_await "$SOURCE" .in_flight 1
! r3map finalize "$TARGET" 2>"$TEST_DIR/told" || fail "finalized, although a write was on its way"
grep -q 'did not come to rest in time' "$TEST_DIR/told" || { cat "$TEST_DIR/told"; fail "no reason is told"; }
of_is "$SOURCE" .hold none || fail "writes are held after a deadline that was missed"
wait $late || fail "the write that was late has failed"
r3map finalize "$TARGET"
dd if="$TARGET" bs=4k skip=7 count=1 status=none | cmp - "$TEST_DIR/block" || fail "the late write is lost"
of_await "$TARGET" .migration.phase complete
wait_until 60 "the seeder's device is gone" device_gone "$SOURCE"
r3map umount "$TARGET"

# the connection is cut, again and again, also while it is finalized
rm -f "$state"
truncate -s $REGION "$TEST_DIR/c"
seed "file:$TEST_DIR/c"
cat >"$TEST_DIR/proxy.py" <<'END'
import os, random, signal, socket, sys, threading, time

there, here, cuts = sys.argv[1], sys.argv[2], int(sys.argv[3])
pairs, lock = [], threading.Lock()

def pump(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    for s in (a, b):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

def cut():
    while not os.path.exists(here + ".cut"):	# a leecher that cannot begin is no subject here
        time.sleep(0.01)
    for _ in range(cuts):
        time.sleep(random.uniform(0.2, 1.0))
        with lock:
            for s in pairs:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            pairs.clear()
    open(here + ".over", "w").close()

random.seed(int(os.environ.get("TEST_SEED", "1")))
listener = socket.socket(socket.AF_UNIX)
listener.bind(here)
listener.listen(64)
threading.Thread(target=cut, daemon=True).start()
while True:
    a, _ = listener.accept()
    b = socket.socket(socket.AF_UNIX)
    b.connect(there)
    with lock:
        pairs += [a, b]
    threading.Thread(target=pump, args=(a, b), daemon=True).start()
    threading.Thread(target=pump, args=(b, a), daemon=True).start()
END
python3 "$TEST_DIR/proxy.py" "$TEST_DIR/seed.sock" "$TEST_DIR/proxy.sock" 8 2>"$TEST_DIR/proxy.log" &
proxy=$!
cleanup_fn eval "kill $proxy 2>/dev/null || :"
wait_until 60 "the proxy listens" test -S "$TEST_DIR/proxy.sock"
URI="nbd+unix:///?socket=$TEST_DIR/proxy.sock"
writer direct "$SOURCE" /dev/r3map1
leech
touch "$TEST_DIR/proxy.sock.cut"
of_await "$TARGET" .migration.phase following
# what is refused because of a cut has not happened, and is asked for once more
until r3map finalize "$TARGET"; do
	writer_goes_on
done
of_await "$TARGET" .migration.phase complete
writer_goes_on
writer_ends "$TARGET"
kill $proxy 2>/dev/null || :
wait_until 60 "the seeder's device is gone" device_gone "$SOURCE"
r3map umount "$TARGET"

# the leecher's helper is killed before all of the region is there: another one goes on
rm -f "$state"
truncate -s $REGION "$TEST_DIR/e"
URI="nbd+unix:///?socket=$TEST_DIR/seed.sock"
seed "file:$TEST_DIR/e"
leech
of_await "$TARGET" .migration.phase following
r3map set --pull pause "$TARGET"
writer direct "$SOURCE"
writer_goes_on
writer_ends "$SOURCE"
r3map finalize "$TARGET"
of_is "$TARGET" .migration.phase arriving || fail "it is not on its way"
expect_fail r3map finalize "$TARGET"
dd if=/dev/zero of="$TARGET" bs=512 count=1 seek=$((REGION / 512 - 960)) oflag=direct conv=notrunc status=none
expect_fail r3map umount "$TARGET"
kill -9 "$(helper_of "$TARGET")"
r3map leech --daemon --log "$TEST_DIR/leech.log" --recover "$TARGET" "$URI" >/dev/null
of_await "$TARGET" .migration.phase complete
writer direct "$TARGET"
writer_goes_on
writer_ends "$TARGET"
# which knows its session, and tells the seeder in it that all is here
wait_until 60 "the seeder's device is gone" device_gone "$SOURCE"
r3map umount "$TARGET"

# the leecher is lost when it was given the region, before it took it: it is taken back by hand
rm -f "$state"
truncate -s $REGION "$TEST_DIR/d"
URI="nbd+unix:///?socket=$TEST_DIR/seed.sock"
seed "file:$TEST_DIR/d" --hold-time 1h --throttle 4K
expect_fail r3map finalize "$SOURCE"
expect_fail r3map finalize --undo "$SOURCE"
cat >"$TEST_DIR/follow.py" <<'END'
# up to FINALIZE; then it is gone
import json, struct, subprocess, sys, time
from control import ask, link, take

SEED = sys.argv[1]

def rate():
    return json.loads(subprocess.check_output(["r3map", "show", "-j", sys.argv[2]]))["throttle"]

def number():
    with open(sys.argv[3], "rb") as state:
        return struct.unpack("=Q", state.read(8))[0]

assert link(SEED, version=1)[1] == 0x80000004	# NBD_REP_ERR_PLATFORM
assert link(SEED, name=b"other")[1] != 1
s, kind = link(SEED)
assert kind == 1
assert ask(s, 2, struct.pack(">II", 0, 0))[0] == 0x8002		# TAKE before TRACK
assert ask(s, 1, struct.pack(">QI", 12345, 0))[0] == 0x8002	# a session that there is not
kind, tracked = ask(s, 1, struct.pack(">QI", 0, 0))
assert kind == 0x8003
assert ask(s, 1, struct.pack(">QI", 0, 0))[0] == 0x8002		# twice
assert ask(s, 2, struct.pack(">II", 7, 0))[0] == 0x8002		# more than was told
assert ask(s, 4)[0] == 0x8002					# COMMIT of what was not given
assert ask(s, 6)[0] == 0x8002
assert ask(s, 5)[0] == 0x8001
for hostile in (b"x" * 12, struct.pack(">IHHI", 0x72336d67, 99, 0, 0),
                struct.pack(">IHHI", 0x72336d67, 2, 0, 1 << 30),
                struct.pack(">IHHI", 0x72336d67, 2, 0, 0)):
    t, kind = link(SEED)
    assert kind == 1
    t.sendall(hostile)
    assert t.recv(1) == b"", "what makes no sense is answered"
# writers are slowed down, while there is a connection; asked again because it was lost, no more than that
take(s, 0, 0)
last = number()
while number() < last + 100:
    time.sleep(0.01)
take(s, 1, 1)
slow = rate()
assert slow >= 4096, "it is not slowed down"
s.close()
while rate():
    time.sleep(0.01)
s, kind = link(SEED)
while ask(s, 1, tracked[:8] + struct.pack(">I", 0))[0] != 0x8003:
    time.sleep(0.01)
assert rate() == slow, "the rate is not back with the leecher"
take(s, 1, 1)
assert rate() == slow, "what is asked again is done again"
take(s, 2, 1)
assert rate() == max(slow // 2, 4096), "more is not done when it is asked for"
assert ask(s, 3, struct.pack(">II", 3, 5000))[0] == 0x8005
assert rate() == 0
END
writer direct "$SOURCE"
writer_goes_on
leecher_by_hand "$TEST_DIR/follow.py" "$TEST_DIR/seed.sock" "$SOURCE" "$state"
of_await "$SOURCE" .hold writes
of_await "$SOURCE" '.leechers[0].state' "is given the region"
r3map finalize --undo "$SOURCE"
writer_goes_on
of_is "$SOURCE" .hold none || fail "it is not taken back"
writer_ends "$SOURCE"
r3map umount "$SOURCE"
