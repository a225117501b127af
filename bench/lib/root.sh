# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# A small root in memory, with what is timed in it: the host's disk has no
# virtual time, so a file that is opened there would cost anything between
# nothing and minutes. Sourced behind bench.sh.

ROOT=$BENCH_TMP/root

# root_make: an almost empty root with this BENCH_TMP and the kernel's own, and
# the list of libraries that every system has: without it each program looks
# for its first one in 20 folders
root_make()
{
	local dir
	mkdir -p "$ROOT/run" "$ROOT/tmp" "$ROOT/etc"
	cp /etc/ld.so.cache "$ROOT/etc"
	for dir in /dev /proc /sys "$BENCH_TMP"; do
		mkdir -p "$ROOT$dir"
		mount --bind "$dir" "$ROOT$dir"
	done
}

# root_install PROGRAM: copy it and its libraries into the root
root_install()
{
	local file
	for file in "$1" $(ldd "$1" 2>/dev/null | grep -o '/[^ ]*'); do
		mkdir -p "$ROOT$(dirname "$file")"
		[ -e "$ROOT$file" ] || cp -L "$file" "$ROOT$file"
	done
}
