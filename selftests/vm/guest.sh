#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The guest's side of boot.sh: makes the inherited root file system a usable
# machine, runs the command that boot.sh left in the run folder, and writes
# its exit status there. Process 1, with /dev, /proc and the run folder
# mounted by init.sh; everything it writes elsewhere is lost with the machine.

run=/mnt/r3map-run
# shellcheck disable=SC1091
. "$run/env" # R3MAP_TOP, GUEST_*, KERNEL_*, and what --env asked for
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root LANG=C.UTF-8 TERM="${GUEST_TERM:-dumb}"

# guest_cover DIR: a fresh tmpfs on DIR, through which the folders of the
# repository and of the cache stay visible
guest_cover()
{
	local dir=$1 keep i=0
	local -a kept=()
	for keep in "$R3MAP_TOP" "$GUEST_CACHE"; do
		case $keep in
		"$dir"/*)
			mkdir -p "/mnt/r3map-keep/$i"
			mount --bind "$keep" "/mnt/r3map-keep/$i"
			kept+=("$keep")
			i=$((i + 1))
			;;
		esac
	done
	mkdir -p "$dir"
	mount -t tmpfs -o mode="$2" tmpfs "$dir"
	i=0
	for keep in "${kept[@]}"; do
		mkdir -p "$keep"
		mount --move "/mnt/r3map-keep/$i" "$keep"
		i=$((i + 1))
	done
}

mount -t sysfs sys /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts -o ptmxmode=666 pts /dev/pts
mount -t tmpfs shm /dev/shm
# whoever opens these loads the module
[ -e /dev/loop-control ] || mknod /dev/loop-control c 10 237
[ -e /dev/fuse ] || mknod /dev/fuse c 10 229
ln -sfn /proc/self/fd /dev/fd
ln -sfn fd/0 /dev/stdin
ln -sfn fd/1 /dev/stdout
ln -sfn fd/2 /dev/stderr
guest_cover /run 755
# out of the way of whoever mounts something on /mnt
mkdir /run/r3map-lab
mount --move "$run" /run/r3map-lab
run=/run/r3map-lab
guest_cover /tmp 1777
mount -t debugfs debug /sys/kernel/debug
mount -t tracefs trace /sys/kernel/tracing
mkdir -p /sys/fs/cgroup && mount -t cgroup2 cgroup /sys/fs/cgroup
ln -sfn /proc/self/mounts /etc/mtab
hostname r3map-lab
ip link set lo up 2>/dev/null || busybox ip link set lo up
mkdir -p /lib/modules
[ -e "/lib/modules/$KERNEL_RELEASE" ] ||
	ln -s "$KERNEL_ROOT/lib/modules/$KERNEL_RELEASE" "/lib/modules/$KERNEL_RELEASE"
export R3MAP_OUT=$run/results
ulimit -c 0
cd "$R3MAP_TOP" || echo "no $R3MAP_TOP in the guest" >&2
# from here on the console, which the host keeps, has everything
[ "$GUEST_QUIET" = 1 ] || echo 8 >/proc/sys/kernel/printk

# shellcheck disable=SC1091
. "$run/command" # GUEST_COMMAND, an array
if [ "$GUEST_SHELL" = 1 ]; then
	stty -F /dev/ttyS1 sane "${GUEST_STTY[@]}"
	setsid -c "${GUEST_COMMAND[@]}" </dev/ttyS1 >/dev/ttyS1 2>&1
	status=$?
else
	mkfifo /run/r3map-out /run/r3map-err
	cat /run/r3map-out >>"$run/out" &
	out=$!
	cat /run/r3map-err >>"$run/err" &
	err=$!
	"${GUEST_COMMAND[@]}" </dev/null >/run/r3map-out 2>/run/r3map-err
	status=$?
	# a process left behind may hold these open: it must not hold us
	for _ in $(seq 100); do
		kill -0 $out 2>/dev/null || kill -0 $err 2>/dev/null || break
		sleep 0.02
	done
fi
dmesg >"$run/dmesg" 2>/dev/null
echo "status $status" >"$run/status"
# nothing here needs to be shut down in order
echo 1 >/proc/sys/kernel/sysrq
echo o >/proc/sysrq-trigger
while :; do sleep 1; done
