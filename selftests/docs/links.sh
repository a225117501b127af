#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will compare what README and Documentation say with the tree: files that
# are named exist, options that are named are options, attributes are documented, and
# the same test sees what is spoiled on purpose.

# shellcheck disable=SC2016 # what is quoted with `` is meant as it stands
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../lib/test.sh"

requires_program r3map
[ -e "$TEST_TOP/README.md" ] || skip "the documents are not installed here"
cd "$TEST_TOP" || exit 1

# documents: what people read, and what links to the rest of the tree
documents()
{
	find . -type f \( -name '*.md' -o -name '*.rst' \) -not -path './.git/*' -printf '%P\n' | LC_ALL=C sort
}

# found PATTERN FILE: what matches, a line each; nothing is fine
found()
{
	grep -oE -- "$1" "$2" || [ $? = 1 ]
}

# paths FILE: what it names of this tree, each with the folder that it is relative to: the top,
# or for `name.rst` and ](links) that of the document. What is built is not there before.
paths()
{
	local top='Documentation|kmod|uapi|user|selftests|bench|\.ci' dir
	dir=$(dirname "$1")
	found "(^|[^A-Za-z0-9_./-])($top)/[A-Za-z0-9_./*-]+" "$1" |
		sed -E '/\.ko$/d; s/^[^A-Za-z.]*//; s/[.]+$//; s/^/. /'
	found '`[a-z0-9-]+\.(rst|dot)`' "$1" | tr -d '`' | sed "s|^|$dir |"
	found '\]\([^)#]+' "$1" | sed -E "s/^\]\(//; /^[a-z]+:/d; s|^|$dir |"
}

# files_exist FILE...: each path named in these is there (a * stands for anything)
files_exist()
{
	local file base path bad=0 n=0
	for file in "$@"; do
		while read -r base path; do
			n=$((n + 1))
			# shellcheck disable=SC2086 # the * is to be expanded
			if ! ls -d $base/$path >/dev/null 2>&1; then
				note "$file: there is no $path"
				bad=1
			fi
		done < <(paths "$file" | sort -u)
	done
	[ $n -gt 0 ] || { note "no path was found"; return 1; }
	return $bad
}

# tests_exist FILE...: each ``ring/test`` in these is a file of selftests/
tests_exist()
{
	local path bad=0 n=0
	while read -r path; do
		n=$((n + 1))
		[ -f "selftests/$path" ] || { note "there is no selftests/$path"; bad=1; }
	done < <(grep -ohE '``(unit|proto|cli|docs|genl|dev|recover|stress|fuzz)/[a-z0-9-]+\.(sh|c)``' "$@" | tr -d '`' | sort -u)
	[ $n -gt 0 ] || { note "no test was found"; return 1; }
	return $bad
}

# protocol_whole HEADER FILE: what the header has of the protocol is told of in the other, but for
# magic numbers and limits of ours
protocol_whole()
{
	local name bad=0 n=0
	while read -r name; do
		n=$((n + 1))
		grep -qE "\`\`$name\`\`" "$2" || { note "$2 says nothing of $name"; bad=1; }
	done < <(found 'NBD_(FLAG|OPT|REP|INFO|CMD|REPLY_FLAG|REPLY_TYPE|STATE|E)_?[A-Z_0-9]+[[:space:]]+(=|\(1u <<|\(NBD_REP)' "$1" |
		sed -E 's/[[:space:]].*//' | grep -vE '^NBD_(REP_ERROR|REPLY_TYPE_ERROR_BIT)$' | sort -u)
	[ $n -ge 60 ] || { note "only $n names were found"; return 1; }
	return $bad
}

# options_known: every option of any command of the program, a line each
options_known()
{
	local c
	r3map --help >"$TEST_DIR/help"
	found '--[a-z][a-z-]*' "$TEST_DIR/help"
	for c in $(r3map --help | awk '/^Commands:/ { on = 1; next } !NF { on = 0 } on { print $1 }'); do
		r3map "$c" --help >"$TEST_DIR/help"
		found '--[a-z][a-z-]*' "$TEST_DIR/help"
	done
}

# options_exist FILE...: each --option in a line about r3map, or within ``, is one of these.
# Options of other programs stand beside them in no document.
options_exist()
{
	local known option bad=0 n=0
	known=$(options_known | sort -u)
	while read -r option; do
		n=$((n + 1))
		grep -qxF -- "$option" <<<"$known" || { note "there is no option $option"; bad=1; }
	done < <(grep -hE 'r3map|``--' "$@" | grep -oE -- '(^|[^A-Za-z0-9-])--[a-z][a-z-]*' |
		sed -E 's/^[^-]*//; s/-$//' | sort -u)
	[ $n -gt 0 ] || { note "no option was found"; return 1; }
	return $bad
}

# commands_exist FILE...: each "r3map WORD" within `` or after a prompt is a command
commands_exist()
{
	local known word bad=0 n=0
	known=$(r3map --help | awk '/^Commands:/ { on = 1; next } !NF { on = 0 } on { print $1 }')
	while read -r word; do
		n=$((n + 1))
		grep -qx -- "$word" <<<"$known" || { note "there is no command r3map $word"; bad=1; }
	done < <(grep -hoE '(``?|[#$] |exec )r3map [a-z]+' "$@" | sed 's/.*r3map //' | sort -u)
	[ $n -gt 0 ] || { note "no command was found"; return 1; }
	return $bad
}

# targets_exist FILE...: each "make WORD" in code is a target
targets_exist()
{
	local word bad=0 n=0
	while read -r word; do
		n=$((n + 1))
		grep -qE "^([a-z -]+ )?$word( [a-z -]+)?:" Makefile || { note "make has no $word"; bad=1; }
	done < <(sed -nE 's/.*(^|`|\$ |# )(sudo |[A-Z0-9]+=[^ ]+ )*make ([a-z][a-z-]+).*/\3/p' "$@" | sort -u)
	[ $n -gt 0 ] || { note "no target was found"; return 1; }
	return $bad
}

# attributes_agree ABI SOURCE: documented and compiled attributes are the same
attributes_agree()
{
	diff <(sed -n 's|^What:.*/r3map<N>/r3map/\([a-z_]*\)$|\1|p' "$1" | sort) \
		<(sed -n 's/^\t&dev_attr_\([a-z_]*\)\.attr,$/\1/p' "$2" | sort) >"$TEST_DIR/diff" &&
		[ "$(grep -c '^What:' "$1")" -ge 5 ] && return
	note "< documented, > compiled"
	sed 's/^/# /' "$TEST_DIR/diff"
	return 1
}

# entries_whole FILE...: each entry has all its fields
entries_whole()
{
	awk '
		function check() {
			if (what && missing = (!date ? " Date" : "") (!contact ? " Contact" : "") \
			    (!text ? " Description" : "") (!unit ? " Unit" : "")) {
				print "# " what ": missing:" missing; bad = 1
			}
			date = contact = text = unit = 0
		}
		/^What:/ { check(); what = $2; n++ }
		/^Date:/ { date = 1 }
		/^Contact:/ { contact = 1 }
		/^Description:/ { text = 1 }
		/^Unit:/ { unit = 1 }
		END { check(); exit bad || !n }' "$@"
}

# command_said: the README has the two commands in code, as they are to be typed
commands_said()
{
	grep -qE '^make demo( |$)' README.md && grep -qE '^make check( |$)' README.md
}

# spoilt TEXT CMD FILE...: CMD fails on these files, which were spoilt, and says TEXT
spoilt()
{
	local text=$1 said
	shift
	! said=$("$@") && grep -qF -- "$text" <<<"$said"
}

mapfile -t documents < <(documents)
[ ${#documents[@]} -ge 5 ] || fail "only ${#documents[@]} documents were found"
guides=(README.md Documentation/{admin-guide,design,protocol,release-notes}/*.rst)
abi=Documentation/ABI/testing/sysfs-block-r3map
printf '%s\n' 'see kmod/nosuch.c' >"$TEST_DIR/path.md"
printf '%s\n' '`nosuch.rst`' >"$TEST_DIR/link.rst"
printf '%s\n' 'r3map mount --nosuch' >"$TEST_DIR/option.md"
printf '%s\n' '# r3map nosuch' >"$TEST_DIR/command.md"
printf '%s\n' '`make nosuch`' >"$TEST_DIR/target.md"
printf '%s\n' 'Tests: ``unit/nosuch.c``' >"$TEST_DIR/test.rst"
sed '/``NBD_CMD_CACHE``/d' Documentation/protocol/nbd.rst >"$TEST_DIR/nbd.rst"
sed '/r3map\/depth$/s/depth/width/' "$abi" >"$TEST_DIR/abi"
sed '0,/^Unit:/{/^Unit:/d}' "$abi" >"$TEST_DIR/entry"

ktap_plan 18
ktap_test "files that are named exist" files_exist "${documents[@]}"
ktap_test "options that are named exist" options_exist "${guides[@]}"
ktap_test "commands that are named exist" commands_exist "${guides[@]}"
ktap_test "targets of make that are named exist" targets_exist README.md Documentation/admin-guide/*.rst
ktap_test "tests that are named exist" tests_exist Documentation/*/*.rst
ktap_test "all of the protocol is told of" protocol_whole user/nbd/protocol.h Documentation/protocol/nbd.rst
ktap_test "attributes in sysfs are those documented" attributes_agree "$abi" kmod/sysfs.c
ktap_test "entries of the ABI are whole" entries_whole Documentation/ABI/testing/*
ktap_test "the README has both commands" commands_said
ktap_test "a file that is not there is seen" spoilt "no kmod/nosuch.c" files_exist "$TEST_DIR/path.md"
ktap_test "a link to nothing is seen" spoilt "no nosuch.rst" files_exist "$TEST_DIR/link.rst"
ktap_test "an option that is not there is seen" spoilt "no option --nosuch" options_exist "$TEST_DIR/option.md"
ktap_test "a command that is not there is seen" spoilt "no command r3map nosuch" commands_exist "$TEST_DIR/command.md"
ktap_test "a target that is not there is seen" spoilt "no nosuch" targets_exist "$TEST_DIR/target.md"
ktap_test "a test that is not there is seen" spoilt "no selftests/unit/nosuch.c" tests_exist "$TEST_DIR/test.rst"
ktap_test "a part of the protocol that is left out is seen" spoilt "nothing of NBD_CMD_CACHE" \
	protocol_whole user/nbd/protocol.h "$TEST_DIR/nbd.rst"
ktap_test "an attribute that is not there is seen" spoilt "< width" attributes_agree "$TEST_DIR/abi" kmod/sysfs.c
ktap_test "an entry without a field is seen" spoilt "missing: Unit" entries_whole "$TEST_DIR/entry"
ktap_status
