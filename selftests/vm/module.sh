#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Usage: [WERROR=1] [C=1] module.sh NAME
#
# Builds r3map.ko for one kernel of the lab and prints its path. The build
# happens in a private copy of the sources in the cache, so that kernels do
# not get in each other's way and the tree stays clean. Nothing is built when
# nothing changed. WERROR=1 turns warnings into errors, C=1 runs sparse too.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/common.sh"
here=$(cd "$(dirname "$0")" && pwd -P)

[ $# = 1 ] || vm_usage "give one kernel: 6.1, 6.12 or 7.2"
vars=$("$here/kernel.sh" "$1")
eval "$vars"
[ -d "$R3MAP_TOP/kmod" ] || vm_die "there is no kmod/ in $R3MAP_TOP: nothing to build"

werror=${WERROR:-0} check=${C:-0}
# one build folder per tree, kernel and way of building
dir=$R3MAP_CACHE/module/$(printf '%s' "$R3MAP_TOP" | sha256sum | cut -c1-8)/$(
	basename "$KERNEL_ROOT")-w$werror-c$check
vm_lock "$dir.lock" "r3map.ko for $1"
sum=$(cd "$R3MAP_TOP" && find Kbuild Makefile kmod uapi -type f \
	\( -name '*.[ch]' -o -name Kbuild -o -path Makefile \) -print0 |
	LC_ALL=C sort -z | xargs -0 sha256sum)
if [ ! -e "$dir/r3map.ko" ] || [ "$sum" != "$(cat "$dir/sum" 2>/dev/null)" ]; then
	rm -f "$dir/r3map.ko" "$dir/sum"
	# a file that is not compiled again does not repeat its warnings
	[ "$werror$check" = 00 ] || rm -rf "${dir:?}/src"
	mkdir -p "$dir/src"
	# times are kept, so make sees what changed; what is gone goes
	(cd "$dir/src" && find . -type f \( -name '*.[ch]' -o -name Kbuild \) \
		-not -name '*.mod.c' -print0) |
		while IFS= read -r -d '' f; do
			[ -e "$R3MAP_TOP/$f" ] || rm -f "$dir/src/$f"
		done
	(cd "$R3MAP_TOP" && find Kbuild kmod uapi -type f \
		\( -name '*.[ch]' -o -name Kbuild \) -not -name '*.mod.c' \
		-exec cp --parents -pu {} "$dir/src" \;)
	args=(-C "$KERNEL_KDIR" "M=$dir/src" W=1 -j "$(nproc)" "C=$check"
		"R3MAP_VERSION=$(sed -n 's/^VERSION *:*= *//p' "$R3MAP_TOP/Makefile" | head -n 1)")
	[ "$werror" = 0 ] || args+=(KCFLAGS=-Werror)
	# a stock kernel may have been built by a compiler of another name
	[ -z "${CC:-}" ] || args+=("CC=$CC")
	if ! make "${args[@]}" modules >"$dir/log" 2>&1 </dev/null; then
		grep -v -e '^make' "$dir/log" | tail -n 60 >&2
		vm_die "r3map.ko does not build for $KERNEL_RELEASE; the whole output is in $dir/log"
	fi
	grep -E 'warning:|error:' -A4 "$dir/log" >&2 || :
	if [ "$werror" = 1 ] && grep -qE '(warning|error):' "$dir/log"; then
		vm_die "r3map.ko for $KERNEL_RELEASE builds with warnings; the whole output is in $dir/log"
	fi
	! grep -q 'C=. specified, but' "$dir/log" ||
		vm_say "this machine's sparse is too old for $KERNEL_RELEASE: not checked with it"
	cp "$dir/src/kmod/r3map.ko" "$dir/r3map.ko"
	printf '%s\n' "$sum" >"$dir/sum"
fi
printf '%s\n' "$dir/r3map.ko"
