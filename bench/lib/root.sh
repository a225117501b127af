# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# A small root in memory, with what is timed in it: the host's disk has no
# virtual time, so a file that is opened there would cost anything between
# nothing and minutes. Sourced behind bench.sh.

ROOT=$BENCH_TMP/root

# root_make: an almost empty root with this BENCH_TMP and the kernel's own
root_make()
{
	local dir
	mkdir -p "$ROOT/run" "$ROOT/tmp"
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
