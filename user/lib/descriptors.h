/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How many files the process may have open.
 */
#ifndef R3MAP_DESCRIPTORS_H
#define R3MAP_DESCRIPTORS_H

/*
 * As many as it may allow itself. Connections, and regions that are kept open, are one each, and the
 * usual limit is for programs that use select(). Once, in the main thread.
 */
void descriptors_raise(void);
/* As before: for a program of others that is started. After a fork, too. */
void descriptors_restore(void);

#endif
