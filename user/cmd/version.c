// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The program's version; the only file that is compiled anew when nothing but the commit changes.
 */
#include "cmd/cmd.h"

#ifndef R3MAP_VERSION
#define R3MAP_VERSION "unknown"
#endif

const char program_version[] = R3MAP_VERSION;
