#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Usage: packages.sh [build] [lab] [peers] [dev] [fuzz]
#
# Installs, by package name and asking nothing, what these groups need on a
# Debian machine; without a group, all of them. When everything is there it
# does nothing at all, and needs no root for that.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/common.sh"

declare -A PACKAGES=(
	# the program, the module, the unit tests
	[build]="gcc libc6-dev make pkg-config git kmod bc
		libnl-3-dev libnl-genl-3-dev liburing-dev libcjson-dev libgnutls28-dev
		libcmocka-dev"
	# the machines: fetch or build a kernel, boot it, be its file system
	[lab]="qemu-system-x86 busybox-static kmod iproute2 util-linux mount procps
		bsdextrautils xz-utils zstd gzip flex bison bc libelf-dev dwarves ca-certificates
		debian-archive-keyring"
	# the other ends of the protocol, and what the tests do with a device
	[peers]="python3 python3-yaml nbdkit nbd-client nbd-server libnbd-bin python3-libnbd qemu-utils fio
		e2fsprogs xfsprogs fdisk sqlite3 jq netcat-openbsd gnutls-bin strace"
	# style, documentation, packaging
	[dev]="sparse shellcheck perl clang-format dkms man-db groff"
	# fuzzing and sanitizers: 14 MB to fetch, 113 MB on the disk
	[fuzz]="clang libclang-rt-14-dev valgrind"
)

[ $# -gt 0 ] || set -- build lab peers dev fuzz
want=()
for group in "$@"; do
	[ -n "${PACKAGES[$group]:-}" ] ||
		vm_usage "unknown group '$group': give build, lab, peers, dev or fuzz"
	# shellcheck disable=SC2206 # words are meant
	want+=(${PACKAGES[$group]})
done
command -v dpkg-query >/dev/null ||
	vm_die "this is no Debian: install what these Debian packages hold: ${want[*]}"

missing=()
have=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${want[@]}" 2>/dev/null || :)
for p in "${want[@]}"; do
	grep -qx "$p installed" <<<"$have" || missing+=("$p")
done
[ ${#missing[@]} -gt 0 ] || exit 0

[ "$(id -u)" = 0 ] ||
	vm_die "packages are missing; run as root: apt-get install ${missing[*]}"
vm_say "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
mkdir -p "$R3MAP_CACHE/log"
log=$R3MAP_CACHE/log/packages.log
apt=(apt-get -q -y -o DPkg::Lock::Timeout=900 -o Acquire::Retries=3)
vm_logged "$log" "apt-get update" "${apt[@]}" update
vm_logged "$log" "installing packages" \
	"${apt[@]}" install --no-install-recommends "${missing[@]}"
vm_say "packages are there"
