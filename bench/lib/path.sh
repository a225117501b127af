# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034 # PATH_* are for those who source this
#
# The paths that are compared: every way to have the region behind FAR_URI as memory here. All read and write
# it by mapping something. Sourced behind far.sh.
#
# path_up NAME sets PATH_MEMORY, what memory-clock is told, PATH_READY, milliseconds from the start of
# the command until it can be used; path_down takes it away. What is
# "local" has no server, no round trip and nothing that is set up.

PATHS_LOCAL="memory file"
PATHS_UFFD="signals uffd-plain uffd-events uffd-in-flight uffd-around uffd-populate uffd-minor uffd-all"
PATHS_DEVICE="kernel-nbd r3map-direct r3map-managed r3map-pipeline"
PATHS_ALL="$PATHS_LOCAL $PATHS_UFFD $PATHS_DEVICE"

# path_improvements NAME: for r3map uffd serve --improve; each step adds one
path_improvements()
{
	case $1 in
	signals | uffd-plain) echo none ;;
	uffd-events) echo events ;;
	uffd-in-flight) echo events,in-flight ;;
	uffd-around) echo events,in-flight,around ;;
	uffd-populate) echo events,in-flight,around,populate ;;
	uffd-minor) echo events,in-flight,around,populate,minor ;;
	uffd-all) echo all ;;
	*) bench_die "unknown subject '$1': give some of: $PATHS_ALL" ;;
	esac
}

# path_begin: far_begin, for all paths, with BENCH_SIZE at the server and in PATH_FILE
path_begin()
{
	far_begin "${PATHS_ALL// /,}"
	root_install "$BENCH_MEMORY_CLOCK"
	far_file "$BENCH_SIZE"
	PATH_FILE=$FAR_FILE
	far_memory "$BENCH_SIZE"
}

path_is_local()
{
	case " $PATHS_LOCAL " in *" $1 "*) ;; *) return 1 ;; esac
}

# path_up NAME
path_up()
{
	PATH_NAME=$1 PATH_READY=0
	case $1 in
	memory | file)
		PATH_MEMORY=("$1" "$PATH_FILE")
		return
		;;
	signals | uffd-*)
		subject_program ""
		root_install "$SUBJECT_PROGRAM"
		FAR_NAME=$1 FAR_DEVICE=$BENCH_TMP/uffd.sock
		FAR_COMMAND=("$SUBJECT_PROGRAM" uffd --socket "$FAR_DEVICE" --improve "$(path_improvements "$1")"
			--daemon serve "$FAR_URI")
		PATH_MEMORY=(uffd "$FAR_DEVICE")
		[ "$1" != signals ] || PATH_MEMORY+=(signals)
		far_clock pause:0
		;;
	*)
		far_command "$1"
		PATH_MEMORY=(file "$FAR_DEVICE")
		far_clock pause:0
		;;
	esac
	PATH_READY=$(far_time ready)
}

# path_use LIMIT [OPTION...]: uses so many bytes of it (0: all), with options of memory-clock; sets PATH_FIRST,
# microseconds, PATH_MBPS and PATH_SECONDS
path_use()
{
	local limit=$1
	shift
	chroot "$ROOT" "$BENCH_MEMORY_CLOCK" "$@" 1 "$limit" "${PATH_MEMORY[@]}" >"$BENCH_TMP/clock.out" \
		2>"$BENCH_TMP/clock.err" || bench_die "$PATH_NAME: $(tail -n 2 "$BENCH_TMP/clock.err")"
	read -r PATH_FIRST PATH_MBPS PATH_SECONDS <"$BENCH_TMP/clock.out"
}

path_down()
{
	case $PATH_NAME in
	memory | file) ;;
	signals | uffd-*)
		pkill -f "^$SUBJECT_PROGRAM uffd"
		bench_wait "the handler to end" test ! -e "$FAR_DEVICE"
		;;
	*) far_detach ;;
	esac
}
