#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# This test will encrypt what sender, receiver and hub say to each other, with certificates and with keys, and
# see that who must not get in does not.

. "$(dirname "$0")/../lib/test.sh"
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/delta.inc.sh"
requires_program certtool cmp
ktap_plan 5
"$TEST_LIB/certificates.sh" "$TEST_DIR/c"

random_file a 3000001

# tcp_start [OPTION...]: a receiver on TCP; $port is where
tcp_start()
{
	rm -f t.err
	r3map receive -l 127.0.0.1:0 --handshake-timeout 2m "$@" out >t.out 2>t.err &
	receiver=$!
	cleanup_fn pid_end "$receiver"
	wait_until 20 "the receiver listens" grep -qs 'listens on' t.err
	port=$(sed -n 's/.*listens on .*://p' t.err)
}

tcp() { r3map send --to "localhost:$port" --handshake-timeout 2m "$@" >sent 2>sent.err; }

# refused TEXT ARG...: the sender fails, and one of both says TEXT
refused()
{
	local text=$1
	shift
	! tcp "$@" || { note "it was let in: $*"; return 1; }
	# what the receiver says may be said a little later
	wait_until 20 "one of them says: $text" grep -q "$text" sent.err t.err
}

x509()
{
	tcp_start --tls-certificates c/good --tls-verify-peer -j
	{ tcp --tls-certificates c/good a && cmp a out/a; } || { note "$(cat sent.err)"; return 1; }
	grep -q '"from":"CN=client,O=r3map"' t.out || return
	refused "demands a certificate\|no certificate" --tls-certificates c/no-client a || return
	refused "authority" --tls-certificates c/other-ca a || return
	refused "expired\|revoked\|CA is unknown\|does not accept" --tls-certificates c/expired a || return
	refused "does not speak\|has closed\|closed the connection" a || return
	pid_end "$receiver"
	tcp_start --tls-certificates c/wrong-name
	refused "not for" --tls-certificates c/good a || return
	pid_end "$receiver"
	# who wants TLS does not do without
	tcp_start
	refused "TLS" --tls-certificates c/good a || return
	pid_end "$receiver"
}
ktap_test "certificates: right, none, of others, expired, for another host" x509

allowed()
{
	tcp_start --tls-certificates c/good --tls-verify-peer --tls-allow CN=second
	refused "allow" --tls-certificates c/good a || return
	tcp --tls-certificates c/second a || { note "$(cat sent.err)"; return 1; }
	pid_end "$receiver"
}
ktap_test "only a subject that is allowed" allowed

psk()
{
	tcp_start --tls-psk c/keys.psk
	random_file a 200000
	{ tcp --tls-psk c/alice.psk a && cmp a out/a; } || { note "$(cat sent.err)"; return 1; }
	tcp --tls-psk c/keys.psk --tls-user bob a || { note "$(cat sent.err)"; return 1; }
	refused "PSK" --tls-psk c/wrong-key.psk a || return
	refused "PSK" --tls-psk c/unknown.psk a || return
	pid_end "$receiver"
}
ktap_test "keys: right and wrong ones" psk

# hub_start [OPTION...]: a hub on TCP; $port is where it waits for senders, $offer for receivers
hub_start()
{
	rm -f t.err
	r3map hub --handshake-timeout 2m -l 127.0.0.1:0 -o 127.0.0.1:0 "$@" store >hub.out 2>t.err &
	hub=$!
	cleanup_fn pid_end $hub
	wait_until 20 "the hub listens" grep -qs 'for receivers' t.err
	port=$(sed -n 's/.*for senders on .*://p' t.err)
	offer=$(sed -n 's/.*for receivers on .*://p' t.err)
}

# hub_gives OPTION...: to whom it lets in
hub_gives()
{
	rm -rf copy
	r3map receive --once --handshake-timeout 2m --from "localhost:$offer" "$@" copy >/dev/null 2>sent.err &&
		cmp a copy/a
}

hub()
{
	hub_start --tls-psk c/keys.psk --sender alice
	{ tcp --tls-psk c/alice.psk a && cmp a store/a; } || { note "$(cat sent.err)"; return 1; }
	refused "none of its --sender" --tls-psk c/bob.psk a || return
	hub_gives --tls-psk c/bob.psk || return
	pid_end $hub
}
ktap_test "a hub takes from one identity, and gives to others" hub

hub_x509()
{
	hub_start --tls-certificates c/good --tls-verify-peer --sender CN=client,O=r3map
	random_file a 300000
	{ tcp --tls-certificates c/good a && cmp a store/a; } || { note "$(cat sent.err)"; return 1; }
	random_file b 1000
	refused "none of its --sender" --tls-certificates c/second b || return
	[ ! -e store/b ] || return
	hub_gives --tls-certificates c/second || { note "$(cat sent.err)"; return 1; }
	! hub_gives --tls-certificates c/no-client || { note "it gives to who has no certificate"; return 1; }
}
ktap_test "the same, known by their certificates" hub_x509
ktap_status
