#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The question: how long does it take from starting the command that attaches
# a device until the device answers a read of 4 KiB? The servers run before.
# Programs and libraries are copied into a small root in memory first: the
# host's disk has no virtual time, so a file that is opened there would cost
# anything between nothing and minutes. One more attachment before the counted
# ones warms up each subject. Run by run.sh.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/bench.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/subject.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/root.sh"

# attach_command SUBJECT: sets device, command, detach for this subject
attach_command()
{
	local name=${1%%@*} dir='' socket
	case $1 in *@*) dir=${1#*@} ;; esac
	# shellcheck disable=SC2034 # read by subject_module and subject_down
	SUBJECT_NAME=$name SUBJECT_HELPER='' SUBJECT_SERVER='' SUBJECT_WHY=''
	case $name in *nbd*) subject_nbdkit || return 1 ;; esac
	socket="${SUBJECT_SOCKET:-}"
	case $name in
	r3map-*)
		subject_module "$dir" && subject_program "$dir" || return 1
		device=/dev/r3map0
		# shellcheck disable=SC2206 # words are meant
		command=("$SUBJECT_PROGRAM" mount --index 0 ${BENCH_MOUNT_OPTIONS:-})
		detach=("$SUBJECT_PROGRAM" umount "$device")
		;;&
	r3map-mem) command+=("mem:$BENCH_SIZE") ;;
	r3map-nbd) command+=("nbd+unix:///?socket=$socket") ;;
	kernel-nbd)
		modprobe nbd nbds_max=1
		device=/dev/nbd0
		command=(nbd-client -b 4096 -unix "$socket" "$device")
		detach=(nbd-client -d "$device")
		;;
	ublk-null)
		subject_rublk || return 1
		device=/dev/ublkb0
		command=("$SUBJECT_RUBLK" add null -n 0)
		detach=("$SUBJECT_RUBLK" del -n 0)
		;;
	loop)
		modprobe loop
		truncate -s "$BENCH_SIZE" "$BENCH_TMP/data"
		device=/dev/loop0
		command=(losetup "$device" "$BENCH_TMP/data")
		detach=(losetup -d "$device")
		;;
	*) SUBJECT_WHY="nothing is attached there"; return 1 ;;
	esac
}

[ -n "${BENCH_SUBJECTS:-}" ] || BENCH_SUBJECTS=kernel-nbd,r3map-mem,r3map-nbd,ublk-null,loop
root_make
root_install "$BENCH_ATTACH_CLOCK"
for subject in $(subject_list); do
	if ! attach_command "$subject"; then
		bench_say "$subject: skipped, $SUBJECT_WHY"
		bench_result "$subject" skipped why 0 "${SUBJECT_WHY//,/;}"
		continue
	fi
	command[0]=$(command -v "${command[0]}")
	root_install "${command[0]}"
	for ((rep = 0; rep <= BENCH_REPS; rep++)); do
		chroot "$ROOT" "$BENCH_ATTACH_CLOCK" "$device" "${command[@]}" >"$BENCH_TMP/clock" \
			2>"$BENCH_TMP/attach.err" ||
			bench_die "$subject: $(tail -n 2 "$BENCH_TMP/attach.err")"
		read -r total announced _ <"$BENCH_TMP/clock"
		bench_detach "$subject" "$device" "${detach[@]}"
		[ "$rep" -gt 0 ] || continue
		bench_result "$subject" attach attach_ms "$rep" "$total"
		bench_say "$subject $rep: $total ms (its command was done after $announced ms)"
	done
	[ -z "$SUBJECT_SERVER" ] || kill "$SUBJECT_SERVER"
	rm -f "$BENCH_TMP/data"
done
