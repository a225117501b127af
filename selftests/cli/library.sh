#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will install libr3map, build its examples with what pkg-config says, as shared and as
# static library, and run them with a stand-in for r3map; the library shows r3map_* and nothing
# else, and make uninstall takes all of it away.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../lib/test.sh"

requires_program pkg-config cc make nm
[ -e "$TEST_TOP/Makefile" ] || skip "the sources are not installed here"
prefix=$TEST_DIR/usr
lib=$prefix/lib/libr3map.so.0
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig LD_LIBRARY_PATH=$prefix/lib

# installed: everything is where it belongs
installed()
{
	MAKEFLAGS='' make --no-print-directory -C "$TEST_TOP" install PREFIX="$prefix" >"$TEST_DIR/log" 2>&1 ||
		{ sed 's/^/# /' "$TEST_DIR/log"; return 1; }
	[ -e "$prefix/include/r3map.h" ] && [ -e "$prefix/include/linux/r3map.h" ] &&
		[ -e "$prefix/share/man/man3/libr3map.3" ] && [ -e "$prefix/share/doc/libr3map/examples/slice.c" ]
}

# names: what a program can see of either form
names()
{
	local shown
	shown=$(nm -D --defined-only "$lib" | awk '{ print $3 }'; nm -g --defined-only "$prefix/lib/libr3map.a" | awk 'NF == 3 { print $3 }')
	[ "$(grep -c '^r3map_' <<<"$shown")" = 28 ] && ! grep -v '^r3map_' <<<"$shown" &&
		readelf -d "$lib" | grep -q 'SONAME.*libr3map.so.0'
}

# whole: the manual has each function of the header
whole()
{
	diff <(grep -oE '\br3map_[a-z_]+\(' "$prefix/include/r3map.h" | tr -d '(' | sort -u) \
		<(sed -n 's/^\.Fn \(r3map_[a-z_]*\) ".*/\1/p' "$prefix/share/man/man3/libr3map.3" | sort -u)
}

# built NAME FLAG...: an example
built()
{
	local name=$1
	shift
	# shellcheck disable=SC2046 # words are meant
	cc -std=c11 -Wall -Wextra -Wpedantic -Werror "$prefix/share/doc/libr3map/examples/$name.c" \
		$(pkg-config --cflags libr3map) "$@" -o "$TEST_DIR/$name"
}

# counts: the example counts its runs in a region that is a file
counts()
{
	local out
	out=$("$TEST_DIR/slice" mem:1M "program=$TEST_DIR/r3map") &&
		[ "$out" = "$TEST_DIR/region of 8192 bytes, run $1" ]
}

cat >"$TEST_DIR/r3map" <<'END'
#!/bin/sh
[ "$1" != mount ] || echo "${0%/*}/region"
END
chmod +x "$TEST_DIR/r3map"
truncate -s 8192 "$TEST_DIR/region"

# words: the example with memory that another process fills
words()
{
	printf 'two words' >"$TEST_DIR/text"
	truncate -s 8192 "$TEST_DIR/text"
	r3map uffd serve "file:$TEST_DIR/text" --improve none --socket "$TEST_DIR/sock" 2>"$TEST_DIR/log" &
	cleanup_fn kill $!
	wait_until 20 "the handler serves" test -S "$TEST_DIR/sock"
	[ "$("$TEST_DIR/words" "$TEST_DIR/sock" signals)" = "2 words in the first bytes of 8192" ]
}

ktap_plan 12
ktap_test "it is installed" installed
ktap_test "nothing but r3map_* is to be seen" names
ktap_test "the manual has all functions" whole
# shellcheck disable=SC2046 # words are meant
ktap_test "an example is built" built slice $(pkg-config --libs libr3map)
ktap_test "and runs" counts 1
# shellcheck disable=SC2046 # words are meant
ktap_test "the other one, too" built descriptor $(pkg-config --libs libr3map)
ktap_test "and it runs" eval "echo hello | '$TEST_DIR/descriptor' mem:1M program='$TEST_DIR/r3map' &&
	[ \"\$(head -n 1 '$TEST_DIR/region')\" = hello ] && truncate -s 0 '$TEST_DIR/region' && truncate -s 8192 '$TEST_DIR/region'"
# shellcheck disable=SC2046 # words are meant
ktap_test "that of memory without a device" built words $(pkg-config --libs libr3map)
ktap_test "which runs, too" words
ktap_test "the static library will do" built slice "$prefix/lib/libr3map.a" -pthread
ktap_test "for which nothing is looked for" env -u LD_LIBRARY_PATH "$TEST_DIR/slice" mem:1M "program=$TEST_DIR/r3map"
MAKEFLAGS='' make --no-print-directory -C "$TEST_TOP" uninstall PREFIX="$prefix" >/dev/null
ktap_test "it is uninstalled" eval "[ -z \"\$(find '$prefix' -type f -o -type l)\" ]"
ktap_status
