#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12:2 7.2:2
#
# This test will have one leecher finalize, and give that up, while another one needs a slower writer: the rate, which
# ends with the finalize, is there again once that is undone, by the leecher or by hand.

# shellcheck disable=SC2119 # no options are meant
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program python3

cat >"$TEST_DIR/leechers.py" <<'END'
import json, struct, subprocess, sys, time
from control import ask, hear, hear_list, link, say, take

TRACK, FINALIZE, ABORT = 1, 3, 5
LEAST = 256 * 1024


class Leecher:
    def __init__(self):
        self.link, kind = link(sys.argv[1])
        assert kind == 1
        assert ask(self.link, TRACK, struct.pack(">QI", 0, 0))[0] == 0x8003
        self.received = 0

    def take(self, slow):
        take(self.link, self.received, slow)
        self.received += 1

    def finalize(self):
        say(self.link, FINALIZE, struct.pack(">II", self.received, 30000))

    def finalized(self):
        kind, payload = hear(self.link)
        assert kind == 0x8005, payload
        hear_list(self.link)
        self.received += 1

    def abort(self):
        assert ask(self.link, ABORT)[0] == 0x8001


def throttle():
    return json.loads(subprocess.check_output(["r3map", "show", "-j", sys.argv[2]]))["throttle"]


def throttle_is(rate, when):
    assert throttle() == rate, "the rate is %d %s" % (throttle(), when)


def throttle_comes(rate, when):
    """What was frozen may have to be thawed first; leechers go on asking meanwhile."""
    for _ in range(600):
        if throttle() == rate:
            return
        slow.take(0)
        time.sleep(0.1)
    throttle_is(rate, when)


hasty, slow = Leecher(), Leecher()
throttle_is(0, "without need")
slow.take(1)
throttle_is(LEAST, "of a leecher that cannot follow")

hasty.finalize()
open(sys.argv[3]).read()    # it is stopping the application
slow.take(1)
throttle_is(0, "while another one finalizes")
open(sys.argv[4], "w").close()
hasty.finalized()
slow.take(1)
throttle_is(0, "when another one has finalized")
hasty.abort()
throttle_comes(LEAST, "when that is undone")

hasty.finalize()
open(sys.argv[3]).read()
open(sys.argv[4], "w").close()
hasty.finalized()
throttle_is(0, "when it has finalized again")
subprocess.check_call(["r3map", "finalize", "--undo", sys.argv[2]])
throttle_comes(LEAST, "when that is undone by hand")
END
truncate -s 8M "$TEST_DIR/image"
mkfifo "$TEST_DIR/stopping" "$TEST_DIR/go"
seed "file:$TEST_DIR/image" --throttle 256K --suspend ": >$TEST_DIR/stopping; : <$TEST_DIR/go"
leecher_by_hand "$TEST_DIR/leechers.py" "$TEST_DIR/seed.sock" "$SOURCE" "$TEST_DIR/stopping" "$TEST_DIR/go" ||
	fail "see above"
