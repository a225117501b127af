# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# How run.sh asks its questions: of processes on the host, in real time, or in a machine of the
# lab. What each answers is in $tmp/out/QUESTION.csv. Sourced by run.sh, whose options these read.

# ask_build NAME: the program bench/NAME.c, with the program's libraries where it needs them
ask_build()
{
	local top=$R3MAP_TOP/user to=$R3MAP_CACHE/bench/$1
	local cc=(gcc -std=gnu11 -O3 -Wall -Wextra -pthread -o "$to" "$here/$1.c")
	case $1 in
	memory-clock)
		make --no-print-directory -s -C "$top" lib >&2
		"${cc[@]}" -I"$top/libr3map" "$top/build/libr3map.a"
		;;
	nbd-load | hash-clock | ready-clock)
		make --no-print-directory -s -C "$top" lib >&2
		# shellcheck disable=SC2046 # words are meant
		"${cc[@]}" -I"$top" -isystem "$R3MAP_TOP/uapi" "$top/build/libprogram.a" \
			$(pkg-config --libs libnl-3.0 libnl-genl-3.0 liburing libcjson gnutls libudev)
		;;
	*) "${cc[@]}" ;;
	esac
}

# ask_lab QUESTION...: in one machine, one after the other
ask_lab()
{
	local vars name
	vars=$("$here/../selftests/vm/kernel.sh" "$kernel")
	eval "$vars"
	[ -n "$ko" ] || ko=$("$here/../selftests/vm/module.sh" "$kernel")
	local env=(--env "BENCH_SUBJECTS=$subjects" --env "BENCH_CASES=$cases"
		--env "BENCH_REPS=$reps" --env "BENCH_RUNTIME=${runtime}ms"
		--env "BENCH_MOUNT_OPTIONS=$options" --env "BENCH_R3MAP=$program"
		--env "BENCH_RUBLK=$rublk")
	for name in attach-clock region-clock tcp-clock memory-clock ready-clock; do
		ask_build $name
		env+=(--env "BENCH_$(tr a-z- A-Z_ <<<$name)=$R3MAP_CACHE/bench/$name")
	done
	vm_say "measuring on $KERNEL_RELEASE; about a minute for each subject and question"
	# a question that fails takes nothing from those that were answered
	# shellcheck disable=SC2016 # for the shell in the guest
	"$here/../selftests/vm/boot.sh" --kernel "$kernel" --mem 2G "${clock[@]}" --module "$ko" \
		--timeout 14400 --out "$tmp/out" "${env[@]}" -- bash -c '
		failed=0
		for q; do
			bench/$q.sh >/tmp/csv && cp /tmp/csv "$R3MAP_OUT/$q.csv" || failed=1
		done
		exit $failed' bench "$@" || status=$?
}

# ask_host QUESTION
ask_host()
{
	case $1 in
	nbd-server) ask_build nbd-load ;;
	uffd) ask_build memory-clock ;;
	hashes) ask_build hash-clock ;;
	esac
	BENCH_SUBJECTS=${subjects//,/ } BENCH_CASES=$cases BENCH_REPS=$reps BENCH_RUNTIME=${runtime}ms \
		BENCH_R3MAP=$program BENCH_UNBOUND=$unbound BENCH_FIRST=$first \
		BENCH_NBD_LOAD=$R3MAP_CACHE/bench/nbd-load BENCH_MEMORY_CLOCK=$R3MAP_CACHE/bench/memory-clock \
		BENCH_HASH_CLOCK=$R3MAP_CACHE/bench/hash-clock \
		"$here/$1.sh" >"$tmp/csv" && mv "$tmp/csv" "$tmp/out/$1.csv" || status=$?
}
