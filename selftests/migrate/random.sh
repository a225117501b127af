#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.12:2
# timeout: 900
#
# This test will move a region that applications never stop writing to to and fro between two networks, and in each
# move cut the connections, take the link down or kill a helper, at a random moment: each time exactly one end has the
# region, and in the end every byte of it is the one that was written last. TEST_SEED=N repeats what was drawn for N,
# TEST_ROUNDS=N makes so many moves.

# shellcheck disable=SC2016,SC2119 # eval expands; no options are meant
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program sequence fio ss
requires modprobe -q veth
modprobe -q tcp_diag || :

MOVES=${TEST_ROUNDS:-$(slow 4 2)}
SEED=${TEST_SEED:-$((SRANDOM % 32768))}
RANDOM=$SEED
note "TEST_SEED=$SEED repeats this"

# of its four parts two have numbers, one is for fio's jobs, and the last is written once
QUARTER=$((REGION / 4))
OWN=(-b $((2 * QUARTER / 4096)))
JOBS=2

two_networks
# told by each finalize when it begins at the seeder
mkfifo "$TEST_DIR/stopping"
exec {STOPPING}<>"$TEST_DIR/stopping"
keys "$TEST_DIR/keys"

# draw N: sets DRAWN, 0 to N - 1
draw()
{
	DRAWN=$((RANDOM % $1))
}

# seconds MS: these, for sleep
seconds()
{
	printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000))
}

# --- fio ----------------------------------------------------------------------

# load_fio GENERATION DEVICE [OPTION...]: its jobs, which write each block once. A block has its offset and GENERATION
load_fio()
{
	local generation=$1 device=$2
	shift 2
	fio --name=load --thread --group_reporting --eta=never --exitall_on_error --allow_file_create=0 \
		--filename="$device" --numjobs=$JOBS --offset=$((2 * QUARTER)) --size=$((QUARTER / JOBS)) \
		--offset_increment=$((QUARTER / JOBS)) --rw=randwrite --bs=4k --direct=1 --ioengine=psync \
		--verify=pattern --verify_pattern='%o"'"$(printf %08d "$generation")"'"' "$@" >"$TEST_DIR/fio.log" 2>&1
}

# load DEVICE...: one generation after the other, until there is $TEST_DIR/enough. One that a device does not take as a
# whole begins anew at the next
load()
{
	local generation=$((GENERATION + 1))
	while [ ! -e "$TEST_DIR/enough" ]; do
		for device; do
			[ -b "$device" ] || continue
			load_fio $generation "$device" --do_verify=0 --rate_iops=250 || continue
			echo $generation >"$TEST_DIR/generation"
			generation=$((generation + 1))
			continue 2
		done
		sleep 0.1
	done
}

# load_start DEVICE...
load_start()
{
	rm -f "$TEST_DIR/enough"
	load "$@" &
	LOAD=$!
	cleanup_fn eval "kill $LOAD 2>/dev/null || :"
}

# load_ends DEVICE: the last generation is there
load_ends()
{
	local before=$GENERATION
	wait_until 120 "fio writes on" eval '[ "$(cat "$TEST_DIR/generation")" -gt '"$before"' ]'
	touch "$TEST_DIR/enough"
	wait_until 120 "fio is through" process_ended $LOAD
	GENERATION=$(cat "$TEST_DIR/generation")
	load_fio "$GENERATION" "$1" --verify_only --verify_fatal=1 || {
		cat "$TEST_DIR/fio.log"
		broken "fio's blocks are not those of generation $GENERATION"
	}
}

# --- one move -----------------------------------------------------------------

# broken TEXT: a failure, with what repeats it; told also where wait_until keeps quiet
exec {TOLD}>&1
broken()
{
	fail "$* (TEST_SEED=$SEED, move $move, $DISTURBANCE $MOMENT)" >&"$TOLD"
}

helper_is_gone() { device_gone "$1" || [ "$(helper_of "$1")" != "$2" ]; }

start_seeder()
{
	in_net "$here" r3map seed --daemon --log "$TEST_DIR/seed.log" --listen "${ADDRESS[$here]}:10900" \
		--suspend "echo >$TEST_DIR/stopping; sleep $(seconds "$STOP")" "${SECURE[@]}" "$@" \
		"file:$TEST_DIR/region.$((move - 1))"
}

start_leecher()
{
	in_net "$there" r3map leech --daemon --log "$TEST_DIR/leech.log" "$@" "$URI"
}

# new_leecher: with a device of its own, and nothing there yet
new_leecher()
{
	rm -f "$TEST_DIR/region.$move"
	start_leecher --index "${TARGET#/dev/r3map}" --store "$TEST_DIR/region.$move" "$@" >/dev/null ||
		broken "there is no new leecher"
}

# kill_helper DEVICE: and wait until the kernel knows. A device whose work was done may be gone
kill_helper()
{
	local pid
	pid=$(helper_of "$1" 2>/dev/null) || return 0
	! kill -9 "$pid" 2>/dev/null || KILLED=$1
	wait_until 30 "the helper of $1 is gone" helper_is_gone "$1" "$pid"
}

# finished: the leecher was killed when all was there, and the seeder has gone: no new helper can be had, and none
# is needed
finished()
{
	wait_until 60 "the seeder, to which no new helper could connect, is gone" device_gone "$SOURCE"
	if ! of_is "$TARGET" .hold none || [ "$(of "$TARGET" .local)" -lt $REGION ]; then
		cat "$TEST_DIR/told"
		broken "no new helper of the leecher"
	fi
	HELPER=none
}

# disturb: what was drawn for this move
disturb()
{
	case $DISTURBANCE in
	cut)
		cut=$(in_net "$here" ss -KHnt state established sport = :10900)
		[ -n "$cut" ] || [ "$MOMENT" = finalize ] || broken "there is nothing to cut"
		;;
	outage)
		ip link set home down
		sleep "$(seconds "$OUTAGE")"
		ip link set home up
		;;
	leecher)
		kill_helper "$TARGET"
		start_leecher --recover "$TARGET" >/dev/null 2>"$TEST_DIR/told" || finished
		;;
	seeder)
		kill_helper "$SOURCE"
		device_gone "$SOURCE" || start_seeder --recover "$SOURCE" >/dev/null ||
			broken "no new helper of the seeder"
		;;
	esac
}

# settled: who has the region is known, to the helpers and to whoever asks; sets OWNER. What a person would have
# to do, who knows that a helper was killed, is done
settled()
{
	local phase=complete
	[ "$HELPER" = none ] || phase=$(of "$TARGET" .migration.phase)
	case $phase in
	arriving | complete) OWNER=$TARGET ;;
	following) OWNER=$SOURCE ;;
	failed)
		[ "$KILLED" = "$SOURCE" ] || broken "the migration has failed, and no seeder was killed"
		! of_is "$SOURCE" .hold writes || r3map finalize --undo "$SOURCE"
		r3map umount --force "$TARGET"
		new_leecher
		return 1
		;;
	pulling)
		# given to one that was killed before it took it
		[ "$KILLED" = "$TARGET" ] && of_is "$TARGET" .hold all && of_is "$SOURCE" '.leechers[]|select(.state == "is given the region").state' \
			"is given the region" && r3map finalize --undo "$SOURCE"
		return 1
		;;
	*) return 1 ;;
	esac
}

# settle: wait until it is, and hold it against both devices
settle()
{
	local hold=gone
	wait_until 120 "move $move ($DISTURBANCE $MOMENT, TEST_SEED=$SEED): it is known who has the region" settled
	if [ "$OWNER" = "$TARGET" ]; then
		of_is "$TARGET" .hold none || broken "nobody is let in at the leecher, which has the region"
		device_gone "$SOURCE" || hold=$(of "$SOURCE" .hold) || hold=gone
		[ "$hold" != none ] || broken "both ends let writes in"
	else
		of_is "$TARGET" .hold all || broken "somebody is let in at the leecher, which has not the region"
		of_await "$SOURCE" .hold none
	fi
}

# finalize: once. What is disturbed may fail
finalize()
{
	local status=0
	while read -r -t 0.01 -u "$STOPPING"; do :; done
	r3map finalize "$TARGET" >/dev/null 2>"$TEST_DIR/told" &
	local asked=$!
	if [ "$MOMENT" = finalize ] && [ "$DISTURBED" = 0 ]; then
		read -r -t $((20 * TEST_SLOW)) -u "$STOPPING" || broken "the seeder does not finalize"
		sleep "$(seconds "$DELAY")"
		DISTURBED=1
		disturb
	fi
	wait_until 120 "move $move: r3map finalize ends" process_ended $asked
	wait $asked || status=$?
	settle
	[ $status != 0 ] || [ "$OWNER" = "$TARGET" ] || broken "finalized, and the region is at the seeder"
	[ $status = 0 ] || note "  finalize: $(cat "$TEST_DIR/told")"
	[ "$OWNER" = "$TARGET" ]
}

# at MOMENT: the disturbance, if it is for this one
at()
{
	[ "$MOMENT" = "$1" ] || return 0
	sleep "$(seconds "$DELAY")"
	disturb
	settle
}

# draw_move: what happens in this one, and how it moves
draw_move()
{
	[ ${#LOT[@]} -gt 0 ] || LOT=({cut,outage,leecher,seeder}" "{pulling,rounds,finalize,arriving})
	draw ${#LOT[@]}
	read -r DISTURBANCE MOMENT <<<"${LOT[DRAWN]}"
	LOT=("${LOT[@]:0:DRAWN}" "${LOT[@]:DRAWN+1}")
	# ms: until it happens, how long the link is down, and how long the application takes to stop; the rest of a
	# finalize takes some 10, and a program a few to start
	draw 400; DELAY=$DRAWN
	[ "$MOMENT" != finalize ] || DELAY=$((DELAY / 20))
	draw 1500; OUTAGE=$((100 + DRAWN))
	draw 100; STOP=$DRAWN
	WAY=$(sed -n "$((move % 3 + 1))p" <<<$'direct\nwrite\nmmap')
	SECURE=()
	URI=nbd://${ADDRESS[$here]}:10900/
	if [ $((move % 2)) = 1 ]; then
		SECURE=(--tls require --tls-psk "$TEST_DIR/keys")
		URI="nbds://${ADDRESS[$here]}:10900/?tls-psk-file=$TEST_DIR/keys"
	fi
	note "move $move: $WAY, ${URI%%:*}, $DISTURBANCE $MOMENT, after $DELAY ms"
	KILLED='' DISTURBED=0 HELPER=some
}

# begin: a seeder, and applications that use its device or the other one
begin()
{
	local lines
	lines=$(start_seeder)
	SOURCE=${lines%%$'\n'*}
	cleanup_fn device_remove "$SOURCE"
	TARGET=/dev/r3map$((${SOURCE#/dev/r3map} ? 0 : 1))
	cleanup_fn device_remove "$TARGET"
	load_start "$SOURCE" "$TARGET"
	writer "$WAY" "$SOURCE" "$TARGET"
}

# go: from one end to the other
go()
{
	if [ "$MOMENT" = pulling ]; then
		new_leecher --pull-rate $QUARTER
		wait_until 60 "something was pulled" eval '[ "$(of "$TARGET" .local)" -gt 0 ]'
	else
		new_leecher
	fi
	at pulling
	of_await "$TARGET" .migration.phase following
	at rounds
	writer_goes_on
	[ "$MOMENT" != arriving ] || r3map set --pull pause "$TARGET"
	until finalize; do
		writer_goes_on
	done
	at arriving
	[ "$MOMENT" != arriving ] || r3map set --pull run "$TARGET"
	[ "$HELPER" = none ] || of_await "$TARGET" .migration.phase complete
	# a seeder's new helper knows no leecher that could tell it to go
	[ "$KILLED" != "$SOURCE" ] || device_gone "$SOURCE" || r3map umount --force "$SOURCE"
	wait_until 60 "move $move: the seeder's device is gone" device_gone "$SOURCE"
}

# end: all of the region is what was written last
end()
{
	writer_goes_on
	load_ends "$TARGET"
	kill -TERM $WRITER
	wait $WRITER || { cat "$TEST_DIR/writer"; broken "the writer, by $WAY"; }
	sequence "${OWN[@]}" check "$state" "$TARGET" || broken "a number is lost, by $WAY"
	cmp "$TEST_DIR/still" <(dd if="$TARGET" bs=$QUARTER skip=3 iflag=direct status=none) ||
		broken "bytes that nobody has written"
	if [ "$HELPER" = none ]; then r3map umount --force "$TARGET"; else r3map umount "$TARGET"; fi
	rm "$TEST_DIR/region.$((move - 1))"
}

truncate -s $REGION "$TEST_DIR/region.0"
dd if=/dev/urandom of="$TEST_DIR/still" bs=$QUARTER count=1 status=none
dd if="$TEST_DIR/still" of="$TEST_DIR/region.0" bs=$QUARTER seek=3 conv=notrunc status=none
echo 0 >"$TEST_DIR/generation"
GENERATION=0 LOT=() here=home there=away
for ((move = 1; move <= MOVES; move++)); do
	draw_move
	begin
	go
	end
	swap=$here here=$there there=$swap
done
