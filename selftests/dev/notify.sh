#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:1 6.12:2 7.2:2
#
# This test will be what systemd is to the helper: told that it is ready by the helper itself and when
# the device answers, not before, told when it stops, and told nothing of a mount that fails. Who reads
# what is printed in its place is told the same.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program python3

cat >"$TEST_DIR/notify.py" <<'END'
import json, os, socket, struct, subprocess, sys, time

NAME = "r3map6"
DEV = "/dev/" + NAME
work = sys.argv[1]
bound = 60 * int(os.environ.get("TEST_SLOW", "1"))


class Manager:
    """The socket of a service manager, and a helper that is told of it."""

    def __init__(self, name, *arguments):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind(name.replace("@", "\0"))
        self.socket.settimeout(bound)
        self.helper = subprocess.Popen(["r3map", "mount", *arguments],
                                       stdout=subprocess.DEVNULL,
                                       env=dict(os.environ, NOTIFY_SOCKET=name))

    def heard(self):
        """(what, by whom)"""
        text, extra, _, _ = self.socket.recvmsg(100, socket.CMSG_SPACE(12))
        return text, struct.unpack("iii", extra[0][2])[0]

    def ends(self, status):
        assert self.helper.wait(bound) == status, self.helper.returncode
        self.socket.setblocking(False)
        try:
            left = self.socket.recv(100)
        except BlockingIOError:
            self.socket.close()
            return
        raise AssertionError(f"{left} was told in the end")


def sysfs(name):
    with open(f"/sys/block/{NAME}/r3map/{name}", encoding="ascii") as file:
        return file.read().strip()


def answers():
    fd = os.open(DEV, os.O_RDONLY)
    assert len(os.read(fd, 4096)) == 4096
    os.close(fd)


# NotifyAccess=main, the default, hears only what the process says that was started
m = Manager(work + "/socket", "--index", "6", "mem:1M")
pid = m.helper.pid
assert m.heard() == (b"READY=1", pid)
assert sysfs("state") == "live"
answers()
m.helper.terminate()
assert m.heard() == (b"STOPPING=1", pid)
m.ends(0)

# Ready is what the mount was told to wait for: here a pull, of a backend that hangs. It has data: of
# what it only says to be zeroes nothing is read.
hang = work + "/hang"
open(hang, "w", encoding="ascii").close()
with open(work + "/data", "wb") as data:
    data.write(os.urandom(1 << 20))
m = Manager("@r3map-test-" + str(os.getpid()), "--managed", "--pull-first", "1M", "--park", "1h",
            "--no-part-scan", "--index", "6", f"fault:op=read,mode=hang,file={hang}:file:{work}/data")
end = time.monotonic() + bound
while subprocess.run(["r3map", "show", NAME], capture_output=True).returncode:
    assert time.monotonic() < end, "there is no device"
m.socket.setblocking(False)
try:
    raise AssertionError(f"{m.heard()} was told before it was so")
except BlockingIOError:
    pass
m.socket.settimeout(bound)
os.unlink(hang)
assert m.heard() == (b"READY=1", m.helper.pid)
facts = json.loads(subprocess.run(["r3map", "show", "-j", DEV], check=True,
                                  capture_output=True).stdout)
assert facts["local"] == facts["size"] and facts["state"] == "LIVE", facts
answers()

# the one that takes over is ready, too
m.helper.kill()
m.ends(-9)
m = Manager(work + "/socket2", "--recover", DEV, "--force", "mem:1M")
assert m.heard() == (b"READY=1", m.helper.pid)
assert sysfs("state") == "live"
assert sysfs("helper_pid") == str(m.helper.pid)
subprocess.run(["r3map", "umount", DEV], check=True)
m.ends(0)

# nobody is told of what did not work
m = Manager(work + "/socket3", "--index", "6", "file:" + work + "/nothing")
m.ends(1)

# --daemon: it is the one that stays who says so, as NotifyAccess=all needs
m = Manager(work + "/socket4", "--daemon", "--index", "6", "mem:1M")
text, pid = m.heard()
assert (text, str(pid)) == (b"READY=1", sysfs("helper_pid")), (text, pid)
assert pid != m.helper.pid
m.ends(0)
subprocess.run(["r3map", "umount", DEV], check=True)


def printed(command, *arguments):
    """What a daemon prints as JSON; the device is unmounted again."""
    out = subprocess.run(["r3map", command, "--daemon", "--json", "--index", "6", *arguments],
                         check=True, capture_output=True, text=True).stdout
    assert out.count("\n") == 1 and out.endswith("\n"), out
    told = json.loads(out)
    assert told.pop("device") == DEV, out
    assert str(told.pop("helper_pid")) == sysfs("helper_pid"), out
    answers()
    subprocess.run(["r3map", "umount", DEV], check=True)
    return told


assert printed("mount", "mem:1M") == {}
uris = printed("seed", "--unix", work + "/seed", "--listen", "127.0.0.1", "mem:1M")["uris"]
assert len(uris) == 2 and all(u.startswith("nbd") for u in uris), uris
END
cleanup_fn device_remove /dev/r3map6
python3 "$TEST_DIR/notify.py" "$TEST_DIR"
