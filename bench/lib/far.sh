# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034 # FAR_* are for those who source this
#
# The other side of a network with delay: a server in a network namespace of
# its own, reached through a veth pair whose two ends hold back what they send
# for half of the round trip, and send so many bits a second (netem; in virtual
# time both are exact). And the ways to have its region as a device here.
# Brings the other libraries along.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/bench.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/subject.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/root.sh"

FAR_RATE=1gbit
FAR_ADDRESS=10.77.0.2
FAR_URI=nbd://$FAR_ADDRESS/
FAR_SUBJECTS=kernel-nbd,r3map-direct,r3map-managed,r3map-pipeline

# far_net: the two ends, without delay, unless an earlier question has made them
far_net()
{
	[ ! -e /run/netns/far ] || return 0
	modprobe -a veth sch_netem || bench_die "this kernel has no veth or netem"
	ip link set lo up
	ip netns add far
	ip link add near0 type veth peer name far0
	ip link set far0 netns far
	ip address add 10.77.0.1/24 dev near0
	ip link set near0 up
	ip -n far address add "$FAR_ADDRESS/24" dev far0
	ip -n far link set far0 up
	ip -n far link set lo up
	# who is where is known, and nobody has to ask while something is timed
	ip neigh replace "$FAR_ADDRESS" dev near0 nud permanent \
		lladdr "$(ip netns exec far cat /sys/class/net/far0/address)"
	ip -n far neigh replace 10.77.0.1 dev far0 nud permanent lladdr "$(cat /sys/class/net/near0/address)"
}

# far_delay RTT: milliseconds there and back; the rate is FAR_RATE
far_delay()
{
	local half
	half=$(awk -v ms="$1" 'BEGIN { printf "%.3fms", ms / 2 }')
	tc qdisc replace dev near0 root netem delay "$half" rate "$FAR_RATE" limit 100000
	tc -n far qdisc replace dev far0 root netem delay "$half" rate "$FAR_RATE" limit 100000
}

# far_serve [FILTER] PLUGIN [ARGUMENT...]: nbdkit on the other side, until far_end
far_serve()
{
	rm -f "$BENCH_TMP/far.pid"
	ip netns exec far nbdkit -f -p 10809 -P "$BENCH_TMP/far.pid" "$@" 2>"$BENCH_TMP/far.err" &
	FAR_SERVER=$!
	bench_wait "nbdkit" test -s "$BENCH_TMP/far.pid"
}

far_end()
{
	[ -n "${FAR_SERVER:-}" ] || return 0
	kill "$FAR_SERVER" 2>/dev/null || :
	wait "$FAR_SERVER" || :
	FAR_SERVER=''
}

# far_file SIZE: FAR_FILE, in memory, with data that is not zeroes and does not repeat
far_file()
{
	FAR_FILE=$BENCH_TMP/far.img
	rm -f "$FAR_FILE"
	# 8 bytes that count, all over it, by the plugin made for that; through a unix socket
	nbdkit -U - pattern "$1" --run "nbdcopy \"\$uri\" '$FAR_FILE'" ||
		bench_die "cannot make the region"
}

# far_memory SIZE [OPTION...]: far_serve, with SIZE of such data in the server's own memory. To make them
# up for each request would take half of the only processor, and to say where a file in memory has
# holes takes 10 ms of it for 256 MiB.
far_memory()
{
	local size=$1
	shift
	far_serve memory "$size" allocator=malloc "$@"
	ip netns exec far nbdkit -U - pattern "$size" --run "nbdcopy \"\$uri\" $FAR_URI" ||
		bench_die "cannot fill the server"
}

# far_command SUBJECT [OPTION...]: sets FAR_DEVICE and FAR_COMMAND, to attach FAR_URI
far_command()
{
	local name=$1
	shift
	# shellcheck disable=SC2034 # read by subject_module
	case $name in
	r3map-*)
		subject_module "" || bench_die "$SUBJECT_WHY"
		subject_program ""
		FAR_DEVICE=/dev/r3map0
		# shellcheck disable=SC2206 # words are meant
		FAR_COMMAND=("$SUBJECT_PROGRAM" mount --index 0 ${BENCH_MOUNT_OPTIONS:-} "$@")
		;;&
	# the kernel's look for partitions is a read, too, and would be the first; nbd's max_part decides there
	r3map-direct) FAR_COMMAND+=(--no-part-scan) ;;
	r3map-managed) FAR_COMMAND+=(--managed --no-part-scan) ;;
	r3map-pipeline)
		modprobe nbd nbds_max=1 max_part=0
		FAR_DEVICE=/dev/nbd0
		FAR_COMMAND+=(--managed --via nbd)
		;;
	kernel-nbd)
		modprobe nbd nbds_max=1 max_part=0
		FAR_DEVICE=/dev/nbd0
		FAR_COMMAND=("$(command -v nbd-client)" -b 4096 "$FAR_ADDRESS" 10809 /dev/nbd0)
		;;
	*) bench_die "unknown subject '$name': give some of: $FAR_SUBJECTS" ;;
	esac
	case $name in r3map-*) FAR_COMMAND+=("$FAR_URI") ;; esac
	root_install "${FAR_COMMAND[0]}"
	FAR_NAME=$name
}

# far_tasks WORD...: region-clock with these; what it says is in FAR_OUT
far_tasks()
{
	local vars=()
	FAR_OUT=$BENCH_TMP/clock.out
	case $FAR_NAME in r3map-managed | r3map-pipeline) vars=("R3MAP=$SUBJECT_PROGRAM") ;; esac
	env "${vars[@]}" chroot "$ROOT" "$BENCH_REGION_CLOCK" "$FAR_DEVICE" "$@" \
		>"$FAR_OUT" 2>"$BENCH_TMP/clock.err" && return
	grep -q '^State:.[^Z]' "/proc/$FAR_SERVER/status" 2>/dev/null ||
		bench_die "$FAR_NAME: nbdkit has ended: $(tail -n 2 "$BENCH_TMP/far.err")"
	bench_die "$FAR_NAME: $(tail -n 2 "$BENCH_TMP/clock.err")"
}

# far_clock TASK...: FAR_COMMAND, then the tasks
far_clock()
{
	far_tasks "$@" -- "${FAR_COMMAND[@]}"
}

# far_time TASK: how long it took
far_time()
{
	sed -n "s/^$1 //p" "$FAR_OUT" | head -n 1
}

# far_r3map ARGUMENT...: the program, where the sockets of its helpers are
far_r3map()
{
	chroot "$ROOT" "$SUBJECT_PROGRAM" "$@"
}

# far_detach: what far_clock has attached
far_detach()
{
	# the clock may jump, by seconds, while the host is slow to read a file
	local how=(far_r3map umount --timeout 600s "$FAR_DEVICE")
	[ "$FAR_NAME" != kernel-nbd ] || how=(nbd-client -d "$FAR_DEVICE")
	bench_detach "$FAR_NAME" "$FAR_DEVICE" "${how[@]}"
}

# far_begin SUBJECTS: everything but the server; of these, unless others were asked for
far_begin()
{
	# a question that fails leaves the port to the next one
	trap far_end EXIT
	root_make
	root_install "$BENCH_REGION_CLOCK"
	far_net
	BENCH_SUBJECTS=${BENCH_SUBJECTS:-$1}
}
