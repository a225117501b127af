/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GnuTLS, loaded when it is first needed.
 *
 * Linked in the usual way it would be loaded with every start of the program, and with its nine
 * libraries that takes longer than all the rest: 2 ms, of the 5 that attaching a device may take.
 * And so a machine that uses no TLS need not have it. Its functions are called by pointers with the
 * prefix sym_; the types are those of its header.
 */
#ifndef R3MAP_TLS_LIBRARY_H
#define R3MAP_TLS_LIBRARY_H

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/socket.h>
#include <gnutls/x509.h>

#include "../lib/error.h"

#define TLS_LIBRARY_FUNCTIONS(F) \
	F(gnutls_aead_cipher_decrypt) \
	F(gnutls_aead_cipher_deinit) \
	F(gnutls_aead_cipher_encrypt) \
	F(gnutls_aead_cipher_init) \
	F(gnutls_alert_get) \
	F(gnutls_alert_get_name) \
	F(gnutls_alert_send) \
	F(gnutls_alert_send_appropriate) \
	F(gnutls_auth_get_type) \
	F(gnutls_bye) \
	F(gnutls_certificate_allocate_credentials) \
	F(gnutls_certificate_free_credentials) \
	F(gnutls_certificate_get_peers) \
	F(gnutls_certificate_server_set_request) \
	F(gnutls_certificate_set_x509_crl_mem) \
	F(gnutls_certificate_set_x509_key) \
	F(gnutls_certificate_set_x509_system_trust) \
	F(gnutls_certificate_set_x509_trust) \
	F(gnutls_certificate_type_get2) \
	F(gnutls_certificate_verify_peers) \
	F(gnutls_check_version) \
	F(gnutls_cipher_get) \
	F(gnutls_cipher_get_name) \
	F(gnutls_credentials_set) \
	F(gnutls_deinit) \
	F(gnutls_error_is_fatal) \
	F(gnutls_handshake) \
	F(gnutls_handshake_set_timeout) \
	F(gnutls_hash) \
	F(gnutls_hash_deinit) \
	F(gnutls_hash_fast) \
	F(gnutls_hash_init) \
	F(gnutls_init) \
	F(gnutls_priority_deinit) \
	F(gnutls_priority_init2) \
	F(gnutls_priority_set) \
	F(gnutls_protocol_get_name) \
	F(gnutls_protocol_get_version) \
	F(gnutls_psk_allocate_client_credentials) \
	F(gnutls_psk_allocate_server_credentials) \
	F(gnutls_psk_free_client_credentials) \
	F(gnutls_psk_free_server_credentials) \
	F(gnutls_psk_server_get_username2) \
	F(gnutls_psk_set_client_credentials2) \
	F(gnutls_psk_set_server_credentials_function2) \
	F(gnutls_record_check_pending) \
	F(gnutls_record_get_direction) \
	F(gnutls_record_get_state) \
	F(gnutls_record_recv) \
	F(gnutls_record_send) \
	F(gnutls_record_set_state) \
	F(gnutls_server_name_set) \
	F(gnutls_session_get_ptr) \
	F(gnutls_session_set_ptr) \
	F(gnutls_session_set_verify_function) \
	F(gnutls_strerror) \
	F(gnutls_transport_is_ktls_enabled) \
	F(gnutls_transport_set_int2) \
	F(gnutls_transport_set_ptr2) \
	F(gnutls_transport_set_pull_function) \
	F(gnutls_transport_set_pull_timeout_function) \
	F(gnutls_x509_crl_deinit) \
	F(gnutls_x509_crl_get_next_update) \
	F(gnutls_x509_crl_import) \
	F(gnutls_x509_crl_init) \
	F(gnutls_x509_crt_deinit) \
	F(gnutls_x509_crt_get_activation_time) \
	F(gnutls_x509_crt_get_dn3) \
	F(gnutls_x509_crt_get_dn_by_oid) \
	F(gnutls_x509_crt_get_expiration_time) \
	F(gnutls_x509_crt_import) \
	F(gnutls_x509_crt_init) \
	F(gnutls_x509_crt_list_import2) \
	F(gnutls_x509_privkey_deinit) \
	F(gnutls_x509_privkey_import2) \
	F(gnutls_x509_privkey_init)

#define TLS_LIBRARY_DECLARE(name)	extern __typeof__(name) *sym_##name;
TLS_LIBRARY_FUNCTIONS(TLS_LIBRARY_DECLARE)
#undef TLS_LIBRARY_DECLARE

/*
 * Before anything else of the library is used; any thread, any number of times. May block on the
 * disk. Returns 0, or -ELIBACC with a sentence.
 */
int tls_library_load(struct error *error);

/* Memory from the library, and for it. */
void *tls_library_malloc(size_t size);
void tls_library_free(void *memory);

#endif
