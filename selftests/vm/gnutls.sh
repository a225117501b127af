#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Usage: gnutls.sh
#
# Makes a GnuTLS available that leaves encryption to the kernel where it is told to (kTLS), which Debian's
# is built without, and prints the folder that libgnutls.so.30 is in. It is the upstream source
# of this machine's own GnuTLS, from Debian, built with --enable-ktls. Kept in the cache, complete
# or not there at all. Only tests use it.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/common.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/debian.sh"

GNUTLS_OPTIONS=(--enable-ktls --disable-static --disable-doc --disable-tests --disable-tools --disable-cxx
	--disable-guile --disable-nls --disable-libdane --disable-openssl-compatibility
	--disable-maintainer-mode --with-included-unistring --without-tpm --without-tpm2
	--without-zlib --without-brotli --without-zstd)

version=$(pkg-config --modversion gnutls) ||
	vm_die "no development files of GnuTLS: run selftests/vm/packages.sh build"
key=$(printf '%s\n' "${GNUTLS_OPTIONS[@]}" "$(gcc --version | head -n 1)" | sha256sum | cut -c1-10)
dir=$R3MAP_CACHE/gnutls/$version-$key
mkdir -p "$R3MAP_CACHE/gnutls"
vm_lock "$R3MAP_CACHE/gnutls/.lock" "GnuTLS"
if [ ! -e "$dir" ]; then
	tmp=$R3MAP_CACHE/gnutls/.new
	rm -rf "$tmp"
	mkdir -p "$tmp/source" "$tmp/lib"
	suite=$(debian_codename)
	debian_setup gnutls-source "$suite" "$suite-security"
	debian_source "$tmp" gnutls28
	vm_say "building GnuTLS $version with kTLS: about 3 minutes on 2 cores"
	tar -C "$tmp/source" --strip-components=1 -xf "$tmp"/gnutls28_*.orig.tar.xz
	cd "$tmp/source"
	vm_logged "$tmp/log" "configuring GnuTLS" ./configure "${GNUTLS_OPTIONS[@]}"
	jobs=$(($(nproc) + 1))
	vm_logged "$tmp/log" "building GnuTLS" make -s -C gl -j "$jobs"
	vm_logged "$tmp/log" "building GnuTLS" make -s -C lib -j "$jobs"
	cd /
	cp -L "$tmp/source/lib/.libs/libgnutls.so.30" "$tmp/lib/"
	rm -rf "$tmp/source" "$tmp"/gnutls28_*
	mv "$tmp" "$dir"
	vm_say "GnuTLS $version with kTLS is ready"
fi
printf '%s\n' "$dir/lib"
