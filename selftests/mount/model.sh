#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: 6.1 6.12 7.2:2
# timeout: 600
#
# This test will make random requests of managed devices, several threads at a time, and compare all
# that is read with a model; afterwards the backend must be the model, too. Chunks of several sizes,
# backends that wait and that do not, with and without pulling, and a small depth.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/rc.sh"

seed=${SEED:-1}
# round BACKEND OPTION...: one device, from the image to the end
round()
{
	local backend=$1
	shift
	cp "$IMAGE.orig" "$IMAGE"
	device_mount --managed --no-part-scan "$@" "$backend"
	model "$DEV" "$IMAGE.orig" "$WANT" $((++seed)) "$(slow 400 150)" 4 >"$TEST_DIR/said" ||
		fail "seed $seed, $*: $(cat "$TEST_DIR/said")"
	r3map umount "$DEV"
	cmp "$IMAGE" "$WANT" || fail "seed $seed, $*: the backend is not the model"
}

image 6291968
cp "$IMAGE" "$IMAGE.orig"
if [ "$VIA" != r3map ]; then	# the pipeline has a model of its own, unit/pipeline.c: fewer here
	round "file:$IMAGE" --chunk-size 4K --pull-workers 64 --push-interval 20ms
	round "delay:1ms:file:$IMAGE" --chunk-size 64K --pull-workers 3 --push-interval 10ms \
		--push-workers 3 --flush local
	round "delay:1ms:file:$IMAGE" --chunk-size 1M --pull-workers 0 --push-interval 0
	exit
fi
for chunk in 4K 64K 1M; do
	for pull in 0 3 64; do
		round "file:$IMAGE" --chunk-size $chunk --pull-workers $pull --push-interval 20ms
		round "delay:1ms:file:$IMAGE" --chunk-size $chunk --pull-workers $pull \
			--push-interval 10ms --push-workers 3 --flush local
	done
done
round "delay:1ms:file:$IMAGE" --depth 2 --queues 1 --push-interval 5ms --max-io 64K --chunk-size 16K
round "delay:1ms:file:$IMAGE" --push-interval 0 --chunk-size 8M
# most of what is written is on its way then
for chunk in 4K 16K; do
	round "delay:100ms,write=1ms,jitter=50ms:file:$IMAGE" --chunk-size $chunk --pull-workers 24 \
		--push-interval 10ms --push-workers 3 --flush local
done
