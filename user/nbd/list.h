/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a server lists while options are haggled over: its exports, the metadata contexts of one.
 */
#ifndef R3MAP_NBD_LIST_H
#define R3MAP_NBD_LIST_H

#include "haggle.h"

#define NBD_LIST_MAX	1024u	/* entries; a longer list is an error */

/*
 * Calls @each for every export, with texts that are cleaned and end with the call; @description may
 * be "". What it returns, if not 0, ends the list as the result, and the connection is broken.
 */
int nbd_list(struct nbd_haggle *h,
	     int (*each)(const char *name, const char *description, void *owner), void *owner);
/* The same for the metadata contexts that export @name has, whose names are cleaned. */
int nbd_list_contexts(struct nbd_haggle *h, const char *name,
		      int (*each)(const char *context, void *owner), void *owner);

/*
 * The server has no such export, says the haggle's error: adds which ones it has, if it tells.
 * Nothing is asked afterwards: this may use up the time.
 */
void nbd_list_tell(struct nbd_haggle *h);

#endif
