/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where bios come in.
 */
#ifndef R3MAP_BIO_H
#define R3MAP_BIO_H

struct bio;

/* submit_bio of the disk. Context: a submitter, which may sleep unless the bio is REQ_NOWAIT. */
void r3map_bio_submit(struct bio *bio);
/* The same of one that had to wait (throttle.h, hold.h), within the limits. Context: may sleep. */
void r3map_bio_admit(struct bio *bio);

#endif
