# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Fetches packages of any Debian suite without touching the host: a private
# apt configuration with its own sources list, state and cache. The mirror
# and the keyring are the ones this machine already uses, read from its own
# apt sources, so nothing here names a host. Sourced by kernel.sh after
# common.sh; needs no root.

# debian_mirror SUITE: "URI KEYRING" of the machine's own source for SUITE
debian_mirror()
{
	local uri entry ring
	# shellcheck disable=SC2016 # apt-get fills these in, not the shell
	uri=$(apt-get indextargets --format '$(REPO_URI)|$(RELEASE)|$(COMPONENT)' \
		'Created-By: Packages' 2>/dev/null |
		awk -F'|' -v s="$1" '$2 == s && $3 == "main" { print $1; exit }')
	[ -n "$uri" ] || return 1
	entry=$(grep -rlsF "${uri%/}" /etc/apt/sources.list.d /etc/apt/sources.list |
		head -n 1)
	ring=$(sed -n -e 's/^Signed-By:[[:space:]]*\(\/[^[:space:]]*\).*/\1/p' \
		-e 's/.*signed-by=\(\/[^] ,]*\).*/\1/p' "${entry:-/dev/null}" | head -n 1)
	if [ -z "$ring" ] && [ -e /usr/share/keyrings/debian-archive-keyring.gpg ]; then
		ring=/usr/share/keyrings/debian-archive-keyring.gpg
	fi
	printf '%s %s\n' "$uri" "$ring"
}

# debian_codename: the suite of this machine
debian_codename()
{
	# shellcheck disable=SC1091
	(. /etc/os-release && printf '%s\n' "${VERSION_CODENAME:-}")
}

# debian_setup NAME SUITE...: a private apt configuration called NAME that
# knows these suites; sets DEBIAN_APT, to be used as "${DEBIAN_APT[@]}" -o ...
debian_setup()
{
	local name=$1 dir=$R3MAP_CACHE/apt/$1 suite line mirror security host
	shift
	host=$(debian_codename)
	mirror=$(debian_mirror "$host") ||
		vm_die "no apt source for Debian '$host' main in /etc/apt: add one, then try again"
	security=$(debian_mirror "$host-security") || security=
	mkdir -p "$dir"/{state/lists/partial,cache/archives/partial,parts}
	: >"$dir/sources.list"
	for suite in "$@"; do
		line=$mirror
		case $suite in
		*-security) line=$security; [ -n "$line" ] || continue ;;
		esac
		printf 'deb %s%s %s main\n' \
			"$([ -n "${line#* }" ] && echo "[signed-by=${line#* }] ")" \
			"${line%% *}" "$suite" >>"$dir/sources.list"
	done
	: >"$dir/status"
	DEBIAN_OPT=(
		-o "Dir::Etc::sourcelist=$dir/sources.list"
		-o "Dir::Etc::sourceparts=$dir/parts"
		-o "Dir::Etc::preferences=/dev/null"
		-o "Dir::Etc::preferencesparts=$dir/parts"
		-o "Dir::State=$dir/state"
		-o "Dir::State::status=$dir/status"
		-o "Dir::Cache=$dir/cache"
		-o "APT::Sandbox::User="
		-o "Acquire::Languages=none"
		-o "Acquire::Retries=3"
		-o "APT::Get::List-Cleanup=0"
	)
	vm_say "reading the package lists of: $*"
	vm_logged "$dir/update.log" "apt-get update for $name" \
		apt-get "${DEBIAN_OPT[@]}" -q update
	if grep -q '^[EW]: .*Failed to fetch' "$dir/update.log"; then
		tail -n 5 "$dir/update.log" >&2
		vm_die "the package lists of $* could not be fetched: check the network and the mirror in /etc/apt"
	fi
}

# debian_newest REGEX: the newest package whose whole name matches REGEX
debian_newest()
{
	apt-cache "${DEBIAN_OPT[@]}" pkgnames | grep -Ex "$1" | sort -V | tail -n 1
}

# debian_depends PACKAGE REGEX: direct dependencies of PACKAGE that match REGEX
debian_depends()
{
	apt-cache "${DEBIAN_OPT[@]}" depends --no-recommends --no-suggests \
		--no-conflicts --no-breaks --no-replaces --no-enhances "$1" |
		sed -n 's/^ *Depends: //p' | grep -Ex "$2"
}

# debian_unpack DIR PACKAGE...: download the packages and unpack them into DIR
debian_unpack()
{
	local dir=$1 deb
	shift
	mkdir -p "$dir/.deb"
	(cd "$dir/.deb" && vm_logged "$dir/.deb/log" "downloading $*" \
		apt-get "${DEBIAN_OPT[@]}" -q download "$@") || exit 1
	for deb in "$dir"/.deb/*.deb; do
		dpkg -x "$deb" "$dir"
	done
	rm -rf "$dir/.deb"
}

# debian_source DIR PACKAGE: download the newest source of PACKAGE, not unpacked, into DIR
debian_source()
{
	local list=${DEBIAN_OPT[1]#*=}
	sed -i 's/^deb \(.*\)/&\ndeb-src \1/' "$list"
	vm_logged "$1/source.log" "reading the lists of sources" apt-get "${DEBIAN_OPT[@]}" -q update
	(cd "$1" && vm_logged "$1/source.log" "downloading the source of $2" \
		apt-get "${DEBIAN_OPT[@]}" -q source --download-only "$2") || exit 1
}
