#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Usage: style.sh
#
# What can be said about the tree without running it: shell scripts pass
# the shell checker, every source starts with its licence, no line ends in blanks,
# the version is the same everywhere, the module has the kernel's own style as far
# as checkpatch knows it, and is clean under sparse for the kernel of SPARSE (6.12;
# empty for none). Prints what is wrong, and fails when anything is.

set -uo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/vm/common.sh"
cd "$R3MAP_TOP" || exit 1
bad=0

mapfile -t files < <(git ls-files -co --exclude-standard 2>/dev/null |
	grep -vE '^(COPYING|bench/results/|selftests/fuzz/corpus/)')
[ ${#files[@]} -gt 0 ] || vm_die "no file known to git in $R3MAP_TOP: run it in a clone"
scripts=()
for f in "${files[@]}"; do
	[ -f "$f" ] || continue
	case $(head -c 64 "$f" | head -n 1 | tr -d '\0') in
	'#!'*bash* | '#!'*/sh | '#!'*' sh') scripts+=("$f") ;;
	esac
	case $f in
	*.[chsly] | *.sh | *.py | *.yaml | *.fio | Makefile | */Makefile | Kbuild | */Kbuild)
		head -n 3 "$f" | grep -q 'SPDX-License-Identifier:' ||
			{ echo "$f: no SPDX line at its start"; bad=1; }
		;;
	*.png | *.svg | *.patch) continue ;;
	esac
	! grep -nIE '[[:space:]]+$' "$f" | head -n 3 | sed "s|^|$f: blanks at the end of line |" | grep . || bad=1
done

if command -v shellcheck >/dev/null; then
	shellcheck -x -P SCRIPTDIR -e SC1091 "${scripts[@]}" || bad=1
else
	echo "shellcheck is missing: install the package shellcheck"
	bad=1
fi

version=$(sed -n 's/^VERSION := //p' Makefile)
while read -r file is; do
	[ "$is" = "$version" ] || { echo "$file: version $is, but the Makefile says $version"; bad=1; }
done < <(sed -n 's/^#define R3MAP_VERSION "\(.*\)"$/kmod\/main.h \1/p' kmod/main.h
	sed -nE 's/^(module|program) +/Documentation\/man\/r3map-features.8 /p' Documentation/man/r3map-features.8)
[ -e "Documentation/release-notes/$version.rst" ] ||
	{ echo "Documentation/release-notes/$version.rst is missing"; bad=1; }

# style_checkpatch: where there is one; Debian's headers have none, so that is mostly
# the sources of the lab's debug kernel
style_checkpatch()
{
	local f
	for f in "$R3MAP_CACHE"/kernel/*/source/scripts/checkpatch.pl \
		"/lib/modules/$(uname -r)"/{build,source}/scripts/checkpatch.pl; do
		[ ! -e "$f" ] || { printf '%s\n' "$f"; return; }
	done
}

# style_unwanted FILE: the types of checkpatch that are wrong about FILE, and why
style_unwanted()
{
	# kzalloc_obj() and the like are younger than the oldest kernel
	echo ALLOC_WITH_SIZEOF
	case $1 in
	# BIT() is not for user space
	uapi/*) echo BIT_MACRO ;;
	# version checks are what this file is for; its other oddities are the kernel's own
	kmod/compat.h) printf '%s\n' LINUX_VERSION_CODE CONSTANT_COMPARISON NEW_TYPEDEFS BIT_MACRO ;;
	# 1U << 20 is a mebibyte there, not a bit
	kmod/netlink_device.c) echo BIT_MACRO ;;
	# an initializer: nothing is evaluated twice
	kmod/netlink.c) echo MACRO_ARG_REUSE ;;
	# events are written as all the kernel's are
	kmod/trace.h) printf '%s\n' OPEN_ENDED_LINE PARENTHESIS_ALIGNMENT ;;
	esac
}

checkpatch=$(style_checkpatch)
if [ -n "$checkpatch" ]; then
	tmp=$(mktemp -d "${TMPDIR:-/tmp}/r3map-style.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	for f in "${files[@]}"; do
		case $f in kmod/*.[ch] | uapi/*.h) ;; *) continue ;; esac
		[ -f "$f" ] || continue
		mkdir -p "$tmp/$(dirname "$f")"
		# it counts bytes: a letter that has several must not make a line too long
		LC_ALL=C.UTF-8 sed 's/[^\t -~]/-/g' "$f" >"$tmp/$f"
		out=$(cd "$tmp" && perl "$checkpatch" --no-tree --strict --terse --quiet --no-summary \
			--show-types --ignore "$(style_unwanted "$f" | paste -sd ,)" -f "$f" 2>&1) || bad=1
		[ -z "$out" ] || { printf '%s\n' "$out"; bad=1; }
	done
else
	echo "no kernel source here has checkpatch.pl: kmod/ and uapi/ were not checked with it (selftests/vm/kernel.sh 7.2 fetches one)"
fi

SPARSE=${SPARSE-6.12}
for kernel in $SPARSE; do
	out=$(WERROR=1 C=1 selftests/vm/module.sh "$kernel" 2>&1) || bad=1
	grep -E 'warning|error|module.sh:' <<<"$out" && bad=1
done
[ $bad = 0 ] && echo "style: nothing to say"
exit $bad
