# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What the tests of file systems have in common.

# filesystem_fill DIR: files of many sizes, some in pieces, some deleted again
filesystem_fill()
{
	local i
	mkdir "$1/many"
	for ((i = 0; i < $(slow 150 40); i++)); do
		head -c $((i * 137 + 1)) /dev/urandom >"$1/many/$i"
	done
	dd if=/dev/urandom of="$1/big" bs=256k count=32 status=none
	dd if=/dev/urandom of="$1/sparse" bs=4k count=8 seek=900 oflag=direct status=none
	fallocate -p -o 1M -l 2M "$1/big"
	rm "$1"/many/*7
	sync -f "$1"
	cp "$1/big" "$1/copy"
}

# filesystem_test SIZE MKFS FSCK
filesystem_test()
{
	truncate -s "$1" "$TEST_DIR/file"
	device_mount "file:$TEST_DIR/file"
	$2 "$DEV"
	mkdir "$TEST_DIR/mnt"
	mount "$DEV" "$TEST_DIR/mnt"
	cleanup_fn eval "! mountpoint -q $TEST_DIR/mnt || umount $TEST_DIR/mnt"
	filesystem_fill "$TEST_DIR/mnt"
	(cd "$TEST_DIR/mnt" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >"$TEST_DIR/sums"
	umount "$TEST_DIR/mnt"
	$3 "$DEV" >"$TEST_DIR/fsck" 2>&1 || {
		cat "$TEST_DIR/fsck"
		fail "fsck"
	}
	r3map umount "$DEV"
	device_mount "file:$TEST_DIR/file"
	mount "$DEV" "$TEST_DIR/mnt"
	(cd "$TEST_DIR/mnt" && sha256sum --quiet -c "$TEST_DIR/sums") || fail "files have changed"
	fstrim "$TEST_DIR/mnt" || fail "fstrim"
	umount "$TEST_DIR/mnt"
	$3 "$DEV" >/dev/null 2>&1 || fail "fsck after fstrim"
	r3map umount "$DEV"
}

# filesystem_mount: $DEV on $TEST_DIR/mnt
filesystem_mount()
{
	mkdir -p "$TEST_DIR/mnt"
	mount "$DEV" "$TEST_DIR/mnt"
	cleanup_fn eval "! mountpoint -q $TEST_DIR/mnt || umount $TEST_DIR/mnt"
}

# filesystem_writer N: writes a file, sees that it reached the disk and reads it from there, over
# and over; notes each round in $TEST_DIR/rounds.N
filesystem_writer()
{
	local file=$TEST_DIR/mnt/$1 round=0
	trap - ERR
	while [ ! -e "$TEST_DIR/idle" ]; do
		dd if="$TEST_DIR/data" of="$file" bs=64k conv=fsync status=none || return
		dd if="$file" bs=64k iflag=direct status=none | cmp - "$TEST_DIR/data" || return
		round=$((round + 1))
		echo $round >"$TEST_DIR/rounds.$1"
	done
}

# filesystem_busy N: so many writers on $TEST_DIR/mnt, until filesystem_idle
filesystem_busy()
{
	local i
	FILESYSTEM_WRITERS=()
	rm -f "$TEST_DIR/idle" "$TEST_DIR"/rounds.* "$TEST_DIR"/ended.*
	dd if=/dev/urandom of="$TEST_DIR/data" bs=64k count="$(slow 16 4)" status=none
	cleanup_fn filesystem_idle
	for ((i = 0; i < $1; i++)); do
		{
			filesystem_writer $i || { touch "$TEST_DIR/ended.$i"; false; }
		} &>"$TEST_DIR/writer.$i" &
		FILESYSTEM_WRITERS+=($!)
	done
	filesystem_goes_on "$1"
}

# filesystem_goes_on N: wait until each of the N writers has done another two rounds, so one that
# began later than now
filesystem_goes_on()
{
	local i from
	for ((i = 0; i < $1; i++)); do
		from=$(cat "$TEST_DIR/rounds.$i" 2>/dev/null || echo 0)
		wait_until 60 "writer $i goes on" filesystem_reached $i $((from + 2))
	done
}

# filesystem_reached I ROUND
filesystem_reached()
{
	[ "$(cat "$TEST_DIR/rounds.$1" || echo 0)" -ge "$2" ]
}

# filesystem_idle: ends the writers; did all of them end well?
filesystem_idle()
{
	local pid bad=0
	touch "$TEST_DIR/idle"
	for pid in "${FILESYSTEM_WRITERS[@]}"; do
		wait "$pid" || bad=1
	done
	FILESYSTEM_WRITERS=()
	return $bad
}

# filesystem_fails N: wait until each of the N writers has ended with an error
filesystem_fails()
{
	local i
	for ((i = 0; i < $1; i++)); do
		wait_until 60 "writer $i sees an error" test -e "$TEST_DIR/ended.$i"
	done
	! filesystem_idle || fail "writers have failed and ended well"
}
