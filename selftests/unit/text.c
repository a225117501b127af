// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Text of others: what stays, and what becomes a question mark.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "lib/text.h"

static void cleaned_is(const char *text, const char *want)
{
	char copy[64];

	snprintf(copy, sizeof(copy), "%s", text);
	text_clean(copy);
	assert_string_equal(copy, want);
}

static void what_stays(void **state)
{
	(void)state;
	cleaned_is("", "");
	cleaned_is("plain ~!", "plain ~!");
	cleaned_is("\303\244\342\202\254\360\237\230\200", "\303\244\342\202\254\360\237\230\200");
	cleaned_is("\302\240", "\302\240");
	cleaned_is("\364\217\277\277", "\364\217\277\277");	/* the last character there is */
}

static void controls(void **state)
{
	(void)state;
	cleaned_is("a\033[2J\n\r\t\177", "a?[2J????");
	cleaned_is("\302\233" "2J", "??2J");		/* C1: the same as ESC [ */
	cleaned_is("\302\237", "??");
}

static void no_utf8(void **state)
{
	(void)state;
	cleaned_is("\377\376", "??");
	cleaned_is("\200", "?");
	cleaned_is("\303", "?");			/* cut */
	cleaned_is("\342\202", "??");
	cleaned_is("\360\237\230", "???");
	cleaned_is("\303x", "?x");
	cleaned_is("\300\233", "??");			/* longer than it need be */
	cleaned_is("\340\200\233", "???");
	cleaned_is("\360\200\200\233", "????");
	cleaned_is("\355\240\200", "???");		/* a surrogate */
	cleaned_is("\364\220\200\200", "????");	/* beyond the last */
	cleaned_is("\370\210\200\200\200", "?????");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_stays),
		cmocka_unit_test(controls),
		cmocka_unit_test(no_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
