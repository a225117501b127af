#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:1 6.12 7.2:1
#
# This test will move a mounted file system with a database in use: what was committed before the stop is in it
# on the other side, which mounts it without a repair; where it was it is frozen for the stop, and refused then.
# A process group is stopped meanwhile, and goes on; both ends say what stood still and for how long.

# shellcheck disable=SC2016,SC2119 # eval expands; no options are meant
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program mkfs.ext4 e2fsck sqlite3
requires_filesystem ext4

here=$TEST_DIR/here there=$TEST_DIR/there
mkdir "$here" "$there"
truncate -s 48M "$TEST_DIR/image"
# the application: rows that are committed one by one, and noted when they are
committed=$TEST_DIR/committed
echo 0 >"$committed"
cat >"$TEST_DIR/app" <<'END'
#!/bin/bash
n=0
while :; do
	n=$((n + 1))
	sqlite3 "$1/base" "INSERT INTO t VALUES ($n, hex(randomblob(400)))" || exit
	echo $n >"$2.new"
	mv "$2.new" "$2"
done
END
chmod +x "$TEST_DIR/app"

# what is to stand still while the region is on its way; it tells of each SIGCONT
setsid bash -c 'trap "echo >>$0" CONT; echo $$ >$0.pid; while :; do sleep 0.1; done' "$TEST_DIR/went-on" &
wait_until 20 "there is a process group" test -s "$TEST_DIR/went-on.pid"
group=$(cat "$TEST_DIR/went-on.pid")
cleanup_fn eval "kill -KILL -$group 2>/dev/null || :"

seed "file:$TEST_DIR/image" --resume "touch $TEST_DIR/resumed" --stop-group "$group"
mkfs.ext4 -q "$SOURCE"
mount "$SOURCE" "$here"
cleanup_fn eval "! mountpoint -q $here || umount -l $here"
sqlite3 "$here/base" 'CREATE TABLE t (id INTEGER PRIMARY KEY, filler TEXT)'
"$TEST_DIR/app" "$here" "$committed" 2>"$TEST_DIR/app.log" &
app=$!
cleanup_fn eval "kill $app 2>/dev/null || :"
wait_until 60 "something was committed" eval '[ "$(cat "$committed")" -gt 3 ]'
leech --stop-group "$group"
of_await "$TARGET" .migration.phase following
[ ! -e "$TEST_DIR/went-on" ] || fail "it was stopped before the finalize"
at=$(cat "$committed")
wait_until 60 "more was committed" eval '[ "$(cat "$committed")" -gt $(('"$at"' + 3)) ]'
r3map finalize "$TARGET" >"$TEST_DIR/said"
wait_until 20 "it goes on" test -s "$TEST_DIR/went-on"
grep -q 'the application stood still for' "$TEST_DIR/said" || fail "it says: $(cat "$TEST_DIR/said")"
grep -q "process group $group stopped in" "$TEST_DIR/seed.log" || fail "the seeder does not say what it stopped"
r3map show -j "$TARGET" | jq -e '.migration.downtime | .suspend_ns > 0 and .resume_ns > 0 and
	.stopped_ns == .suspend_ns + .freeze_ns + .ns - .first_io_ns + .resume_ns and
	.ns == .drain_ns + .list_ns + .network_ns + .receive_ns + .apply_ns + .first_io_ns' >/dev/null ||
	fail "these do not add up: $(r3map show -j "$TARGET" | jq -c .migration.downtime)"
r3map show "$TARGET" | grep -q '^  application  stood still for' || fail "show: $(r3map show "$TARGET")"
last=$(cat "$committed")
[ ! -e "$TEST_DIR/resumed" ] || fail "the application was resumed where it is not wanted any more"
# what it writes from now on goes nowhere, and is not acknowledged
wait $app || :
[ "$(cat "$committed")" = "$last" ] || fail "something was committed behind the stop"
of_await "$TARGET" .migration.phase complete
mount "$TARGET" "$there"
cleanup_fn eval "! mountpoint -q $there || umount $there"
[ "$(sqlite3 "$there/base" 'PRAGMA integrity_check')" = ok ] || fail "the database is broken"
rows=$(sqlite3 "$there/base" 'SELECT count(*), max(id) FROM t')
[ "$rows" = "$last|$last" ] || [ "$rows" = "$((last + 1))|$((last + 1))" ] ||
	fail "$rows rows are there, $last were committed"
"$TEST_DIR/app" "$there" "$committed.there" 2>/dev/null &
app=$!
wait $app || :		# it begins with rows that there are
sqlite3 "$there/base" "INSERT INTO t VALUES (100000, '')"
umount "$there"
e2fsck -fn "$TARGET" >"$TEST_DIR/fsck" || { cat "$TEST_DIR/fsck"; fail "e2fsck"; }
umount "$here" || umount -l "$here"
wait_until 60 "the seeder's device is gone" device_gone "$SOURCE"
r3map umount "$TARGET"
