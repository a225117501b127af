# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Devices in tests: made with r3map mount, watched by sysfs and r3map show. Sourced
# after test.sh. Whatever is made here is removed when the test ends.

# R3MAP_TRANSPORT=inline runs a test over the other transport; see the tests *-inline.sh
TRANSPORT=${R3MAP_TRANSPORT:-shared}

# R3MAP_VIA=nbd runs a test of mounts with the kernel's NBD client as the device; see mount/*-nbd.sh
VIA=${R3MAP_VIA:-r3map}

# device_r3map_mount ARGUMENT...: r3map mount ARGUMENT..., over this transport and via this driver
device_r3map_mount()
{
	local argument arguments=()
	if [ "$VIA" = r3map ]; then
		r3map mount --transport "$TRANSPORT" "$@"
		return
	fi
	for argument; do	# that is decided when nbd is loaded
		[ "$argument" = --no-part-scan ] || arguments+=("$argument")
	done
	r3map mount --via "$VIA" "${arguments[@]}"
}

# device_mount ARGUMENT...: r3map mount --daemon ARGUMENT...; sets DEV (the path) and NAME
device_mount()
{
	DEV=$(device_r3map_mount --daemon --log "$TEST_DIR/helper.log" "$@") || {
		cat "$TEST_DIR/helper.log" >&2
		fail "r3map mount $*"
	}
	NAME=${DEV#/dev/}
	cleanup_fn device_remove "$DEV"
}

# device_recover BACKEND [OPTION...]: a new helper for $DEV
device_recover()
{
	local backend=$1
	shift
	r3map mount --daemon --log "$TEST_DIR/helper.log" --recover "$DEV" "$@" "$backend" >/dev/null
}

# device_remove DEV: remove it whatever state it is in, if it is there
device_remove()
{
	device_gone "$1" || r3map umount --force "$1"
}

# device_gone DEV: is it gone?
device_gone()
{
	case $1 in
	/dev/nbd*) [ ! -e "/sys/block/${1#/dev/}/pid" ] ;;
	*) [ ! -e "/sys/block/${1#/dev/}" ] ;;
	esac
}

# device_sysfs NAME: an r3map attribute of $DEV in sysfs
device_sysfs()
{
	local line
	read -r line <"/sys/block/$NAME/r3map/$1"
	printf '%s\n' "$line"
}

# device_is STATE: is $DEV in it?
device_is()
{
	[ "$(device_sysfs state)" = "$1" ]
}

# device_await STATE [SECONDS]: wait until $DEV is in it
device_await()
{
	wait_until "${2:-30}" "$DEV is $1" device_is "$1"
}

# device_fact KEY: what r3map show says; counters, too. Without a program for each: they are
# slow to start in the lab.
device_fact()
{
	local json
	json=$(r3map show -j "$DEV")
	[[ $json =~ \"$1\":[[:space:]]*\"?([^,\"}$'\n']*) ]] || {
		echo "show does not tell '$1'" >&2
		return 1
	}
	printf '%s\n' "${BASH_REMATCH[1]}"
}

# device_counter NAME
device_counter()
{
	device_fact "$1"
}

# device_kill: kill -9 the helper of $DEV, wait until the kernel knows
device_kill()
{
	local pid
	pid=$(device_sysfs helper_pid)
	kill -9 "$pid"
	wait_until 30 "the helper of $DEV is gone" helper_gone "$pid"
}

# helper_gone PID: has the kernel let go of it, and said so? The number goes first, then the state.
helper_gone()
{
	device_gone "$DEV" || { [ "$(device_sysfs helper_pid)" != "$1" ] && ! device_is live; }
}

# requires_nbd: skip the test unless the kernel's NBD client is there; it looks for no partitions
requires_nbd()
{
	# as in dev/kernel-nbd.inc.sh; the report would end lockdep for all tests behind this
	[ ! -e /proc/lockdep_stats ] || skip "lockdep reports a cycle within the kernel's own nbd driver"
	[ ! -d /sys/module/nbd ] || rmmod nbd || skip "nbd is in use"
	modprobe -q nbd nbds_max=2 max_part=0 || skip "this kernel has no nbd"
	cleanup_fn eval "[ ! -d /sys/module/nbd ] || rmmod nbd"
}

# requires_filesystem NAME: nobody loads modules by himself in the lab
requires_filesystem()
{
	grep -qw "$1" /proc/filesystems || modprobe -q "$1" || skip "this kernel has no $1"
}

# fio_run ARGUMENT...: fio, quiet unless it fails; thread and clock choices that suit the lab
fio_run()
{
	fio --name=job --thread --group_reporting --eta=never --exitall_on_error \
		--invalidate=1 "$@" >"$TEST_DIR/fio.log" 2>&1 || {
		sed -n 1,40p "$TEST_DIR/fio.log"
		return 1
	}
}
