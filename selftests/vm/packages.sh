#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Usage: packages.sh [build] [lab] [peers] [dev] [fuzz]
#        packages.sh bench|headers|dkms
#
# Installs, by package name and asking nothing, what these groups need on a
# Debian machine; without a group, all of these five. When everything is there it
# does nothing at all, and needs no root for that.
#
# headers: what modules for the running kernel are built with. Not every kernel is
# one of Debian's, and most of what is done here needs none for the running one: that
# they cannot be had is no error, and the caller looks for himself.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/common.sh"

declare -A PACKAGES=(
	# the program, the module, the unit tests
	[build]="gcc libc6-dev make pkg-config git kmod bc
		libnl-3-dev libnl-genl-3-dev liburing-dev libcjson-dev libgnutls28-dev
		libxxhash-dev libcmocka-dev"
	# the machines: fetch or build a kernel, boot it, be its file system
	[lab]="qemu-system-x86 busybox-static kmod iproute2 util-linux mount procps
		bsdextrautils xz-utils zstd gzip flex bison bc libelf-dev dwarves ca-certificates
		debian-archive-keyring"
	# the other ends of the protocol, and what the tests do with a device
	[peers]="python3 python3-yaml nbdkit nbd-client nbd-server libnbd-bin python3-libnbd qemu-utils fio
		e2fsprogs xfsprogs fdisk sqlite3 jq stress-ng netcat-openbsd gnutls-bin strace rsync"
	# what only benchmarks need: pictures; who tells that a device is there
	[bench]="gnuplot-nox udev libudev-dev"
	# style, documentation, packaging
	[dev]="sparse shellcheck perl clang-format dkms man-db groff"
	# fuzzing and sanitizers: 14 MB to fetch, 113 MB on the disk
	[fuzz]="clang libclang-rt-14-dev valgrind"
	# the module for each kernel that this machine gets
	[dkms]="dkms"
	[headers]="linux-headers-$(uname -r)"
)

[ $# -gt 0 ] || set -- build lab peers dev fuzz
want=()
for group in "$@"; do
	[ -n "${PACKAGES[$group]:-}" ] ||
		vm_usage "unknown group '$group': give build, lab, peers, dev, fuzz, bench, dkms or headers"
	# shellcheck disable=SC2206 # words are meant
	want+=(${PACKAGES[$group]})
done
command -v dpkg-query >/dev/null || {
	[ "$*" != headers ] || exit 0
	vm_die "this is no Debian: install what these Debian packages hold: ${want[*]}"
}

missing=()
have=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${want[@]}" 2>/dev/null || :)
for p in "${want[@]}"; do
	grep -qx "$p installed" <<<"$have" || missing+=("$p")
done
[ ${#missing[@]} -gt 0 ] || exit 0

export DEBIAN_FRONTEND=noninteractive
apt=(apt-get -q -y -o DPkg::Lock::Timeout=900 -o Acquire::Retries=3)
log=$R3MAP_CACHE/log/packages.log

# packages_install: what is missing, or the end of this script
packages_install()
{
	vm_say "installing ${missing[*]}"
	mkdir -p "$R3MAP_CACHE/log"
	vm_logged "$log" "apt-get update" "${apt[@]}" update
	vm_logged "$log" "installing packages" \
		"${apt[@]}" install --no-install-recommends "${missing[@]}"
	vm_say "packages are there"
}

# packages_known: does apt know the missing headers? Where it knows none at all it has no lists.
packages_known()
{
	local known
	known=$(apt-cache pkgnames linux-headers-) || :
	[ -z "$known" ] || grep -qx -- "${missing[0]}" <<<"$known"
}

if [ "$*" = headers ]; then
	[ "$(id -u)" = 0 ] || exit 0
	packages_known || exit 0
	(packages_install) || vm_say "there are no headers of $(uname -r) to be had"
	exit 0
fi
[ "$(id -u)" = 0 ] ||
	vm_die "packages are missing; run as root: apt-get install ${missing[*]}"
packages_install
