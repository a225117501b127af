#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1:1 6.12 7.2:1
#
# This test will send unknown, missing, short, overlong and out-of-range
# attributes with every command, and see each refused with words, changing nothing.

# shellcheck disable=SC2016 # $DEV is the peer's to expand
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

# ill LINE-PREFIX ATTRIBUTE...: the forms in which an attribute of 4 or 8 bytes is malformed
ill4() { local c=$1 a; shift; for a; do
	printf '!EINVAL,ERANGE %s %s:\n' "$c" "$a"
	printf '!EINVAL,ERANGE %s %s:0101\n' "$c" "$a"
	printf '!EINVAL,ERANGE %s %s:0010000000\n' "$c" "$a"
	printf '!EINVAL,ERANGE %s %s:0010000000000000\n' "$c" "$a"
done; }
ill8() { local c=$1 a; shift; for a; do
	printf '!EINVAL,ERANGE %s %s:\n' "$c" "$a"
	printf '!EINVAL,ERANGE %s %s:00100000\n' "$c" "$a"
	printf '!EINVAL,ERANGE %s %s:001000000000000000\n' "$c" "$a"
done; }

{
	cat <<-'END'
	socket c
	# no device yet
	!ENODEV c get index=7
	!ENODEV c set index=7 generation=1 size=1M
	!ENODEV c del index=7 generation=1
	!ENODEV c attach index=7 generation=1
	!ENODEV c start index=7 generation=1
	!ENODEV c bind index=7 generation=1 queue=0
	!ENODEV c complete index=7 queue=0 seq=1
	!ENODEV c open index=7 generation=1
	!ENODEV c claim index=7 generation=1
	!ENODEV c fill index=7 generation=1 ext=0:64K
	!ENODEV c chunks index=7
	!ENODEV c take index=7 generation=1
	!ENODEV c done index=7 generation=1 ext=0:64K
	!ENODEV c sync index=7 generation=1
	!EINVAL c get
	# commands that there are not, and those that only the module sends
	!?EOPNOTSUPP c cmd0
	!?EOPNOTSUPP c cmd8
	!?EOPNOTSUPP c cmd10
	!?EOPNOTSUPP c cmd100
	!?EOPNOTSUPP c cmd255
	# of two that want nothing, or next to it, and that a dump of nothing answers as one of much
	c features
	!EINVAL c features #0:00000000
	!EINVAL c features #1:
	!EINVAL c features #1:00000000
	!EINVAL c features index=0
	!EINVAL c features generation=1
	!EINVAL c features #3:0000000000000000
	!EINVAL c features #16383:00
	c dump
	!EINVAL c dump generation=1
	!EINVAL c dump size=1M
	!EINVAL c dump force
	!EINVAL c dump #0:00000000
	!EINVAL c dump #1:00000000
	!EINVAL c dump #63:00
	END
	ill4 'c dump' index
	printf '!EINVAL,ERANGE c features backend=%060000d\n' 0
	printf '!EINVAL,ERANGE c dump backend=%060000d\n' 0
	cat <<-'END'
	# sizes
	!EINVAL c new
	!ERANGE c new size=0
	!ERANGE c new size=1
	!ERANGE c new size=511
	!EINVAL c new size=513
	!EINVAL c new size=1048575
	!EINVAL c new size=4096 logical_block=4096 size=4608
	!ERANGE c new size=9223372036854775808
	!ERANGE c new size=18446744073709551615
	!EINVAL c new size=9223372036854775807
	# blocks
	!ERANGE c new size=1M logical_block=0
	!ERANGE c new size=1M logical_block=256
	!EINVAL c new size=1M logical_block=513
	!EINVAL c new size=3M logical_block=1536
	!ERANGE c new size=1M logical_block=8192
	!EINVAL c new size=1M logical_block=4096 physical_block=512
	!EINVAL c new size=1M physical_block=5000
	!ERANGE c new size=1M physical_block=0
	!ERANGE c new size=1M physical_block=4294967295
	!EINVAL c new size=1M io_min=512
	!EINVAL c new size=1M io_min=4097
	!EINVAL c new size=1M io_opt=1
	!ERANGE c new size=1M io_opt=4294967295
	# limits
	!ERANGE c new size=1M max_io=0
	!ERANGE c new size=1M max_io=512
	!EINVAL c new size=1M max_io=4097
	!ERANGE c new size=1M max_io=64M
	!EINVAL c new size=1M transport=inline max_io=512K
	!EINVAL c new size=1M discard_granularity=5000
	!EINVAL c new size=1M discard_granularity=3000
	!EINVAL c new size=1M max_discard=512
	!EINVAL c new size=1M max_discard=4097
	!EINVAL c new size=1M max_zeroes=4097
	!ERANGE c new size=1M queues=0
	!ERANGE c new size=1M queues=65
	!ERANGE c new size=1M depth=0
	!ERANGE c new size=1M depth=4097
	!ERANGE c new size=1M transport=0
	!ERANGE c new size=1M transport=3
	!EINVAL c new size=1M flags=128
	!EINVAL c new size=1M flags=4294967295
	!ERANGE c new size=1M timeout=0
	!ERANGE c new size=1M timeout=86400001
	!ERANGE c new size=1M park=86400001
	!EINVAL c new size=1M index=1048576
	!EINVAL c new size=1M index=4294967295
	# attributes that are not NEW's
	!EINVAL c new size=1M generation=1
	!EINVAL c new size=1M state=2
	!EINVAL c new size=1M force
	!EINVAL c new size=1M helper_pid=1
	!EINVAL c new size=1M #32:0000000000000000
	!EINVAL c new size=1M local=0
	!EINVAL c new size=1M dirty=0
	!EINVAL c new size=1M sync=1
	!EINVAL c new size=1M errno=0
	!EINVAL c new size=1M #42:00000000
	!EINVAL c new size=1M #16383:00
	!EINVAL c new size=1M #1:00000000
	!EINVAL c new size=1M #0:00000000
	# a backend's name that does not end, and one that is too long
	!EINVAL c new size=1M backend:6d656d
	END
	printf '!ERANGE,EINVAL c new size=1M backend=%01024d\n' 0
	ill4 'c new size=1M' index flags logical_block physical_block io_min io_opt max_io \
		max_discard max_zeroes discard_granularity queues depth transport timeout park \
		chunk store flush map
	ill8 'c new' size
	ill8 'c new size=1M' map_region
	cat <<-'END'

	# the longest name that fits, and everything at once
	END
	printf 'c new size=64M backend=%01023d\n' 0
	cat <<-'END'
	c del
	await gone
	c new size=64M index=5 flags=0x2e logical_block=512 physical_block=8192 io_min=16384 io_opt=65536 max_io=256K max_discard=8M max_zeroes=4M discard_granularity=8192 queues=1 depth=3 transport=shared timeout=10000 park=5000 backend=test:
	expect index=5 size=64M flags=0x2e logical_block=512 physical_block=8192 io_min=16384 io_opt=65536 max_io=256K
	expect max_discard=8M max_zeroes=4M discard_granularity=8192 queues=1 depth=3 transport=shared timeout=10000 park=5000 backend=test: state=new
	!EEXIST c new size=1M index=5
	socket q
	map a 4M
	# GET, SET, DEL, START, BIND, COMPLETE of a device that is there
	!EINVAL c get size=1M
	!EINVAL c get generation=1
	!EINVAL c get #63:00
	!EINVAL c dump #63:00
	!EINVAL c dump size=1M
	!EINVAL c features #63:00
	c dump
	!EINVAL c set -generation size=1M
	!ENXIO c set size=1M
	!EINVAL c del -generation
	!EINVAL c del size=1M
	!EINVAL c start -generation
	!EINVAL c start force
	!EINVAL c attach -generation
	!EINVAL c attach transport=1
	!EINVAL q bind -queue area_addr=@a area_size=4M
	!EINVAL q bind -index queue=0 area_addr=@a area_size=4M
	!EINVAL q bind -generation queue=0 area_addr=@a area_size=4M
	!EINVAL q bind queue=1 area_addr=@a area_size=4M
	!EINVAL q bind queue=4294967295 area_addr=@a area_size=4M
	!EINVAL q bind queue=0
	!EINVAL q bind queue=0 area_addr=@a
	!EINVAL q bind queue=0 area_size=4M
	!ERANGE q bind queue=0 area_addr=@a area_size=0
	!ERANGE q bind queue=0 area_addr=@a area_size=2G
	!EINVAL q bind queue=0 area_addr=@a area_size=4M seq=1
	!EINVAL q bind queue=0 area_addr=@a area_size=4M #64:00
	END
	ill4 'q bind area_addr=@a area_size=4M' queue
	ill8 'q bind queue=0' area_addr area_size
	cat <<-'END'
	q bind queue=0 area_addr=@a area_size=4M
	!EINVAL q bind queue=0 area_addr=@a area_size=4M index:01
	c start
	!EINVAL q complete
	!EINVAL q complete queue=0
	!EINVAL q complete -index queue=0 seq=0
	!EINVAL q complete queue=1 seq=0
	!EINVAL q complete queue=0 completions:
	!EINVAL q complete queue=0 completions:00
	!EINVAL q complete queue=0 completions:000000000000000000000000000000
	!EINVAL q complete queue=0 seq=0 area_addr=0
	!EINVAL q complete queue=0 seq=0 requests:00
	!EINVAL q complete queue=0 seq=0 #77:00
	END
	ill4 'q complete' queue
	ill4 'q complete queue=0' seq
	printf '!ERANGE,EINVAL q complete queue=0 comp=0:0:0'
	printf ',%d:0:0' $(seq 256)
	printf '\n!ERANGE,EINVAL q complete queue=0 seq=0 fill=61441\n'
	cat <<-'END'
	!ERANGE c set size=0
	!EINVAL c set size=513
	!ERANGE c set size=9223372036854775808
	!EINVAL c set flags=0x2a
	!EINVAL c set flags=128
	!ERANGE c set timeout=0
	!ERANGE c set park=86400001
	!EINVAL c set queues=2
	!EINVAL c set logical_block=512
	!EINVAL c set backend=other:
	!EINVAL c set chunk=64K
	!EINVAL c set flush=local
	!EINVAL c attach chunk=64K
	!EINVAL c start sync=1
	!EINVAL c sync force
	!EINVAL c sync sync=1
	END
	ill4 'c set' flags timeout park
	ill8 'c set' size
	ill8 'c del' generation
	ill8 'c start' generation
	ill8 'c attach' size
	ill8 'c sync' generation
	printf '!EINVAL,ERANGE c del force:00\n'
	peer_works
	# a managed device, and the commands about its store and chunks
	cat <<-'END'
	map s 1M memfd
	c new size=1M chunk=64K store=s flush=durable
	expect chunk=64K flush=durable local=0 dirty=0
	!EINVAL c open -index
	!EINVAL c open offset=0
	!EINVAL c open fd=0
	!EINVAL c open #11:00000000
	!EINVAL c chunks #3:0000000000000000
	END
	for command in claim take; do
		ill4 "c $command" index
		ill8 "c $command" generation offset length limit
		printf '!EINVAL c %s %s\n' $command next=0 $command fd=0 $command error=-5 \
			$command ext=0:64K $command '#11:00' $command '#1:00' $command '#0:00'
	done
	for command in fill 'done'; do
		ill4 "c $command ext=0:64K" index error
		ill8 "c $command ext=0:64K" generation
		printf '!EINVAL c %s ext=0:64K %s\n' $command next=0 $command fd=0 $command offset=0 \
			$command length=64K $command limit=64K $command '#11:00'
	done
	ill4 'c open' index
	ill8 'c open' generation
	ill4 'c chunks' index
	ill8 'c chunks' offset length
	cat <<-'END'
	c claim offset=64K length=64K limit=64K
	answer ext=64K:64K next=128K
	c fill ext=64K:64K
	c chunks
	answer ext=0:64K,64K:64K:l,128K:896K next=1M
	c del
	await gone
	END
} >"$TEST_DIR/script"
peer <"$TEST_DIR/script"
