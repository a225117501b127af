# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What the questions about old copies share: a file "new", made of "old" in the current folder by changing pieces of it,
# bringing a copy of it up to date, and what a command costs. Sourced behind bench.sh.

# shellcheck disable=SC2034 # for those who source this
R3MAP=${BENCH_R3MAP:-$BENCH_DIR/../user/r3map}

# delta_change PERCENT [BYTES]: makes "new" of "old", with other bytes in so many of its pieces of BYTES (64 KiB)
delta_change()
{
	cp old new
	python3 - "$1" "${2:-65536}" <<-'END'
		import os, random, sys
		percent, size = int(sys.argv[1]), int(sys.argv[2])
		f = os.open("new", os.O_RDWR)
		pieces = os.fstat(f).st_size // size
		for n in random.sample(range(pieces), pieces * percent // 100):
		    os.pwrite(f, os.urandom(size), n * size)
	END
}

# delta_first on|off: does this shell, with what it starts, come before all else?
delta_first()
{
	[ "${BENCH_FIRST:-0}" = 1 ] || return 0
	case $1 in
	on) chrt -f -p 10 $BASHPID ;;
	off) chrt -o -p 0 $BASHPID ;;
	esac
}

# delta_r3map [OPTION...]: brings copies/new up to date; $receiver is the other end until it has ended
delta_r3map()
{
	rm -f receive.err
	"$R3MAP" receive --once -l "unix:$PWD/socket" copies >/dev/null 2>receive.err &
	receiver=$!
	bench_wait "r3map receive" grep -qs 'listens on' receive.err
	"$R3MAP" send -j "$@" --to "unix:$PWD/socket" new
	wait $receiver
	receiver=''
}

# delta_timed CMD...: adds what it takes to $seconds, by the clock, and $cpu, its own and that of children that it waits for
delta_timed()
{
	local real user system
	TIMEFORMAT='%R %U %S'
	{ time "$@" >out 2>run.err; } 2>run.times || bench_die "$1: $(tail -n 3 run.err)"
	read -r real user system <run.times
	seconds=$(awk -v a="$seconds" -v b="$real" 'BEGIN { print a + b }')
	cpu=$(awk -v a="$cpu" -v u="$user" -v s="$system" 'BEGIN { print a + u + s }')
}
