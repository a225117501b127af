#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:2 6.12
# timeout: 600
#
# This test will follow a managed device with r3map send --detect=epoch: what the module says was written is hashed
# and sent, directly or through the page cache, and nothing else is; two senders do not take from each other what
# they are told; and when the helper dies and another one comes nothing is missed. A seeder's device is followed, too.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../proto/delta.inc.sh"
requires_program python3 cmp

image 8388608
backend="file:$IMAGE"

# hashed: chunks that were, in all rounds of the first sender; quiet: were there none in the last one, and no failure?
hashed() { jq -s '[.[].hashed] | add' sent.a; }
quiet() { [ "$(json "$1" '.hashed + .failed')" = 0 ]; }
# sent_to FOLDER: is what is there what is wanted?
sent_to() { cmp -s "$1/$NAME" "$WANT"; }

expect_fail send s --detect=epoch "$IMAGE"
grep -q "does r3map receive" "$TEST_DIR/stderr" || fail "it says: $(cat "$TEST_DIR/stderr")"
receive_start s a
expect_fail send s --detect=epoch "$IMAGE"
grep -q "no device of r3map.*--detect=auto" "$TEST_DIR/stderr" || fail "it says: $(cat "$TEST_DIR/stderr")"
send s --detect=auto "$IMAGE" >/dev/null
cmp a/image "$IMAGE"

device_mount --managed --no-part-scan "$backend"
send_start s -j -i 100ms --detect=epoch "$DEV"
first=$sender
wait_until 20 "it has begun" test -e sent.err
ln sent sent.a
ln sent.err err.a
wait_until 60 "all of it is there" sent_to a
wait_until 60 "nothing is hashed" quiet sent.a
wait_until 60 "everything is local" all_local
before=$(hashed)
put 100 8
put 5000 8
wait_until 60 "what was written is there" sent_to a
wait_until 60 "nothing more is hashed" quiet sent.a
[ $(($(hashed) - before)) = 2 ] || fail "$(($(hashed) - before)) chunks were hashed"

receive_start t b
send_start t -j -i 100ms --detect=epoch --hash sha256 "$DEV"
wait_until 60 "all of it is there, too" sent_to b
put 9000 300
wait_until 60 "one sender knows" sent_to a
wait_until 60 "the other one knows" sent_to b
wait_until 60 "the other one hashes nothing more" quiet sent

# through the page cache: nobody has written it back
before=$(hashed)
python3 - "$DEV" "$WANT" <<-'END'
	import mmap, os, sys
	for path in sys.argv[1:]:
	    f = os.open(path, os.O_RDWR)
	    m = mmap.mmap(f, 8388608)
	    m[3000000:3000010] = b"through it"
END
wait_until 60 "what was written through mmap is there" sent_to a
wait_until 60 "the other one has it" sent_to b
[ $(($(hashed) - before)) -le 4 ] || fail "$(($(hashed) - before)) chunks were hashed"
pid_end "$sender"

# what is written while no helper is there is written before the next one tells of it
kill -9 "$(device_fact helper_pid)"
wait_until 60 "the sender knows" grep -q "the helper of $DEV\|the device's helper" err.a
put 12000 8
device_recover "$backend"
wait_until 60 "what was written meanwhile is there" sent_to a
wait_until 60 "nothing is hashed again" quiet sent.a
before=$(hashed)
put 16000 8
wait_until 60 "what was written then is there" sent_to a
wait_until 60 "nothing is hashed at the end" quiet sent.a
[ $(($(hashed) - before)) = 1 ] || fail "$(($(hashed) - before)) chunks were hashed at the end"
pid_end "$first"
r3map umount "$DEV"

# a seeder's device is followed as well, but not where that would keep its writers slow
lines=$(r3map seed --daemon --unix "$TEST_DIR/seed.sock" --throttle 1M "$backend")
DEV=${lines%%$'\n'*} NAME=${DEV#/dev/}
cleanup_fn device_remove "$DEV"
expect_fail send s --detect=epoch "$DEV"
grep -q -- "--throttle.*--detect=auto" "$TEST_DIR/stderr" || fail "it says: $(cat "$TEST_DIR/stderr")"
r3map umount "$DEV"
lines=$(r3map seed --daemon --unix "$TEST_DIR/seed.sock" "$backend")
DEV=${lines%%$'\n'*} NAME=${DEV#/dev/}
cleanup_fn device_remove "$DEV"
send_start s -j -i 100ms --detect=epoch "$DEV"
cp "$IMAGE" "$WANT"
wait_until 60 "all of the seeder's is there" sent_to a
wait_until 60 "nothing of it is hashed" quiet sent
put 700 8
wait_until 60 "what was written to it is there" sent_to a
[ "$(jq -s '[.[].hashed] | add' sent)" -le $((128 + 1)) ] || fail "it was hashed again"
