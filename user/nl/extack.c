// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Finds the kernel's words in an NLMSG_ERROR message, see extack.h. Trusts nothing but nlmsg_len:
 * the attributes lie behind a copy of the request, whole or cut to its header (NETLINK_CAP_ACK).
 */
#include <linux/netlink.h>
#include <stdint.h>
#include <string.h>

#include "nl/extack.h"

void extack_text(const struct nlmsghdr *header, char *text, size_t size)
{
	const uint8_t *base = (const uint8_t *)header;
	struct nlmsgerr reply;
	struct nlattr attr;
	size_t at, length;

	text[0] = '\0';
	if (header->nlmsg_len < NLMSG_HDRLEN + sizeof(reply) ||
	    !(header->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	memcpy(&reply, base + NLMSG_HDRLEN, sizeof(reply));
	at = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(reply));
	if (!(header->nlmsg_flags & NLM_F_CAPPED)) {
		if (reply.msg.nlmsg_len < NLMSG_HDRLEN)
			return;
		at += NLMSG_ALIGN((size_t)reply.msg.nlmsg_len - NLMSG_HDRLEN);
	}
	while (at + sizeof(attr) <= header->nlmsg_len) {
		memcpy(&attr, base + at, sizeof(attr));
		if (attr.nla_len < sizeof(attr) || attr.nla_len > header->nlmsg_len - at)
			return;
		if ((attr.nla_type & NLA_TYPE_MASK) == NLMSGERR_ATTR_MSG) {
			length = strnlen((const char *)base + at + sizeof(attr),
					 attr.nla_len - sizeof(attr));
			if (length >= size)
				length = size - 1;
			memcpy(text, base + at + sizeof(attr), length);
			text[length] = '\0';
			return;
		}
		at += NLA_ALIGN(attr.nla_len);
	}
}
