#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12
# timeout: 900
#
# This test will cut the power of a machine in which programs write to a managed mount with a store in a
# file: the machine is killed, and its disks, that of the store and that of the backend, lose of what
# was not flushed all, some or nothing. When it comes up again, all that was acknowledged is there, on the
# backend alone if that was promised, each block is whole, and the backend becomes the same.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../lib/test.sh"
requires_program qemu-system-x86_64 python3

here=$(cd "$(dirname "$0")" && pwd -P)
R3MAP_CACHE=${R3MAP_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/r3map}
R3MAP_KO=$("$here/../vm/module.sh" 6.12)
export R3MAP_KO
# where a machine sees it
mkdir -p "$R3MAP_CACHE"
work=$(mktemp -d "$R3MAP_CACHE/power.XXXXXX")
cleanup_fn rm -rf "$work"
seed=${SEED:-$RANDOM}
RANDOM=$seed
note "SEED=$seed"
truncate -s 48M "$work/store"
truncate -s 12M "$work/backend"
: >"$work/log"

# what still runs; the number of what has ended may be somebody else's
disks='' machine=''
power_off()
{
	[ -z "$machine" ] || kill "$machine" 2>/dev/null || :
	[ -z "$machine" ] || wait "$machine" || :
	[ -z "$disks" ] || kill -9 "$disks" 2>/dev/null || :
}
cleanup_fn power_off

# disks KEEP: they are served, and keep KEEP percent of what was not flushed
disks()
{
	python3 "$here/disk.py" "$work/socket" "$1" "$RANDOM" "$work/store" "$work/backend" \
		>"$work/disks" &
	disks=$!
	wait_until 20 "the disks are there" test -S "$work/socket"
}

# machine STEP FLUSH: boots one, in the background
machine()
{
	rm -rf "$work/out" "$work/pid"
	"$here/../vm/boot.sh" --kernel 6.12 --cpus 1 --timeout 300 --out "$work/out" \
		--log "$work/kernel.log" --pid "$work/pid" \
		--disk "nbd+unix:///store?socket=$work/socket" \
		--disk "nbd+unix:///backend?socket=$work/socket" \
		-- bash selftests/power/machine.sh "$work/log" "$@" >"$work/said" 2>&1 &
	machine=$!
}

# ended: the machine is off; what its disks have stays
ended()
{
	local status=0
	wait "$machine" || status=$?
	machine=''
	kill -TERM "$disks"
	wait "$disks"
	disks=''
	rm -f "$work/socket"
	grep '^# ' "$work/said" || :
	! grep -E "$KMSG_BAD" "$work/kernel.log" || fail "the kernel log of the machine"
	return $status
}

said_all() { grep -q '^cut me$' "$work/said" || ! kill -0 "$machine"; }

# cut KEEP STEP FLUSH: a machine whose power is cut while it works
cut()
{
	local status=0
	note "$2, then writes with --flush=$3; the disks keep $1 % of what was not flushed"
	disks "$1"
	machine "$2" "$3"
	wait_until 280 "the machine works" said_all
	grep -q '^cut me$' "$work/said" || fail "$(tail -n 40 "$work/said")"
	sleep "$4"
	kill -USR1 "$disks"
	wait_until 30 "the disks are off" grep -q '^off$' "$work/disks"
	kill -9 "$(cat "$work/pid")"
	ended || status=$?
	note "$(grep -v '^off$' "$work/disks" | paste -sd ';')"
	[ $status = 125 ] || fail "the machine ended with status $status: $(tail -n 20 "$work/said")"
	cp "$work/out/log" "$work/log"
	note "$(wc -l <"$work/log") writes were acknowledged so far"
}

# between 0 and 1.5 s of load
moment() { printf '%d.%03d' $((RANDOM % 2)) $((RANDOM % 500)); }

cut 0 first local-durable "$(moment)"
cut 0 check remote "$(moment)"
cut 50 check-remote local-durable "$(moment)"
cut 50 recover remote "0.$((RANDOM % 400))"
disks 100
machine check none
ended || fail "$(tail -n 40 "$work/said")"
