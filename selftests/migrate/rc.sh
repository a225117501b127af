# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Sourced by the tests of migrations: a seeder and a leecher, two devices of one machine.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/../lib/test.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/../lib/device.sh"

# shellcheck disable=SC2119 # no parameters of the module are meant
requires_module
requires_program jq

# bytes of a region. On a slow kernel, which takes tens of ms for each chunk that is fetched by itself, fewer: still more
# blocks than are written in a round
REGION=$(($(slow 20 4) * 1048576))

# in front of a writer that never waits. On a slow kernel of one processor it would have most of the time, and each
# program that the test starts would take 10 s: there it has what nobody else wants
BEHIND=()
if [ "${TEST_SLOW:-1}" != 1 ]; then
	BEHIND=(nice -n 10)
	note "a slow kernel: regions of $((REGION / 1048576)) MiB, writers that let others go first"
fi

# what the two have said, for when it went wrong
cleanup_fn eval 'head -v -n 100 "$TEST_DIR"/{seed,leech}.log 2>/dev/null || :'

# seed BACKEND [OPTION...]: starts a seeder; sets SOURCE, its device, and URI
seed()
{
	local backend=$1 lines
	shift
	lines=$(r3map seed --daemon --log "$TEST_DIR/seed.log" --unix "$TEST_DIR/seed.sock" "$@" "$backend") ||
		fail "r3map seed $* $backend"
	{ read -r SOURCE; read -r URI; } <<<"$lines"
	cleanup_fn device_remove "$SOURCE"
}

# recover_seeder BACKEND: another helper for $SOURCE; $TEST_DIR/begin.log has what it said before it had a log
recover_seeder()
{
	r3map seed --daemon --log "$TEST_DIR/seed.log" --unix "$TEST_DIR/seed.sock" --recover "$SOURCE" "$1" \
		2>"$TEST_DIR/begin.log" >/dev/null || { cat "$TEST_DIR/begin.log"; fail "no new helper for $SOURCE"; }
}

# leecher_by_hand PROGRAM [ARG...]: a program that has what control.py has
leecher_by_hand()
{
	PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$TEST_TOP/selftests/migrate python3 "$@"
}

# cutter [TYPE:BYTES[:stall]]...: a proxy in front of that seeder, which says in $TEST_DIR/cuts what it has cut; sets
# CUTTER, its process, and URI. See cutter.py
cutter()
{
	rm -f "$TEST_DIR/cutter.sock"
	python3 "$TEST_TOP/selftests/migrate/cutter.py" "$TEST_DIR/seed.sock" "$TEST_DIR/cutter.sock" "$@" \
		>"$TEST_DIR/cuts" 2>"$TEST_DIR/cutter.log" &
	CUTTER=$!
	cleanup_fn eval "kill $CUTTER 2>/dev/null || :; cat $TEST_DIR/cutter.log"
	wait_until 60 "the proxy listens" test -S "$TEST_DIR/cutter.sock"
	URI="nbd+unix:///?socket=$TEST_DIR/cutter.sock"
}

# leech [OPTION...]: starts a leecher of $URI; sets TARGET, its device
leech()
{
	TARGET=$(r3map leech --daemon --log "$TEST_DIR/leech.log" "$@" "$URI") || {
		cat "$TEST_DIR/leech.log" >&2
		fail "r3map leech $*"
	}
	cleanup_fn device_remove "$TARGET"
}

# where hosts are, by name; until two_networks both are the same
declare -A ADDRESS=([home]=127.0.0.1 [away]=127.0.0.1)

# two_networks: away is one of its own from now on; the kernel has veth
two_networks()
{
	cleanup_fn eval "ip netns pids away | xargs -r kill; ip netns del away"
	ip netns add away
	ip link add home type veth peer name away0 netns away
	ip addr add 10.76.0.1/24 dev home
	ip link set home up
	ip netns exec away sh -ec 'ip addr add 10.76.0.2/24 dev away0; ip link set away0 up; ip link set lo up'
	ADDRESS=([home]=10.76.0.1 [away]=10.76.0.2)
}

# in_net HOST COMMAND...: there
in_net()
{
	local host=$1
	shift
	if [ "${ADDRESS[$host]}" = "${ADDRESS[home]}" ]; then "$@"; else ip netns exec "$host" "$@"; fi
}

# keys FILE: makes it, with a key for "leecher"
keys()
{
	printf 'leecher:%s\n' "$(od -An -tx1 -N32 /dev/urandom | tr -d ' \n')" >"$1"
}

# of DEVICE FILTER: what r3map show says of it, by jq; a path, such as .migration.phase, is found without
# that program, which is slow to start in the lab: it is the first of that name
of()
{
	local key rest json
	json=$(r3map show -j "$1") || return
	if [[ $2 == *[!a-z_.]* ]]; then
		jq -r "$2" <<<"$json"
		return
	fi
	for key in ${2//./ }; do
		rest=${json#*"\"$key\":"}
		[ "$rest" != "$json" ] || { echo null; return; }
		json=$rest
	done
	[[ $json =~ ^[[:space:]]*\"?([^,\"}$'\n']*) ]]
	printf '%s\n' "${BASH_REMATCH[1]}"
}

# of_is DEVICE FILTER VALUE: does it say so?
of_is()
{
	[ "$(of "$1" "$2")" = "$3" ]
}

# of_await DEVICE FILTER VALUE: wait until it does
of_await()
{
	wait_until 60 "$1 has $2 = $3" of_is "$@"
}

# helper_of DEVICE: its helper's process
helper_of()
{
	cat "/sys/block/${1#/dev/}/r3map/helper_pid"
}

# helper_kill DEVICE: kill -9, and wait until the kernel knows
helper_kill()
{
	local pid
	pid=$(helper_of "$1")
	kill -9 "$pid"
	wait_until 30 "the helper of $1 is gone" eval '[ "$(helper_of '"$1"')" != '"$pid"' ]'
}

# an application that writes numbers; the last one that is on its device is in $state
state=$TEST_DIR/state

# number: that one
number()
{
	od -An -tu8 "$state"
}

# of a device that others use as well: -b, and its first blocks, which the writer has
OWN=()

# writer WAY DEVICE...: starts one that writes by WAY, direct, write or mmap, to the one of these that takes it
writer()
{
	"${BEHIND[@]}" sequence "${OWN[@]}" write "$state" "$@" 2>"$TEST_DIR/writer" &
	WRITER=$!
	cleanup_fn eval "kill $WRITER 2>/dev/null || :"
	wait_until 60 "the writer has begun" test -s "$state"
}

# writer_goes_on: waits until it has written more
writer_goes_on()
{
	local now
	now=$(number)
	wait_until 60 "the writer goes on" eval '[ "$(number)" -gt '"$now"' ] || process_ended $WRITER'
	! process_ended $WRITER || { cat "$TEST_DIR/writer"; fail "the writer has ended by itself"; }
}

# writer_ends DEVICE: it has always been well, and all that it was told to be written is there
writer_ends()
{
	kill -TERM $WRITER
	wait $WRITER || { cat "$TEST_DIR/writer"; fail "the writer"; }
	sequence "${OWN[@]}" check "$state" "$1" || fail "what was written is not on $1"
}

# moved: the region, which is written to, is at $TARGET as a whole; the seeder, which knows that, has gone
moved()
{
	of_await "$TARGET" .migration.phase complete
	writer_goes_on
	writer_ends "$TARGET"
	wait_until 60 "the seeder's device is gone" device_gone "$SOURCE"
	r3map umount "$TARGET"
	rm -f "$state"
}
