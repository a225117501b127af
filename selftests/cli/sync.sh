#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will compare commands, options, letters, values and backends as
# --help, the manual and the bash completion have them: all three must agree.

. "$(dirname "$0")/../lib/test.sh"

requires_program r3map
man=$TEST_TOP/Documentation/man
completion=$TEST_TOP/user/completion/r3map
cd "$TEST_DIR"

# same WHAT A B: both files have the same lines, in any order
same()
{
	if ! diff -u <(sort "$2") <(sort "$3") >diff.txt; then
		sed 's/^/# /' diff.txt
		return 1
	fi
	[ -s "$2" ] || { note "$1: nothing was found in $2"; return 1; }
}

# "--name LETTER VALUE" of each option, "-" where there is none.
# --help puts two spaces or more before the text: what stands before them is the option
options_help()
{
	r3map "$1" --help | awk '
		/^Options:/ { on = 1; next }
		!NF { on = 0 }
		on && /^  (-.,|   ) --/ {
			line = substr($0, 3)
			letter = substr(line, 1, 1) == "-" ? substr(line, 2, 1) : "-"
			line = substr(line, 5)
			sub(/  .*/, "", line)
			n = split(line, word, " ")
			print word[1], letter, (n > 1 ? word[2] : "-")
		}'
}

options_man()
{
	awk '
		/^\.Sh / { on = $2 == "OPTIONS" }
		on && /^\.It Fl / {
			letter = "-"; value = "-"; name = ""
			for (i = 3; i <= NF; i++) {
				if ($i == "Fl" || $i == ",") continue
				if ($i == "Ar") { value = $(++i); continue }
				if ($i ~ /^-/) name = "-" $i
				else letter = $i
			}
			print name, letter, value
		}' "$man/r3map-$1.8"
}

options_completion()
{
	(
		# shellcheck disable=SC2317
		complete() { :; }
		# shellcheck source=/dev/null
		. "$completion"
		local word
		for word in ${_r3map_options[$1]-}; do
			case $word in
			*=) echo "${word%=} value" ;;
			*) echo "$word -" ;;
			esac
		done
	)
}

# which options may be repeated: as the manual has it ...
repeated_man()
{
	awk '
		/^\.Sh / { on = $2 == "OPTIONS" }
		on && /^\.It Fl / { name = "" ; for (i = 3; i <= NF; i++) if ($i ~ /^-/) name = "-" $i }
		on && /^May be repeated\.$/ { print name }' "$man/r3map-$1.8"
}

# ... as --help has it ...
repeated_help()
{
	r3map "$1" --help | awk '
		/^  (-.,|   ) --/ { name = $1 ~ /^--/ ? $1 : $2 }
		/; may be repeated$/ { print name }'
}

# ... and as the program has it: it says when there are too many
repeated_program()
{
	local option many i
	while read -r option _ i; do
		[ "$i" != - ] || continue
		many=()
		for i in {1..65}; do
			many+=("$option" x)
		done
		! r3map "$1" "${many[@]}" >/dev/null 2>err </dev/null || echo "$option was taken"
		! grep -qF -- "$option can be given at most 64 times" err || echo "$option"
	done <"$1.help"
}

# repeated COMMAND: all three are the same
repeated()
{
	repeated_program "$1" | sort >program
	for i in man help; do
		"repeated_$i" "$1" | sort | diff -u - program >diff.txt && continue
		note "- $i, + program"
		sed 's/^/# /' diff.txt
		return 1
	done
	[ "$1" != serve ] || [ -s program ] || { note "no option can be repeated"; return 1; }
}

without_letters()
{
	awk '{ print $1, ($3 == "-" ? "-" : "value") }' "$1"
}

r3map --help | awk '/^Commands:/ { on = 1; next } !NF { on = 0 } on { print $1 }' >commands.help
awk '/^\.Sh / { on = $2 == "COMMANDS" } on && /^\.It Cm / { print $3 }' "$man/r3map.8" >commands.man
(cd "$man" && printf '%s\n' r3map-*.8) | sed 's/^r3map-//; s/\.8$//' >commands.pages
(
	# shellcheck disable=SC2317
	complete() { :; }
	# shellcheck source=/dev/null
	. "$completion"
	printf '%s\n' "${!_r3map_options[@]}" >commands.completion
	# shellcheck disable=SC2154
	tr -s ' \n' '\n' <<<"$_r3map_commands" >commands.completion2
	# shellcheck disable=SC2154
	tr -s ' \n' '\n' <<<"$_r3map_schemes" | sed 's/:.*//' >schemes.completion
)
r3map mount --help | awk '/^Backends/ { on = 1; next } !NF { on = 0 } on && /^  [a-z]/ { print $1 }' |
	sed 's/:.*//' >schemes.help
sed -nE 's/^\.It Cm ([a-z+]+):.*/\1/p' "$man/r3map-backends.7" | sort -u >schemes.man

mapfile -t commands <commands.help
[ ${#commands[@]} -ge 8 ] || fail "--help lists only ${#commands[@]} commands"
ktap_plan $((6 + 4 * ${#commands[@]}))
ktap_test "the manual r3map(8) has the commands of --help" same commands commands.help commands.man
ktap_test "each command has a page of its own" same commands commands.help commands.pages
ktap_test "the completion has the commands" same commands commands.help commands.completion
ktap_test "the completion offers them" same commands commands.help commands.completion2
ktap_test "the manual has the backends of --help" same schemes schemes.help schemes.man
ktap_test "the completion has the backends" same schemes schemes.help schemes.completion
for c in "${commands[@]}"; do
	options_help "$c" >"$c.help"
	options_man "$c" >"$c.man"
	options_completion "$c" >"$c.completion"
	without_letters "$c.help" >"$c.bare"
	ktap_test "$c: --help and manual have the same options" same "$c" "$c.help" "$c.man"
	ktap_test "$c: --help and completion have the same options" same "$c" "$c.bare" "$c.completion"
	ktap_test "$c: the same options may be repeated" repeated "$c"
	ktap_test "$c: the manual explains --help" grep -q -- '^--help h -$' "$c.man"
done
ktap_status
