/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The words that the kernel attaches to a refusal (extended acknowledgement, NLMSGERR_ATTR_MSG).
 */
#ifndef R3MAP_NL_EXTACK_H
#define R3MAP_NL_EXTACK_H

#include <stddef.h>

struct nlmsghdr;

/*
 * @header: a whole NLMSG_ERROR message, nlmsg_len bytes of it readable. Writes the text, cut to
 * @size with its NUL, or "" if there is none or the message is malformed.
 */
void extack_text(const struct nlmsghdr *header, char *text, size_t size);

#endif
