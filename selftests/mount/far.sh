#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12:2
#
# This test will use a cold mount whose server is 30 ms away, with either driver: a file system, a
# database in it, and a file of the kind that has its index at the end. Each gives the right answer
# long before all has come; what is written then is at the server, whole, after a sync.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program mkfs.ext4 e2fsck debugfs sqlite3 tc
requires_filesystem ext4
requires modprobe veth
requires modprobe sch_netem

mnt=$TEST_DIR/mnt tree=$TEST_DIR/tree
mkdir "$mnt" "$tree"

# the file: frames of 64 KiB, then an index that has the place of each, and its checksum; the last
# line of all says where the index begins
frames=160
head -c $((frames * 65536)) /dev/urandom >"$tree/film"
split -b 64k -a 3 "$tree/film" "$TEST_DIR/frame."
(cd "$TEST_DIR" && cksum frame.* | awk '{ print (NR - 1) * 65536, $1, $2 }') >"$TEST_DIR/index"
rm "$TEST_DIR"/frame.*
cat "$TEST_DIR/index" >>"$tree/film"
printf '%-63d\n' $((frames * 65536)) >>"$tree/film"
film=$(sha256sum <"$tree/film")
sqlite3 "$tree/base" "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, filler BLOB);
	WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000)
	INSERT INTO t SELECT i, 'name ' || i, randomblob(600) FROM n;
	CREATE INDEX names ON t (name);"
size=$((24 << 20))
truncate -s $size "$TEST_DIR/image"
mke2fs -q -t ext4 -d "$tree" "$TEST_DIR/image"
rm -r "$tree"

# the server is in a network of its own, 15 ms away in each direction
cleanup_fn eval "ip netns pids far | xargs -r kill; ip netns del far"
ip netns add far
ip link add near type veth peer name far0 netns far
ip addr add 10.75.0.1/24 dev near
ip link set near up
ip netns exec far sh -ec 'ip addr add 10.75.0.2/24 dev far0; ip link set far0 up; ip link set lo up
	tc qdisc add dev far0 root netem delay 15ms limit 100000'
tc qdisc add dev near root netem delay 15ms limit 100000

now() { date +%s%3N; }

# frame N: what is in the film there, found as a player does: the end, the index, the place
frame()
{
	local from offset sum bytes
	from=$(tail -c 64 "$mnt/film")
	read -r offset sum bytes < <(tail -c +$((from + 1)) "$mnt/film" | sed -n "$(($1 + 1))p")
	[ "$(dd if="$mnt/film" bs=64k skip="$offset" iflag=skip_bytes count=1 status=none | cksum)" = \
		"$sum $bytes" ] || fail "frame $1 of the film"
}

query()
{
	[ "$(sqlite3 -readonly "$mnt/base" "SELECT id FROM t WHERE name = 'name $1'")" = "$1" ] ||
		fail "the database does not find name $1"
}

# asked: both were asked, of a mount that may still be cold; sets FIRST, when the first answer came
asked()
{
	mount -o ro,noload "$DEV" "$mnt"
	cleanup_fn eval "! mountpoint -q $mnt || umount $mnt"
	query 4711
	FIRST=$(now)
	query 17
	frame 99
	frame 3
	umount "$mnt"
}

# far IMAGE: serves it there
far()
{
	: >"$TEST_DIR/uri"
	ip netns exec far r3map serve --listen 10.75.0.2:10809 "file:$1" \
		>"$TEST_DIR/uri" 2>"$TEST_DIR/server.log" &
	server=$!
	wait_until 20 "the server listens" test -s "$TEST_DIR/uri"
}

# cold: everything, by the driver VIA
cold()
{
	local image=$TEST_DIR/image.$VIA uri begin all sum
	cp --sparse=always "$TEST_DIR/image" "$image"
	far "$image"
	uri=$(cat "$TEST_DIR/uri")

	# only what is asked for comes, over one connection: another one would be round trips of its own
	device_mount --managed --no-part-scan --pull-workers 0 "$uri"
	[ "$VIA" != r3map ] || [ "$(device_fact queues)" = 1 ] || fail "it has $(device_fact queues) queues"
	asked
	note "$VIA: $(($(device_fact local) >> 10)) KiB of $((size >> 10)) were needed," \
		"$(device_counter fetches) fetches"
	[ "$(device_fact local)" -lt $((size / 6)) ] ||
		fail "$VIA: $(device_fact local) bytes came for a few answers"
	r3map umount "$DEV"

	# all of it comes, and what is asked for comes first
	begin=$(now)
	device_mount --managed --no-part-scan "$uri"
	asked
	all=$(now)
	wait_until 60 "everything is local" all_local
	note "$VIA: the first answer after $((FIRST - begin)) ms, all after $((all - begin)) ms," \
		"everything is here after $(($(now) - begin)) ms"

	mount "$DEV" "$mnt"
	sqlite3 "$mnt/base" "BEGIN; UPDATE t SET name = 'new ' || id WHERE id % 10 = 0;
		DELETE FROM t WHERE id % 10 = 1; COMMIT;" || fail "$VIA: a transaction"
	head -c 3000000 /dev/urandom >"$mnt/new"
	sum=$(sha256sum <"$mnt/new")
	umount "$mnt"
	r3map sync "$DEV"
	# this side loses everything: what was synced is there
	if [ "$VIA" = r3map ]; then
		device_kill
		r3map umount --force "$DEV"
	else
		kill -9 "$(device_fact helper_pid)"
		r3map umount "$DEV"
	fi
	kill -TERM $server
	wait $server || fail "the server's end"

	e2fsck -fn "$image" >"$TEST_DIR/fsck" 2>&1 || fail "$VIA: $(cat "$TEST_DIR/fsck")"
	for file in base film new; do
		debugfs -R "dump /$file $TEST_DIR/$file" "$image" 2>/dev/null
	done
	[ "$(sqlite3 "$TEST_DIR/base" "PRAGMA integrity_check; SELECT count(*) FROM t;
		SELECT count(*) FROM t WHERE name LIKE 'new %'" | paste -sd ' ')" = "ok 5400 600" ] ||
		fail "$VIA: the database at the server"
	[ "$(sha256sum <"$TEST_DIR/film")" = "$film" ] || fail "$VIA: the film at the server"
	[ "$(sha256sum <"$TEST_DIR/new")" = "$sum" ] || fail "$VIA: the new file at the server"
}

cold
VIA=nbd
requires_nbd
cold
