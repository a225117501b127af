// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * When to acknowledge early, see credit.h.
 */
#include "lib/loop.h"
#include "mount/credit.h"

#define VAIN_MOST	4		/* early ones in vain before they are put off */
#define PUT_OFF_MOST	32		/* messages until the early way is tried again */
#define PUT_OFF_NS	100000ULL	/* a local server has answered by then */

void credit_message(struct credit *credit, unsigned int requests)
{
	/* Either it came because of the early number, or several were waiting: there is more. */
	if (credit->early || requests > 1)
		credit->vain = 0;
	credit->early = false;
	credit->deadline = 0;
}

bool credit_due(struct credit *credit)
{
	if (credit->deadline)
		return loop_now() >= credit->deadline;
	if (credit->vain < VAIN_MOST || credit->put_off >= PUT_OFF_MOST) {
		credit->put_off = 0;
		return true;
	}
	credit->put_off++;
	credit->deadline = loop_now() + PUT_OFF_NS;
	return false;
}

void credit_sent(struct credit *credit, unsigned int completions)
{
	if (!completions) {
		credit->early = true;
	} else if (credit->early) {
		credit->early = false;
		credit->vain++;
	}
	credit->deadline = 0;
}
