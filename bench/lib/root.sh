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

# root_fio: bench_fio runs it in there from now on, with the jobs in BENCH_JOBS, which may be changed. It then begins when it is
# started, not when the host has read it; and what a job runs by exec_prerun is of the root, too.
root_fio()
{
	local program
	for program in fio env busybox; do root_install "$(command -v $program)"; done
	mkdir -p "$ROOT/bin"
	ln -sf "$(command -v busybox)" "$ROOT/bin/sh"
	cp -r "$BENCH_DIR/jobs" "$ROOT/jobs"
	# shellcheck disable=SC2034 # for bench_fio
	BENCH_JOBS=$ROOT/jobs
	# chroot leaves the shell's folder, and a job finds what it includes where fio runs
	# shellcheck disable=SC2034
	BENCH_FIO="chroot $ROOT $(command -v env) -C /jobs $(command -v fio)"
}

# root_timed COMMAND...: run it in there; what it took, in seconds, is in ROOT_TOOK. Behind "root_timed -n NAMESPACE" in a
# network namespace.
root_timed()
{
	local where=()
	if [ "$1" = -n ]; then
		where=(ip netns exec "$2")
		shift 2
	fi
	root_install "$(command -v busybox)"
	# the shell and its clock are in there, too: to start a program from outside takes any time
	# shellcheck disable=SC2016 # for that shell
	"${where[@]}" chroot "$ROOT" "$(command -v busybox)" sh -c '
		read -r begin _ </proc/uptime
		"$@"
		status=$?
		read -r end _ </proc/uptime
		echo "$begin $end" >/tmp/took
		exit $status' root_timed "$@" || return
	# shellcheck disable=SC2034 # for those who source this
	ROOT_TOOK=$(awk '{ print $2 - $1 }' "$ROOT/tmp/took")
}
