#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The question: who waits for a device, when does he know that it is there, and what does the waiting cost
# him? By r3map's own event over generic netlink; by the kernel's uevent; by udev, which tells when
# its rules are done; by a look at sysfs every 1, 10 or 100 ms, of which the first is somewhere in the first
# interval, another place in each repetition. Of r3map on nbdkit over a unix socket, and of the kernel's NBD client on the same.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/bench.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/subject.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/root.sh"

# ready_udev: udev, in the root that is in memory, with the rules of the distribution
ready_udev()
{
	local program=/usr/lib/systemd/systemd-udevd
	[ -x $program ] || program=/lib/systemd/systemd-udevd
	root_install $program
	mkdir -p "$ROOT/usr/lib/udev" "$ROOT/etc/udev" "$ROOT/run/udev"
	cp -r /usr/lib/udev/rules.d "$ROOT/usr/lib/udev/"
	cp /etc/passwd /etc/group "$ROOT/etc/"
	SYSTEMD_IGNORE_CHROOT=1 chroot "$ROOT" "$program" --daemon 2>"$BENCH_TMP/udev.err" ||
		bench_die "udev does not start: $(tail -n 1 "$BENCH_TMP/udev.err")"
	bench_wait "udev" test -S "$ROOT/run/udev/control"
}

# ready_subject SUBJECT: sets name, command, detach
ready_subject()
{
	case $1 in
	r3map-*)
		name=r3map0
		command=("$SUBJECT_PROGRAM" mount --index 0 "nbd+unix:///?socket=$SUBJECT_SOCKET")
		detach=("$SUBJECT_PROGRAM" umount /dev/r3map0)
		;;
	kernel-nbd-event) return 1 ;;
	kernel-nbd-*)
		name=nbd0
		command=("$(command -v nbd-client)" -b 4096 -unix "$SUBJECT_SOCKET" /dev/nbd0)
		detach=(nbd-client -d /dev/nbd0)
		;;
	*) bench_die "unknown subject '$1': give some of: ${BENCH_SUBJECTS//,/ }" ;;
	esac
}

WAYS="event uevent udev sysfs-1 sysfs-10 sysfs-100"
# shellcheck disable=SC2086 # words are meant
ours=$(printf 'r3map-%s,' $WAYS) theirs=$(printf 'kernel-nbd-%s,' ${WAYS#event })
BENCH_SUBJECTS=${BENCH_SUBJECTS:-$ours${theirs%,}}
root_make
root_install "$BENCH_READY_CLOCK"
subject_nbdkit || bench_die "$SUBJECT_WHY"
subject_module "" || bench_die "$SUBJECT_WHY"
subject_program ""
modprobe nbd nbds_max=1
root_install "$SUBJECT_PROGRAM"
root_install "$(command -v nbd-client)"
ready_udev
# who opens a device in the moment when its node is there and it is not makes the kernel look for its module; the program for
# that comes from the host's disk, and takes any time of this clock
echo >/proc/sys/kernel/modprobe
for subject in $(subject_list); do
	ready_subject "$subject" || continue
	way=${subject#r3map-} way=${way#kernel-nbd-}
	# the first one warms up
	for ((rep = 0; rep <= BENCH_REPS; rep++)); do
		asks=${way/-/:}
		[[ $way != sysfs-* ]] || asks+=:$(((2 * rep - 1) * 50 / BENCH_REPS))
		[ "$rep" -gt 0 ] || asks=${asks%%:-*}
		chroot "$ROOT" "$BENCH_READY_CLOCK" "$asks" "$name" "${command[@]}" >"$BENCH_TMP/clock" \
			2>"$BENCH_TMP/clock.err" || bench_die "$subject: $(tail -n 2 "$BENCH_TMP/clock.err")"
		read -r known cpu answered <"$BENCH_TMP/clock"
		bench_detach "$subject" "/dev/$name" chroot "$ROOT" "${detach[@]}"
		[ "$rep" -gt 0 ] || continue
		bench_result "$subject" known ms "$rep" "$known"
		bench_result "$subject" "first read" ms "$rep" "$answered"
		bench_result "$subject" waiting cpu_us "$rep" "$cpu"
		bench_say "$subject $rep: known after $known ms, first read after $answered ms, $cpu us"
	done
done
kill "$SUBJECT_SERVER"
