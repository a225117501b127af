#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:2 6.12
#
# This test will bring regions with r3map send to where r3map receive has a device, and from one: what was there
# is written over, and what is behind it is left alone; one that is too large is refused in one sentence; one that
# grows has zeroes where it is new, whatever the device had there; and a device is followed while it is written to.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../proto/delta.inc.sh"
requires_program jq cmp python3
ktap_plan 5

size=8388608
chunk=65536

# device_random: $DEV, another one, has random bytes, which are in old, too
device_random()
{
	device_mount --no-part-scan mem:8M
	random_file old $size
	dd if=old of="$DEV" bs=1M oflag=direct status=none
}

# device_has FILE: the device has FILE at its beginning, and behind that what is in old; past the page cache
device_has()
{
	local bytes
	bytes=$(stat -c %s "$1")
	dd if="$DEV" of=now bs=1M iflag=direct status=none
	cmp -n "$bytes" "$1" now && cmp -i "$bytes" old now
}

into()
{
	device_random
	random_file src 5000001
	fallocate -p -o 1M -l 2M src
	receive_once s out send s -j src >/dev/null || return
	[ -f out/src ] || return
	receive_start s out --once --fsync --device "src=$DEV"
	send s -j src >sent && wait "$receiver" && device_has src || return
	[ "$(json sent .zero_bytes)" = $((2 << 20)) ] || { note "$(cat sent)"; return 1; }
	# nothing, and one chunk
	receive_start s out --once --device "src=$DEV"
	send s -j src >sent && wait "$receiver" && [ "$(json sent .chunks)" = 0 ] || return
	dd if=/dev/urandom of=src bs=$chunk seek=20 count=1 conv=notrunc status=none
	receive_start s out --once --device "src=$DEV"
	send s -j src >sent && wait "$receiver" && device_has src || return
	[ "$(json sent .data_bytes)" = $chunk ]
}
ktap_test "a device gets what a file has, and keeps what is behind that" into

too_large()
{
	random_file src $((size + 1))
	random_file other 1000
	receive_start s out --device "src=$DEV"
	! send s src other >sent 2>sent.err || return
	pid_end "$receiver"
	{ [ "$(grep -c src sent.err)" = 1 ] && grep -q "the device has $size bytes.*larger one" sent.err; } ||
		{ note "$(cat sent.err)"; return 1; }
	grep -q other sent && cmp other out/other || return
	dd if="$DEV" of=after bs=1M iflag=direct status=none
	cmp now after
}
ktap_test "what is larger than the device is refused, and nothing is written" too_large

# What is new in a region is zeroes; the device had something else there.
grows()
{
	device_random
	random_file src 1000001
	receive_start s out --device "src=$DEV"
	send_start s -j -i 100ms src
	wait_until 60 "it is there" device_has src
	truncate -s 3000007 src
	printf x | dd of=src bs=1 seek=2999999 conv=notrunc status=none
	wait_until 60 "it grew" device_has src
	truncate -s 700000 src
	wait_until 60 "it shrank" agreed 700000
	device_has_start src || return
	# what was cut off is still on the device, and must not come back
	truncate -s 2000000 src
	wait_until 60 "it grew again" agreed 2000000
	device_has_start src || { note "$(cmp src now)"; return 1; }
	truncate -s $((size + 1)) src
	wait_until 60 "it is too large" grep -q "the device has $size bytes" sent.err
	truncate -s $size src
	wait_until 60 "it is as large as the device" agreed $size
	device_has_start src || { note "$(cmp src now)"; return 1; }
	kill "$sender"
	wait "$sender" || :
	pid_end "$receiver"
}
# agreed SIZE: have both ends agreed on so many bytes?
agreed()
{
	[ "$(json sent '.files[0].size')" = "$1" ]
}
device_has_start()
{
	dd if="$DEV" of=now bs=1M iflag=direct status=none
	cmp -n "$(stat -c %s "$1")" "$1" now
}
ktap_test "one that grows has zeroes there, whatever the device had" grows

# From one device to another one, with direct writes, those through the page cache and those through mmap
followed()
{
	local from writer
	device_random
	from=$DEV
	device_random
	receive_start s out --device "${from#/dev/}=$DEV"
	python3 - "$from" $size <<-'END' &
		import mmap, os, random, sys
		path, size = sys.argv[1], int(sys.argv[2])
		direct, cached = os.open(path, os.O_RDWR | os.O_DIRECT), os.open(path, os.O_RDWR)
		mapped = mmap.mmap(cached, size)
		page = mmap.mmap(-1, 4096)
		while not os.path.exists("stop"):
		    page[:] = os.urandom(4096)
		    os.pwrite(direct, page, random.randrange(size // 4096) * 4096)
		    os.pwrite(cached, os.urandom(512), random.randrange(size) & ~511)
		    at = random.randrange(size - 10)
		    mapped[at:at + 10] = os.urandom(10)
	END
	writer=$!
	cleanup_fn pid_end $writer
	send_start s -j -i 10ms "$from"
	wait_until 120 "three rounds" rounds 3
	touch stop
	wait $writer || return
	kill "$sender"
	wait "$sender" || { note "status $? of the sender: $(cat sent.err)"; return 1; }
	[ "$(jq -s '[.[] | .failed] | add' sent)" = 0 ] || return
	send s -j "$from" >sent || return
	pid_end "$receiver"
	dd if="$from" of=there bs=1M iflag=direct status=none
	dd if="$DEV" of=here bs=1M iflag=direct status=none
	cmp there here
}
rounds()
{
	[ "$(wc -l <sent)" -ge "$1" ]
}
ktap_test "a device that is written to all the time is followed to another one" followed

# The module knows nothing of an unmanaged device's writes; see mount/delta-epoch.sh for the others.
untold()
{
	receive_start s out --device "${DEV#/dev/}=$PWD/src"
	! send s --detect=epoch "$DEV" 2>sent.err || return
	grep -q -- "--detect=auto" sent.err || { note "$(cat sent.err)"; return 1; }
	send s --detect=auto "$DEV" >sent && cmp "$DEV" src || return
	pid_end "$receiver"
}
ktap_test "and from one to a file, which it is as large as then" untold
ktap_status
