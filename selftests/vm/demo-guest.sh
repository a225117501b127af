#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The demonstration itself: an NBD server has a disk image, r3map makes it
# /dev/r3map0, its file system is mounted, read, written and verified, and in
# the end the server's image is verified without r3map. Started by demo.sh;
# needs $DEMO_DISK (the image and the checksums of its files) and $R3MAP_KO.

set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd -P)
PATH=$top/user:$PATH
port=10809
work=$(mktemp -d "${TMPDIR:-/tmp}/r3map-demo.XXXXXX")
mnt=$work/mnt
device='' server='' loaded=0
source='' target='' writer=''
mkdir "$mnt"

step()
{
	printf '\n== %s\n' "$*"
}

run()
{
	printf '$ %s\n' "$*"
	"$@"
}

finish()
{
	local status=$?
	trap - EXIT
	mountpoint -q "$mnt" && umount "$mnt"
	[ -z "$device" ] || r3map umount "$device"
	[ -z "$writer" ] || kill "$writer" 2>/dev/null
	[ -z "$target" ] || r3map umount --force "$target"
	[ -z "$source" ] || [ ! -e "/sys/block/${source#/dev/}" ] || r3map umount --force "$source"
	[ -z "$server" ] || kill "$server" 2>/dev/null
	[ $loaded = 0 ] || rmmod r3map
	rm -rf "$work"
	[ $status = 0 ] || printf '\nThe demonstration FAILED (status %s).\n' $status
	exit $status
}
trap finish EXIT

step "Here is $(uname -srm). A remote machine has a disk: an NBD server on tcp port $port."
cp "$DEMO_DISK/image" "$work/image"
run nbdkit --pidfile "$work/pid" --ipaddr 127.0.0.1 --port $port file "$work/image"
server=$(cat "$work/pid")

step "Use it here, as a block device."
if [ ! -d /sys/module/r3map ]; then
	run insmod "$R3MAP_KO"
	loaded=1
fi
printf '$ r3map mount --daemon nbd://127.0.0.1:%s/\n' $port
device=$(r3map mount --daemon "nbd://127.0.0.1:$port/")
echo "$device"
run lsblk -o NAME,SIZE,RO,TYPE,FSTYPE "$device" || :
run r3map show "$device"

step "Mount its file system and read every file."
run mount "$device" "$mnt"
run df -h "$mnt"
files=$(wc -l <"$DEMO_DISK/sums")
(cd "$mnt" && sha256sum --quiet -c "$DEMO_DISK/sums")
echo "$files files read through $device; all checksums are right."

step "Write: a new file of 16 MiB, one line at the end of an old one, and sync."
run dd if=/dev/urandom of="$mnt/new.bin" bs=1M count=16 status=none
echo "written through r3map" >>"$mnt/SHA256SUMS"
run sync -f "$mnt"
new=$(sha256sum <"$mnt/new.bin")
old=$(sha256sum <"$mnt/SHA256SUMS")
run r3map show "$device"

step "Let it go, and stop the server."
run umount "$mnt"
run r3map umount "$device"
device=''
kill "$server"
while kill -0 "$server" 2>/dev/null; do sleep 0.1; done
server=''

step "Without r3map: is what the server has what was written?"
run e2fsck -fn "$work/image"
debugfs -R "dump new.bin $work/new.bin" "$work/image" 2>/dev/null
debugfs -R "dump SHA256SUMS $work/SHA256SUMS" "$work/image" 2>/dev/null
[ "$(sha256sum <"$work/new.bin")" = "$new" ] || { echo "new.bin differs"; exit 1; }
[ "$(sha256sum <"$work/SHA256SUMS")" = "$old" ] || { echo "SHA256SUMS differs"; exit 1; }
echo "new.bin     ${new%% *}  the same on both sides"
echo "SHA256SUMS  ${old%% *}  the same on both sides"

step "And a region that moves while it is written to; both hosts are this machine here."
truncate -s 32M "$work/region"
printf '$ r3map seed --daemon --unix %s file:%s\n' "$work/seed" "$work/region"
lines=$(r3map seed --daemon --unix "$work/seed" "file:$work/region")
echo "$lines"
{ read -r source; read -r uri; } <<<"$lines"
# the application writes numbers, one block after the other, and notes the last that is there
(
	n=0
	while printf '%511d\n' $n |
		dd of="$source" bs=512 seek=$n oflag=direct conv=notrunc,nocreat status=none 2>/dev/null; do
		echo $n >"$work/last"
		n=$((n + 1))
	done
) &
writer=$!
printf '$ r3map leech --daemon --store %s %s\n' "$work/moved" "$uri"
target=$(r3map leech --daemon --store "$work/moved" "$uri")
echo "$target"
until r3map show "$target" | grep -q 'migration.*the region is here'; do sleep 0.2; done
sleep 1
r3map show "$target" | grep -E '^/dev|held|migration|rounds'
run r3map finalize "$target"
wait "$writer" || :
writer=''
last=$(cat "$work/last")
[ "$(dd if="$target" bs=512 skip="$last" count=1 status=none | tr -d ' \n')" = "$last" ] ||
	{ echo "number $last is not there"; exit 1; }
echo "Number $last, the last that was written on the one side, is there on the other; the next one was refused."
until r3map show "$target" | grep -q 'all of it'; do sleep 0.2; done
while [ -e "/sys/block/${source#/dev/}" ]; do sleep 0.1; done
source=''
run r3map umount "$target"
target=''

cat <<END

What happened: the disk of an NBD server appeared here as a block device. Its
ext4 file system was mounted like that of any disk. $files files were read and
verified by checksum. 16 MiB and a line were written, and were found in the
server's own image afterwards, with a clean file system, by tools that know
nothing of r3map. Each read and write went from r3map.ko through generic netlink to
the r3map helper process, and from there over TCP to the server.

Then a region was copied to a second device while a program wrote to the first one. It was
handed over with the program stopped for as long as is said above, and nothing was lost.
END
