# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034 # SUBJECT_* are for those who source this
#
# The devices that are compared. subject_up NAME makes one and sets
# SUBJECT_DEVICE, SUBJECT_HELPER (processes that serve it for the kernel) and
# SUBJECT_SERVER (processes behind those); subject_down takes it away. All
# hold BENCH_SIZE of data in memory of this machine; the null ones hold none. A
# subject that cannot be had here returns 1 with the reason in SUBJECT_WHY.
# NAME@DIR, for r3map, takes r3map and r3map.ko from DIR.

SUBJECTS_ALL="r3map-mem r3map-mem-inline r3map-null r3map-nbd r3map-nbd-inline r3map-managed
	r3map-pipeline kernel-nbd ublk-null ublk-loop loop brd"

# subject_list: the subjects asked for, one a line
subject_list()
{
	# shellcheck disable=SC2086 # words are meant
	printf '%s\n' ${BENCH_SUBJECTS:+${BENCH_SUBJECTS//,/ }} | grep . ||
		printf '%s\n' $SUBJECTS_ALL
}

# subject_module DIR: have the right r3map.ko loaded
subject_module()
{
	local ko=${R3MAP_KO:-}
	[ -z "$1" ] || ko=$1/r3map.ko
	[ "$ko" != "${SUBJECT_KO:-}" ] || return 0
	# of an earlier subject, or of an earlier question
	[ ! -e /sys/module/r3map ] || rmmod r3map
	# shellcheck disable=SC2086 # words are meant
	insmod "$ko" ${BENCH_MODULE_OPTIONS:-} || {
		SUBJECT_WHY="insmod $ko failed"
		return 1
	}
	SUBJECT_KO=$ko
}

# subject_program DIR: copy the program out of the way of the host's files
subject_program()
{
	local from=${BENCH_R3MAP:-$BENCH_DIR/../user/r3map}
	[ -z "$1" ] || from=$1/r3map
	SUBJECT_PROGRAM=$BENCH_TMP/r3map
	[ -z "${BENCH_KEEP_PROGRAM:-}" ] || SUBJECT_PROGRAM=$from
	[ "$from" = "${SUBJECT_PROGRAM_FROM:-}" ] || [ -n "${BENCH_KEEP_PROGRAM:-}" ] ||
		cp "$from" "$SUBJECT_PROGRAM"
	SUBJECT_PROGRAM_FROM=$from
}

# subject_nbdkit: an NBD server with the data, on SUBJECT_SOCKET
subject_nbdkit()
{
	SUBJECT_SOCKET=$BENCH_TMP/nbd.sock
	rm -f "$SUBJECT_SOCKET" "$BENCH_TMP/nbd.pid"
	nbdkit -U "$SUBJECT_SOCKET" -P "$BENCH_TMP/nbd.pid" memory "$BENCH_SIZE" || {
		SUBJECT_WHY="nbdkit does not start"
		return 1
	}
	bench_wait "nbdkit" test -s "$BENCH_TMP/nbd.pid"
	SUBJECT_SERVER=$(cat "$BENCH_TMP/nbd.pid")
}

# subject_r3map DIR OPTION... BACKEND
subject_r3map()
{
	local dir=$1
	shift
	subject_module "$dir" && subject_program "$dir" || return 1
	: >"$BENCH_TMP/device"
	# shellcheck disable=SC2086 # words are meant
	"$SUBJECT_PROGRAM" mount ${BENCH_MOUNT_OPTIONS:-} "$@" \
		>"$BENCH_TMP/device" 2>"$BENCH_TMP/r3map.err" &
	SUBJECT_HELPER=$!
	local i
	for ((i = 0; i < 6000; i++)); do
		[ ! -s "$BENCH_TMP/device" ] || break
		kill -0 "$SUBJECT_HELPER" 2>/dev/null || break
		sleep 0.01
	done
	SUBJECT_DEVICE=$(cat "$BENCH_TMP/device")
	[ -n "$SUBJECT_DEVICE" ] || {
		SUBJECT_WHY="r3map mount: $(head -n 1 "$BENCH_TMP/r3map.err")"
		return 1
	}
}

# subject_rublk: set SUBJECT_RUBLK to a ublk server that can be used
subject_rublk()
{
	SUBJECT_RUBLK=${BENCH_RUBLK:-$(command -v rublk || :)}
	[ -n "$SUBJECT_RUBLK" ] || {
		SUBJECT_WHY="no ublk server: cargo install rublk, then put it in the PATH"
		return 1
	}
	modprobe ublk_drv 2>/dev/null || {
		SUBJECT_WHY="this kernel has no ublk_drv"
		return 1
	}
}

# subject_ublk TARGET ARGUMENT...: a device of rublk
subject_ublk()
{
	local rublk
	subject_rublk || return 1
	rublk=$SUBJECT_RUBLK
	"$rublk" add "$@" -n 0 >"$BENCH_TMP/rublk.out" 2>&1 || {
		SUBJECT_WHY="rublk: $(tail -n 1 "$BENCH_TMP/rublk.out")"
		return 1
	}
	SUBJECT_DEVICE=/dev/ublkb0
	bench_wait "/dev/ublkb0" test -b /dev/ublkb0
	SUBJECT_HELPER=$(pgrep -f "^$rublk" | paste -sd ' ' || :)
}

subject_up()
{
	local dir=''
	SUBJECT_NAME=${1%%@*}
	case $1 in *@*) dir=${1#*@} ;; esac
	SUBJECT_DEVICE='' SUBJECT_HELPER='' SUBJECT_SERVER='' SUBJECT_WHY=''
	case $SUBJECT_NAME in
	r3map-mem) subject_r3map "$dir" "mem:$BENCH_SIZE" ;;
	r3map-mem-inline) subject_r3map "$dir" --transport inline "mem:$BENCH_SIZE" ;;
	r3map-null) subject_r3map "$dir" "null:$BENCH_SIZE" ;;
	# all of it is written before anything is timed, so all of it is local
	r3map-managed) subject_r3map "$dir" --managed --pull-workers 0 --push-interval 0 \
		"null:$BENCH_SIZE" ;;
	r3map-pipeline)
		modprobe nbd nbds_max=1 || {
			SUBJECT_WHY="this kernel has no nbd"
			return 1
		}
		subject_r3map "$dir" --via nbd --managed --pull-workers 0 --push-interval 0 \
			"null:$BENCH_SIZE"
		;;
	r3map-nbd) subject_nbdkit &&
		subject_r3map "$dir" "nbd+unix:///?socket=$SUBJECT_SOCKET" ;;
	r3map-nbd-inline) subject_nbdkit &&
		subject_r3map "$dir" --transport inline "nbd+unix:///?socket=$SUBJECT_SOCKET" ;;
	kernel-nbd)
		modprobe nbd nbds_max=1 || {
			SUBJECT_WHY="this kernel has no nbd"
			return 1
		}
		subject_nbdkit || return 1
		nbd-client -b 4096 -unix "$SUBJECT_SOCKET" /dev/nbd0 \
			>"$BENCH_TMP/nbd-client.out" 2>&1 || {
			SUBJECT_WHY="nbd-client: $(tail -n 1 "$BENCH_TMP/nbd-client.out")"
			return 1
		}
		SUBJECT_DEVICE=/dev/nbd0
		;;
	ublk-null) subject_ublk null ;;
	ublk-loop)
		truncate -s "$BENCH_SIZE" "$BENCH_TMP/data"
		subject_ublk loop -f "$BENCH_TMP/data"
		;;
	loop)
		modprobe loop
		truncate -s "$BENCH_SIZE" "$BENCH_TMP/data"
		SUBJECT_DEVICE=$(losetup -f --show "$BENCH_TMP/data") || {
			SUBJECT_WHY="losetup fails"
			return 1
		}
		;;
	brd)
		modprobe brd rd_nr=1 rd_size=262144
		SUBJECT_DEVICE=/dev/ram0
		;;
	*) bench_die "unknown subject '$1': give some of: ${SUBJECTS_ALL//[[:space:]]/ }" ;;
	esac
}

subject_down()
{
	case $SUBJECT_NAME in
	r3map-*)
		if [ -n "$SUBJECT_HELPER" ]; then
			[ -z "$SUBJECT_DEVICE" ] || "$SUBJECT_PROGRAM" umount "$SUBJECT_DEVICE" ||
				kill "$SUBJECT_HELPER"
			wait "$SUBJECT_HELPER" || bench_say "the helper of $SUBJECT_NAME ended badly"
		fi
		;;
	kernel-nbd) nbd-client -d /dev/nbd0 >/dev/null ;;
	ublk-*)
		[ -z "$SUBJECT_DEVICE" ] || "$SUBJECT_RUBLK" del -n 0 >/dev/null
		;;
	loop) [ -z "$SUBJECT_DEVICE" ] || losetup -d "$SUBJECT_DEVICE" ;;
	brd) rmmod brd ;;
	esac
	[ -z "$SUBJECT_SERVER" ] || {
		kill "$SUBJECT_SERVER"
		while kill -0 "$SUBJECT_SERVER" 2>/dev/null; do sleep 0.01; done
	}
	rm -f "$BENCH_TMP/data"
}
