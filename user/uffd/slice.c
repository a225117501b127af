// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Slices as text. See slice.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/error.h"
#include "lib/size.h"
#include "uffd/client.h"
#include "uffd/slice.h"

int uffd_slice_parse(const char *text, struct uffd_slice *slice, struct error *error)
{
	const char *plus = strchr(text, '+');
	char offset[SIZE_TEXT + 8];
	int used = snprintf(offset, sizeof(offset), "%.*s", plus ? (int)(plus - text) : (int)strlen(text),
			    text);

	slice->length = 0;
	if (used >= (int)sizeof(offset) || size_parse(offset, &slice->offset, NULL) ||
	    (plus && (size_parse(plus + 1, &slice->length, NULL) || !slice->length)))
		return error_set(error, -EINVAL, "'%s' is no slice: write OFFSET+LENGTH, as 1M+64K, or OFFSET",
				 text);
	return 0;
}
