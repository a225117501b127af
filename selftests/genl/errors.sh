#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:2 6.12 7.2:1
#
# This test will answer reads with every errno that the block layer has a word for, and with
# some that it has none for, and see what whoever reads gets.

# shellcheck disable=SC2016,SC2119 # $DEV is the peer's to expand; peer_up may go without attributes
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"
requires_program python3

# told errno, got errno: the table of the administrator's guide
pairs=(
	EIO:EIO ENOSPC:ENOSPC ETIMEDOUT:ETIMEDOUT EOPNOTSUPP:EOPNOTSUPP ENOLINK:ENOLINK
	EREMOTEIO:EREMOTEIO EBADE:EBADE ENODATA:ENODATA EILSEQ:EILSEQ ENOMEM:ENOMEM
	EBUSY:EBUSY ENODEV:ENODEV ETOOMANYREFS:ETOOMANYREFS EOVERFLOW:EOVERFLOW
	# words with another meaning there
	EAGAIN:EIO EREMCHG:EIO
	# no words
	EPERM:EIO ESTALE:EIO ENOENT:EIO EPIPE:EIO
)
# newer words
newer() { [ "$(printf '%s\n' "$1" "$(uname -r)" | sort -V | head -n 1)" = "$1" ]; }
if newer 6.12; then pairs+=(EINVAL:EINVAL ETIME:ETIME); else pairs+=(EINVAL:EIO); fi

numbers=$(python3 -c 'import errno, os
for number, name in errno.errorcode.items(): print(name, number, os.strerror(number), sep=":")')
# the other name of EOPNOTSUPP is the one that comes first there
numbers+=$'\n'$(sed -n 's/^ENOTSUP:/EOPNOTSUPP:/p' <<<"$numbers")

# number NAME, text NAME
number() { sed -n "s/^$1:\([0-9]*\):.*/\1/p" <<<"$numbers" | head -n 1; }
text() { sed -n "s/^$1:[0-9]*://p" <<<"$numbers" | head -n 1; }

{
	peer_up
	i=0
	for pair in "${pairs[@]}"; do
		printf 'spawn dd if=$DEV of=/dev/null bs=4096 count=1 iflag=direct status=none 2>%s\n' \
			"$TEST_DIR/${pair%:*}"
		printf 'recv q 1\n'
		printf 'q complete queue=0 seq=@seq comp=@t%d:-%d:0\n' $i "$(number "${pair%:*}")"
		printf 'wait fail\n'
		i=$((i + 1))
		printf 'expect errors=%d in_flight=0 reads=0\n' $i
	done
	peer_works
} >"$TEST_DIR/script"
peer <"$TEST_DIR/script"
for pair in "${pairs[@]}"; do
	grep -qF ": $(text "${pair#*:}")" "$TEST_DIR/${pair%:*}" ||
		fail "told ${pair%:*}, not ${pair#*:}: $(cat "$TEST_DIR/${pair%:*}")"
done
