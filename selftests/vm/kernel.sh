#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Usage: kernel.sh [--update] NAME
#
# Makes one kernel of the lab available and prints where it is, as shell
# assignments on stdout:
#
#	KERNEL_RELEASE	what uname -r says in it
#	KERNEL_IMAGE	the image to boot, uncompressed
#	KERNEL_ROOT	holds lib/modules/KERNEL_RELEASE
#	KERNEL_KDIR	where modules are built against it
#
# 6.1 and 6.12 are stock Debian packages, unpacked; 7.2 is built here from
# Debian's linux-source with debug.config and debug.plain. The result is kept in the cache
# (keyed by version, and by the hash of what it was made from), complete or
# not there at all. --update looks for a newer one even if one is there.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/common.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/debian.sh"

# raise it when what this script makes changes: older results are then left
KERNEL_RECIPE=1
KERNEL_HERE=$(cd "$(dirname "$0")" && pwd -P)

update=0
if [ "${1:-}" = --update ]; then
	update=1
	shift
fi
[ $# = 1 ] || vm_usage "give one kernel: 6.1, 6.12 or 7.2"
name=$1

# kernel_key: what the recipe of this kernel depends on, besides its version
kernel_key()
{
	{
		echo "$KERNEL_RECIPE"
		case $name in
		7.*) cat "$KERNEL_HERE"/debug.{config,plain}; gcc --version | head -n 1 ;;
		esac
	} | sha256sum | cut -c1-10
}

# kernel_found: the newest complete kernel in the cache for this recipe
kernel_found()
{
	find "$R3MAP_CACHE/kernel" -maxdepth 1 -type d \
		-name "$name-*-$key" 2>/dev/null | sort -V | tail -n 1
}

# kernel_headers DIR RELEASE FINAL: make headers unpacked in DIR usable once
# DIR has been renamed to FINAL
kernel_headers()
{
	local src=$1/usr/src f
	# the packages name each other by absolute path
	for f in "$src/linux-headers-$2/Makefile" "$src"/linux-headers-*-common/Makefile \
		"$src/linux-headers-$2/.kernelvariables"; do
		[ -f "$f" ] || continue
		sed -i "s#\([ =]\)/usr/src/#\1$3/usr/src/#g" "$f"
	done
	while IFS= read -r f; do
		case $(readlink "$f") in
		/*) ln -sfn "$3$(readlink "$f")" "$f" ;;
		esac
	done < <(find "$src" "$1/lib/modules/$2" -maxdepth 2 -type l)
	ln -sfn "$3/usr/src/linux-headers-$2" "$1/lib/modules/$2/build"
}

# kernel_stock DIR: unpack the newest stock kernel of the series into DIR
kernel_stock()
{
	local dir=$1 image headers common release pkg
	local series=${name//./\\.}
	image=$(debian_newest "linux-image-$series\.[0-9][0-9a-z.+]*(-[0-9]+)?-amd64")
	[ -n "$image" ] || vm_die "no package linux-image-$name.* in these suites: check the mirror in /etc/apt"
	release=${image#linux-image-}
	headers=linux-headers-$release
	mapfile -t pkg < <(debian_depends "$headers" 'linux-(headers-.*-common|kbuild-.*)')
	common=$image\ $headers\ ${pkg[*]}
	vm_say "downloading and unpacking $common"
	debian_unpack "$dir" "$image" "$headers" "${pkg[@]}"
	kernel_env "$release" "boot/vmlinuz-$release" "usr/src/linux-headers-$release" "$dir"
	if [ -d "$dir/usr/lib/modules" ] && [ ! -e "$dir/lib" ]; then
		ln -s usr/lib "$dir/lib"
	fi
	depmod -b "$dir" "$release"
	kernel_version=$release
}

# kernel_env RELEASE IMAGE KDIR DIR: write DIR/env, with paths relative to DIR
kernel_env()
{
	printf 'KERNEL_RELEASE=%s\nKERNEL_IMAGE=%s\nKERNEL_KDIR=%s\n' \
		"$1" "$2" "$3" >"$4/env"
}

# kernel_option_check CONFIG: every option of debug.config must have its value
kernel_option_check()
{
	local line opt bad=0
	while read -r line; do
		case $line in
		CONFIG_*=n) opt=${line%%=*}; ! grep -q "^$opt=" "$1" ;;
		CONFIG_*) grep -qxF "$line" "$1" ;;
		'# CONFIG_'*' is not set') opt=${line#\# }; ! grep -q "^${opt%% *}=" "$1" ;;
		*) : ;;
		esac || { echo "debug.config: '$line' did not end up in the kernel" >&2; bad=1; }
	done <"$KERNEL_HERE/debug.config"
	[ $bad = 0 ] || vm_die "debug.config asks for what this kernel cannot give: correct the lines above"
}

# kernel_plain TREE: no sanitizers in the folders of debug.plain
kernel_plain()
{
	local folder
	while read -r folder; do
		case $folder in '' | '#'*) continue ;; esac
		[ -d "$1/$folder" ] || vm_die "debug.plain: this kernel has no folder $folder: correct the name"
		find "$1/$folder" -name Makefile -exec \
			sed -i '$a\KASAN_SANITIZE := n\nUBSAN_SANITIZE := n' {} +
	done <"$KERNEL_HERE/debug.plain"
}

# kernel_debug DIR: build the debug kernel into DIR
kernel_debug()
{
	local dir=$1 pkg tree out release jobs
	pkg=linux-source-$name
	[ -n "$(debian_newest "${pkg//./\\.}")" ] ||
		pkg=$(debian_newest 'linux-source-7\.[0-9]+')
	[ -n "$pkg" ] || vm_die "no package linux-source-7.* in sid: check the mirror in /etc/apt"
	vm_say "downloading $pkg"
	debian_unpack "$dir" "$pkg"
	vm_say "unpacking $pkg"
	tree=$dir/source
	out=$dir/build
	mkdir -p "$tree" "$out"
	tar -C "$tree" --strip-components=1 -xf "$dir/usr/src/$pkg.tar.xz"
	rm -rf "${dir:?}/usr"
	kernel_plain "$tree"
	make -s -C "$tree" O="$out" tinyconfig >"$dir/log" 2>&1
	(cd "$tree" && scripts/kconfig/merge_config.sh -m -O "$out" "$out/.config" \
		"$KERNEL_HERE/debug.config") >>"$dir/log" 2>&1
	make -s -C "$tree" O="$out" olddefconfig >>"$dir/log" 2>&1
	kernel_option_check "$out/.config"
	# one more than processors: whatever else runs meanwhile waits for this in the end
	jobs=$(($(nproc) + 1))
	release=$(make -s -C "$tree" O="$out" kernelrelease)
	vm_say "building $release with $jobs jobs: about 10 minutes on 2 cores"
	kernel_progress "$out" &
	progress=$!
	vm_logged "$dir/log" "building $release" \
		make -s -C "$tree" O="$out" -j "$jobs" vmlinux modules
	vm_logged "$dir/log" "installing the modules of $release" \
		make -s -C "$tree" O="$out" INSTALL_MOD_PATH="$dir" modules_install
	kill "$progress" 2>/dev/null || :
	wait "$progress" 2>/dev/null || :
	progress=
	objcopy --strip-all --remove-section .comment "$out/vmlinux" "$dir/vmlinux"
	kernel_prune "$tree" "$out"
	kernel_env "$release" vmlinux build "$dir"
	kernel_version=$release
}

# kernel_moved DIR FINAL: a build tree names its source by absolute path
kernel_moved()
{
	local f
	for f in "$1/build/Makefile" "$1/build/source"; do
		if [ -L "$f" ]; then
			ln -sfn "$2/source" "$f"
		elif [ -f "$f" ]; then
			sed -i "s#$1/#$2/#g" "$f"
		fi
	done
}

# kernel_unwrap BZIMAGE VMLINUX: the kernel inside, uncompressed: the machine
# starts that directly, and its emulated processor need not unpack anything
kernel_unwrap()
{
	local skip size unpack
	# the setup header tells where the payload is, behind the setup sectors
	skip=$((($(od -An -tu1 -j $((0x1f1)) -N 1 "$1") + 1) * 512 +
		$(od -An -tu4 -j $((0x248)) -N 4 "$1")))
	size=$(od -An -tu4 -j $((0x24c)) -N 4 "$1")
	# the unpacked size stands behind the packed data, unless that has its own
	case $(od -An -tx1 -j $skip -N 4 "$1" | tr -d ' ') in
	fd377a58) unpack=xz size=$((size - 4)) ;;
	28b52ffd) unpack=zstd size=$((size - 4)) ;;
	*) vm_die "$1 is packed in an unknown way: teach kernel_unwrap about it" ;;
	esac
	dd if="$1" iflag=skip_bytes,count_bytes skip=$skip count="$size" bs=1M status=none |
		$unpack -dc >"$2.new"
	mv "$2.new" "$2"
}

# kernel_progress BUILD: a line a minute, so that nobody thinks it hangs
kernel_progress()
{
	while sleep 60; do
		vm_say "still building: $(find "$1" -name '*.o' | wc -l) objects"
	done
}

# kernel_prune TREE BUILD: drop what building a module does not need
kernel_prune()
{
	find "$2" \( -name '*.o' -o -name '*.a' -o -name '.*.cmd' \) \
		-not -path '*/scripts/*' -not -path '*/tools/*' -delete
	rm -rf "$2/vmlinux" "$2/vmlinux.unstripped" "$2/arch/x86/boot"
	find "$1" -mindepth 1 -maxdepth 1 -type d -not -name arch -not -name include \
		-not -name scripts -not -name tools -exec rm -rf {} +
	find "$1/arch" -mindepth 1 -maxdepth 1 -type d -not -name x86 -exec rm -rf {} +
}

key=$(kernel_key)
mkdir -p "$R3MAP_CACHE/kernel"
vm_lock "$R3MAP_CACHE/kernel/$name.lock" "kernel $name"
dir=$(kernel_found)
if [ -z "$dir" ] || [ $update = 1 ]; then
	tmp=$R3MAP_CACHE/kernel/.new-$name
	rm -rf "$tmp"
	mkdir -p "$tmp"
	progress=
	trap '[ -z "$progress" ] || kill "$progress" 2>/dev/null || :' EXIT
	kernel_version=
	vm_say "kernel $name: not in the cache ($R3MAP_CACHE/kernel)"
	host=$(debian_codename)
	case $name in
	6.1)
		debian_setup "$name" bookworm bookworm-updates bookworm-security
		kernel_stock "$tmp"
		;;
	6.12)
		# the headers' tools must run with the C library of this machine
		case $host in
		bookworm) debian_setup "$name" bookworm-backports ;;
		*) debian_setup "$name" trixie trixie-security ;;
		esac
		kernel_stock "$tmp"
		;;
	7.*)
		debian_setup "$name" sid
		kernel_debug "$tmp"
		;;
	*)
		vm_usage "unknown kernel '$name': give 6.1, 6.12 or 7.2"
		;;
	esac
	dir=$R3MAP_CACHE/kernel/$name-$kernel_version-$key
	if [ -d "$tmp/usr/src" ]; then
		kernel_headers "$tmp" "$kernel_version" "$dir"
	else
		ln -sfn "$dir/build" "$tmp/lib/modules/$kernel_version/build"
		kernel_moved "$tmp" "$dir"
	fi
	rm -rf "$dir"
	mv "$tmp" "$dir"
	vm_say "kernel $name: $kernel_version is ready"
fi

# shellcheck disable=SC1091
. "$dir/env"
[ -e "$dir/vmlinux" ] || kernel_unwrap "$dir/$KERNEL_IMAGE" "$dir/vmlinux"
printf 'KERNEL_NAME=%q\nKERNEL_RELEASE=%q\nKERNEL_ROOT=%q\nKERNEL_IMAGE=%q\nKERNEL_KDIR=%q\n' \
	"$name" "$KERNEL_RELEASE" "$dir" "$dir/vmlinux" "$dir/$KERNEL_KDIR"
