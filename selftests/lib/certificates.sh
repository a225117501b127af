#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Usage: certificates.sh DIR
#
# Makes certificates and keys for tests of TLS, never the same twice. Each folder has
# the files that QEMU, nbdkit and r3map expect (ca-cert.pem, {server,client}-{cert,key}.pem):
#
#   DIR/good        the server is localhost, 127.0.0.1 and ::1; the client "CN=client,O=r3map"
#   DIR/second      as good, from the same authority; the client is "CN=second,O=r3map"
#   DIR/no-client   as good, but the client has no certificate
#   DIR/wrong-name  as good, but the server is elsewhere.example and 192.0.2.1
#   DIR/expired     as good, but server and client expired long ago
#   DIR/other-ca    all from an authority of its own
#   DIR/revoked     as good, with a ca-crl.pem that revokes the client
#
#   DIR/keys.psk        PSKs of the identities alice and bob
#   DIR/alice.psk       alice's alone, DIR/bob.psk: bob's
#   DIR/wrong-key.psk   alice with another key, DIR/unknown.psk: an identity mallory

set -euo pipefail
umask 077

[ $# = 1 ] || { echo "usage: certificates.sh DIR" >&2; exit 2; }
command -v certtool >/dev/null ||
	{ echo "certificates.sh: certtool is missing: install the package gnutls-bin" >&2; exit 1; }
mkdir -p "$1"
cd "$1"
work=$(mktemp -d "$PWD/.work.XXXXXX")
trap 'rm -rf "$work"' EXIT

# tool ARG...: certtool, which talks even when all is well
tool()
{
	certtool "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
}

# key FILE
key()
{
	tool --generate-privkey --key-type ecdsa --curve secp256r1 --outfile "$1"
}

# authority DIR NAME: DIR/ca-cert.pem, and its key beside what is made
authority()
{
	mkdir -p "$1"
	key "$work/$2-key.pem"
	printf '%s\n' "cn = r3map test authority $2" ca cert_signing_key crl_signing_key \
		'expiration_days = 30' >"$work/template"
	tool --generate-self-signed --load-privkey "$work/$2-key.pem" \
		--template "$work/template" --outfile "$1/ca-cert.pem"
}

# certificate DIR NAME ROLE LINE...: DIR/ROLE-cert.pem and DIR/ROLE-key.pem, from authority NAME
certificate()
{
	local dir=$1 name=$2 role=$3
	shift 3
	key "$dir/$role-key.pem"
	printf '%s\n' 'organization = r3map' signing_key "tls_www_$role" "$@" >"$work/template"
	grep -q '^expiration_date' "$work/template" || echo 'expiration_days = 30' >>"$work/template"
	tool --generate-certificate --load-ca-certificate "$dir/ca-cert.pem" \
		--load-ca-privkey "$work/$name-key.pem" --load-privkey "$dir/$role-key.pem" \
		--template "$work/template" --outfile "$dir/$role-cert.pem"
}

here=('cn = localhost' 'dns_name = localhost' 'ip_address = 127.0.0.1' 'ip_address = ::1')
past=('activation_date = 2001-01-01 00:00:00' 'expiration_date = 2002-01-01 00:00:00')

authority good main
for dir in second no-client wrong-name expired revoked; do
	mkdir -p $dir
	cp good/ca-cert.pem $dir
done
certificate good main server "${here[@]}"
certificate good main client 'cn = client'
for dir in second no-client revoked; do
	cp good/server-cert.pem good/server-key.pem $dir
done
certificate second main client 'cn = second'
cp good/client-cert.pem good/client-key.pem wrong-name
cp good/client-cert.pem good/client-key.pem revoked
certificate wrong-name main server 'cn = elsewhere.example' 'dns_name = elsewhere.example' \
	'ip_address = 192.0.2.1'
certificate expired main server "${here[@]}" "${past[@]}"
certificate expired main client 'cn = client' "${past[@]}"

authority other-ca other
certificate other-ca other server "${here[@]}"
certificate other-ca other client 'cn = client'

printf '%s\n' 'crl_next_update = 30' 'crl_number = 1' >"$work/template"
tool --generate-crl --load-ca-privkey "$work/main-key.pem" --load-ca-certificate good/ca-cert.pem \
	--load-certificate good/client-cert.pem --template "$work/template" \
	--outfile revoked/ca-crl.pem

# psk IDENTITY: a line with a new key of 32 bytes
psk()
{
	printf '%s:%s\n' "$1" "$(od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n')"
}
psk alice >alice.psk
psk bob >bob.psk
cat alice.psk bob.psk >keys.psk
psk alice >wrong-key.psk
psk mallory >unknown.psk
