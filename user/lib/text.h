/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text: that of others before it is shown to people or put in JSON, and digits.
 */
#ifndef R3MAP_TEXT_H
#define R3MAP_TEXT_H

/*
 * Puts '?' for every byte that is a control character (of ASCII or C1) or no UTF-8: what is left
 * does nothing to a terminal.
 */
void text_clean(char *text);

/* 0 to 15, or -1: not a hexadecimal digit. */
int text_hex_digit(char c);

#endif
