# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What the questions about old copies share: a file "new", made of "old" in the current folder by changing PIECES of 64
# KiB, and what a command costs. Sourced behind bench.sh.

# shellcheck disable=SC2034 # for those who source this
R3MAP=${BENCH_R3MAP:-$BENCH_DIR/../user/r3map}

# delta_change PERCENT: makes "new" of "old"
delta_change()
{
	cp old new
	python3 - "$1" $PIECES <<-'END'
		import os, random, sys
		percent, pieces = int(sys.argv[1]), int(sys.argv[2])
		f = os.open("new", os.O_RDWR)
		for n in random.sample(range(pieces), pieces * percent // 100):
		    os.pwrite(f, os.urandom(65536), n * 65536)
	END
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
