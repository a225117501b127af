// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * GnuTLS at run time: see library.h.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>

#include "library.h"

#define LIBRARY	"libgnutls.so.30"	/* the name stands for the functions and their arguments */

#define DEFINE(name)	__typeof__(name) *sym_##name;
TLS_LIBRARY_FUNCTIONS(DEFINE)

static gnutls_alloc_function *library_malloc;
static gnutls_free_function *library_free;
static struct error failure;	/* of loading; constant afterwards */

static void *symbol(void *library, const char *name)
{
	void *at = dlsym(library, name);

	if (!at && !failure.code)
		error_set(&failure, -ELIBACC,
			  "TLS needs a newer %s than there is: it has no %s", LIBRARY, name);
	return at;
}

/* It stays until the process ends. */
static void load(void)
{
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

	if (!library) {
		error_set(&failure, -ELIBACC,
			  "TLS needs %s, which cannot be loaded: install GnuTLS (Debian: libgnutls30)",
			  LIBRARY);
		return;
	}
#define LOAD(name)	sym_##name = (__typeof__(name) *)symbol(library, #name);
	TLS_LIBRARY_FUNCTIONS(LOAD)
	library_malloc = symbol(library, "gnutls_malloc");
	library_free = symbol(library, "gnutls_free");
}

int tls_library_load(struct error *error)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, load);
	return failure.code ? error_set(error, failure.code, "%s", failure.text) : 0;
}

void *tls_library_malloc(size_t size)
{
	return (*library_malloc)(size);
}

void tls_library_free(void *memory)
{
	(*library_free)(memory);
}
