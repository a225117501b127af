// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Compares exports: see same.h.
 */
#include <errno.h>

#include "same.h"
#include "../lib/error.h"

#define CHANGED	"the export has changed since it was opened: "

int nbd_export_same(const struct nbd_export *was, const struct nbd_export *is,
		     struct error *error)
{
	if (was->size != is->size)
		return error_set(error, -ESTALE, CHANGED "%llu bytes, not %llu; open it anew",
				 (unsigned long long)is->size, (unsigned long long)was->size);
	if (was->flags != is->flags)
		return error_set(error, -ESTALE,
				 CHANGED "its transmission flags are 0x%x, not 0x%x; open it anew",
				 is->flags, was->flags);
	if (is->block_min > was->block_min)
		return error_set(error, -ESTALE,
				 CHANGED "its smallest block has %u bytes, not %u; open it anew",
				 is->block_min, was->block_min);
	if (is->payload_max < was->payload_max)
		return error_set(error, -ESTALE,
				 CHANGED "its largest request has %u bytes, not %u; open it anew",
				 is->payload_max, was->payload_max);
	if (is->headers < was->headers)
		return error_set(error, -ESTALE,
				 CHANGED "the server has only %s replies, not %s ones; open it anew",
				 nbd_headers_name(is->headers), nbd_headers_name(was->headers));
	if (was->has_allocation && !is->has_allocation)
		return error_set(error, -ESTALE,
				 CHANGED "the server does not tell allocation any more; open it anew");
	return 0;
}
