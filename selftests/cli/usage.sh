#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will use the program wrongly in every way it can: each time the
# exit status is 2, stdout stays empty, and stderr is one sentence that names
# what is wrong.

. "$(dirname "$0")/../lib/test.sh"

requires_program r3map
cd "$TEST_DIR"

# wrong TEXT ARG...: status 2, and TEXT within one line on stderr
wrong()
{
	local text=$1 status=0
	shift
	r3map "$@" >out 2>err </dev/null || status=$?
	if [ $status != 2 ] || [ -s out ] || [ "$(wc -l <err)" != 1 ] || ! grep -qF -- "$text" err ||
	   ! grep -q '^r3map: ' err; then
		note "status $status, stdout '$(head -c 200 out)', stderr '$(cat err)'"
		return 1
	fi
}

# what must be told | what is typed
cases=(
	"a command is missing | r3map"
	"there is no command 'mont' | r3map mont"
	"there is no option '--hlp' | r3map --hlp"
	"an argument is missing | r3map mount"
	"there are too many arguments | r3map mount mem:1M mem:1M"
	"there is no option --dept | r3map mount --dept 1 mem:1M"
	"there is no option -z | r3map mount -z mem:1M"
	"--depth needs a value: N | r3map mount mem:1M --depth"
	"-d needs a value: N | r3map mount mem:1M -d"
	"--depth needs a number, not 'x' | r3map mount --depth x mem:1M"
	"--depth 0 is out of range | r3map mount --depth 0 mem:1M"
	"--depth 4097 is out of range | r3map mount --depth=4097 mem:1M"
	"--depth 99999999999999999999999 is out of range | r3map mount -d99999999999999999999999 mem:1M"
	"--depth needs a number, not '-1' | r3map mount --depth -1 mem:1M"
	"--depth needs a number, not '' | r3map mount --depth= mem:1M"
	"--daemon takes no value | r3map mount --daemon=yes mem:1M"
	"--queues 65 is out of range | r3map mount -q 65 mem:1M"
	"--max-io needs a size such as | r3map mount --max-io 1X mem:1M"
	"--max-io 33M is out of range | r3map mount --max-io 33M mem:1M"
	"--area 2G is out of range | r3map mount --area 2G mem:1M"
	"--block-size 8K is out of range | r3map mount -b 8K mem:1M"
	"--timeout needs a time such as | r3map mount --timeout 5x mem:1M"
	"--timeout 0 is out of range | r3map mount --timeout 0 mem:1M"
	"--park 2d is out of range | r3map mount --park 2d mem:1M"
	"--on-death does not know 'live': give one of park, fail | r3map mount --on-death live mem:1M"
	"--transport does not know 'tcp': give one of shared, inline | r3map mount --transport tcp mem:1M"
	"--index needs a number | r3map mount --index /dev/r3map0 mem:1M"
	"--via does not know 'ublk': give one of r3map, nbd | r3map mount --via ublk mem:1M"
	"--depth is for r3map's own driver | r3map mount --via nbd --depth 4 mem:1M"
	"--no-part-scan is for r3map's own driver | r3map mount --via nbd --no-part-scan mem:1M"
	"--queues with --managed is for | r3map mount --via nbd -mq 2 mem:1M"
	"--recover is for r3map's own driver | r3map mount --via nbd --recover 1 mem:1M"
	"an option --tls... is for a leecher that seeds on | r3map leech --tls require nbd://localhost/"
	"--suspend is for a leecher that seeds on | r3map leech --suspend true nbd://localhost/"
	"--hook needs EVENT=PROGRAM | r3map mount --hook ready mem:1M"
	"not 'lots=true' | r3map mount --hook lost=true --hook lots=true mem:1M"
	"--hook-timeout 0 is out of range | r3map mount --hook-timeout 0 mem:1M"
	"--hook-timeout must be less than --timeout | r3map mount --hook before-sync=true --timeout 20s mem:1M"
	"--hook all-local is for --managed | r3map mount --hook all-local=true mem:1M"
	"--hook all-local is for --managed | r3map mount -m --pull-workers 0 --hook all-local=true mem:1M"
	"--run and --daemon exclude each other | r3map mount --run true --daemon mem:1M"
	"--log is for --daemon | r3map mount --log x mem:1M"
	"--force is for --recover | r3map mount --force mem:1M"
	"--index and --recover exclude each other | r3map mount --index 1 --recover 1 mem:1M"
	"'/dev/sda' names no r3map device | r3map mount --recover /dev/sda mem:1M"
	"give the devices to unmount, or --all | r3map umount"
	"give the devices to unmount, or --all | r3map umount --all 1"
	"'r3map' names no r3map device | r3map umount r3map"
	"'-1' names no r3map device | r3map umount -- -1"
	"'99999999999' names no r3map device | r3map umount 99999999999"
	"there are too many arguments | r3map list x"
	"there is no option -x | r3map list -jx"
	"an argument is missing | r3map show"
	"'x' names no r3map device | r3map show x"
	"an argument is missing | r3map info"
	"there are too many arguments | r3map info mem:1M mem:1M"
	"--list is for NBD servers | r3map info --list mem:1M"
	"exclude each other: give one | r3map info --map --size mem:1M"
	"there is no event 'READDY' | r3map monitor --until READDY"
	"--count 0 is out of range | r3map monitor -n 0"
	"there is nothing to set | r3map set 0"
	"--read-only does not know 'maybe' | r3map set --read-only maybe 0"
	"--pull does not know 'stop' | r3map set --pull stop 0"
	"of /dev/nbd0 only --pull and --pull-rate can be set | r3map set --park 1s nbd0"
	"--watch is for people | r3map show --watch --latency 0"
	"give --latency or --map | r3map show --latency --map 0"
	"an argument is missing | r3map resize 0"
	"'0' is no size | r3map resize 0 0"
	"'1.5G' is no size | r3map resize 0 1.5G"
	"there are too many arguments | r3map features now"
	"an argument is missing | r3map uffd"
	"give serve BACKEND, or map | r3map uffd fill --socket x"
	"--socket PATH is missing | r3map uffd map --run true"
	"serve needs one BACKEND | r3map uffd serve -s x"
	"map takes no BACKEND | r3map uffd map mem:1M -s x --run true"
	"map needs --run CMD | r3map uffd map -s x"
	"are for r3map uffd map | r3map uffd serve mem:1M -s x --run true"
	"are for r3map uffd map | r3map uffd serve mem:1M -s x --signals"
	"map takes --socket, --run, --write | r3map uffd map -s x --run true --improve all"
	"--log is for --daemon | r3map uffd serve mem:1M -s x --log y"
	"cannot be shared by clients | r3map uffd serve mem:1M -s x --order -"
	"has to be a power of two | r3map uffd serve mem:1M -s x --around 12K"
	"--in-flight 0 is out of range | r3map uffd serve mem:1M -s x --in-flight 0"
	"'1+1+1' is no slice | r3map uffd map -s x --run true --slice 1+1+1"
	"'0+0' is no slice | r3map uffd map -s x --run true --slice 0+0"
	"there is nothing to serve: give a BACKEND or --export NAME=BACKEND | r3map serve"
	"there is no option --port | r3map serve --port 1 mem:1M"
	"--run and --daemon exclude each other | r3map serve --run true --daemon mem:1M"
	"--exit-with-parent and --daemon exclude each other | r3map serve --exit-with-parent --daemon mem:1M"
	"--log is for --daemon | r3map serve --log x mem:1M"
	"--tls does not know 'yes': give one of off, on, require | r3map serve --tls yes mem:1M"
	"--tls off and the other TLS options exclude each other | r3map serve --tls off --tls-psk x mem:1M"
	"--tls off and the other TLS options exclude each other | r3map serve --tls off --tls-verify-peer mem:1M"
	"--tls-allow needs --tls-verify-peer | r3map serve --tls-allow CN=x mem:1M"
	"--threads 257 is out of range | r3map serve -t 257 mem:1M"
	"--threads 0 is out of range | r3map serve --threads 0 mem:1M"
	"--max-requests 65537 is out of range | r3map serve --max-requests 65537 mem:1M"
	"--max-payload 65M is out of range | r3map serve --max-payload 65M mem:1M"
	"--max-payload 4095 is out of range | r3map serve --max-payload 4095 mem:1M"
	"--max-name 0 is out of range | r3map serve --max-name 0 mem:1M"
	"--max-name 4097 is out of range | r3map serve --max-name 4097 mem:1M"
	"--max-memory must be at least --max-payload | r3map serve --max-memory 16M mem:1M"
	"--max-connections 0 is out of range | r3map serve --max-connections 0 mem:1M"
	"--handshake-timeout 0 is out of range | r3map serve --handshake-timeout 0 mem:1M"
	"--shutdown-timeout 0 is out of range | r3map serve --shutdown-timeout 0 mem:1M"
	"give the receiver: --to ADDRESS | r3map send x"
	"an argument is missing | r3map send --to localhost"
	"--chunk-size must be a power of two | r3map send --to localhost --chunk-size 5000 x"
	"--chunk-size 2M is out of range | r3map send --to localhost --chunk-size 2M x"
	"--hash does not know 'md5': give one of xxh3, sha256, crc32c, blake2 | r3map send --to localhost --hash md5 x"
	"there are too many arguments | r3map receive a b"
	"--from and --listen exclude each other | r3map receive --from localhost --listen :1 x"
	"--tls-verify-peer is for senders that connect | r3map receive --from localhost --tls-verify-peer x"
	"--tls-verify-peer is for TLS | r3map receive --tls-verify-peer x"
	"--tls-allow needs --tls-verify-peer | r3map receive --tls --tls-allow CN=x x"
	"--device needs NAME=PATH | r3map receive --device x x"
	"--sender needs --tls-verify-peer or --tls-psk | r3map hub --sender CN=x x"
	"--chunk-size must be a power of two | r3map hub --chunk-size 5000 x"
	"--export can be given at most 64 times | r3map serve $(printf -- ' -e %d=mem:1M' {1..65})"
)
ktap_plan ${#cases[@]}
for c in "${cases[@]}"; do
	text=${c%% | *}
	read -ra words <<<"${c#* | }"
	ktap_test "${words[*]}" wrong "$text" "${words[@]:1}"
done
ktap_status
