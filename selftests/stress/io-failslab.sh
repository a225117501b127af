#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 7.2:1
#
# This test will let allocations of the module fail at random while devices are made, read, written, flushed,
# discarded and zeroed, lose their helper, are taken over and deleted: a failed allocation is a delay.
# timeout: 300

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program model
faults_init

# What a command answers may be "out of memory"; it is tried again, as an operator would.
again()
{
	local i
	for ((i = 0; i < 40; i++)); do
		"$@" 2>"$TEST_DIR/err" && return
		grep -qiE 'memory|ENOMEM|buffer|cannot be made|cannot be pinned' "$TEST_DIR/err" ||
			{ cat "$TEST_DIR/err" >&2; return 1; }
	done
	cat "$TEST_DIR/err" >&2
	return 1
}

# counters NAME...: a number a line; to ask for them may need memory, too
counters()
{
	local i json name
	for ((i = 0; i < 40; i++)); do
		json=$(r3map show -j "$DEV" 2>/dev/null) || continue
		for name; do
			[[ $json =~ \"$name\":[[:space:]]*([0-9]+) ]] || return 1
			echo "${BASH_REMATCH[1]}"
		done
		return
	done
	return 1
}

# progress N COUNTER...: wait until each of these has grown by N
progress()
{
	local n=$1 start
	shift
	start=$(counters "$@")
	grown()
	{
		local now was
		kill -0 "$model" 2>/dev/null || return 0
		while read -r now was; do
			[ "$now" -ge $((was + n)) ] || return 1
		done < <(paste -d ' ' <(counters "$@") - <<<"$start")
	}
	wait_until 60 "$kind: $* have grown by $n" grown "$@"
	kill -0 "$model" 2>/dev/null || fail "$kind: $(cat "$TEST_DIR/said")"
}

size=3145728 # one segment for each of two threads, and one for both
head -c $size /dev/urandom >"$TEST_DIR/image"
backend=file:$TEST_DIR/file

# round KIND OPTION...: a device's life. What asks the helper for each of its operations is counted.
round()
{
	kind=$1
	shift
	local what=(reads writes flushes discards zeroes)
	[ "$kind" != managed ] || what=(hits misses fetches flushes)
	cp "$TEST_DIR/image" "$TEST_DIR/file"
	device_mount --depth 8 --park 1h --no-part-scan "$@" "$backend"
	cleanup_fn faults_off # before the device is removed
	faults_module 10
	model "$DEV" "$TEST_DIR/image" "$TEST_DIR/want" "${SEED:-1}" 1000000 2 >"$TEST_DIR/said" 2>&1 &
	model=$!
	cleanup_fn eval "kill $model 2>/dev/null || :"
	progress "$(slow 100 6)" "${what[@]}"
	device_kill
	again device_recover "$backend" || fail "$kind: recovery"
	# also where a helper had come half-way, the last one has it
	device_await live
	# in the end all is local
	[ "$kind" != managed ] || what=(hits flushes)
	progress "$(slow 50 4)" "${what[@]}"
	kill -TERM $model
	wait $model || fail "$kind: $(cat "$TEST_DIR/said")"
	delayed=$(counters delayed)
	again r3map umount "$DEV" || fail "$kind: umount"
	faults_off
	device_gone "$DEV" || fail "$kind: it is still there"
	cmp "$TEST_DIR/file" "$TEST_DIR/want" || fail "$kind: the backend is not the model"
	note "$kind: $(cat "$TEST_DIR/said"), $delayed messages were delayed"
	[ "$delayed" -gt 0 ] || fail "$kind: the injection does nothing"
}

# a mount makes hundreds of allocations: one of these fails, and some mounts with it
failed=0
DEV=/dev/r3map1
cleanup_fn device_remove "$DEV"
for ((i = 0; i < $(slow 12 4) || (failed == 0 && i < 60); i++)); do
	faults_module 3 1
	status=0
	r3map mount --daemon --index 1 --no-part-scan mem:1M >"$TEST_DIR/out" 2>"$TEST_DIR/err" || status=$?
	faults_off
	if [ $status = 0 ]; then
		r3map umount "$DEV"
		continue
	fi
	[ $status = 1 ] || fail "mount ended with status $status"
	grep -qiE 'memory|buffer|cannot be made|cannot be pinned' "$TEST_DIR/err" || fail "said: $(cat "$TEST_DIR/err")"
	wait_until 20 "what there was of it is gone" device_gone "$DEV"
	failed=$((failed + 1))
done
note "$failed of $i mounts failed"
[ $failed -gt 0 ] || fail "mount: the injection does nothing"

round shared --queues 2 --transport shared
round inline --queues 2 --transport inline
round managed --managed --chunk-size 16K --pull-workers 0 --push-interval 100ms
