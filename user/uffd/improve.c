// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The list of --improve. See improve.h.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define LOG_PREFIX "uffd: "
#include "lib/error.h"
#include "lib/log.h"
#include "uffd/improve.h"
#include "uffd/kernel.h"

const struct improvement improvements[] = {
	{ IMPROVE_EVENTS, "events", "several faults with one read(2)", 0 },
	{ IMPROVE_IN_FLIGHT, "in-flight", "several requests to the backend at a time", 0 },
	{ IMPROVE_AROUND, "around", "a fault brings the bytes around it", 0 },
	{ IMPROVE_POPULATE, "populate", "everything comes in the background", 0 },
	{ IMPROVE_MINOR, "minor", "shared memory that is mapped, not copied",
	  UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM },
	{ IMPROVE_POISON, "poison", "SIGBUS for what cannot be read", UFFD_FEATURE_POISON },
	{ IMPROVE_DIRTY, "dirty", "what is written goes to the backend; needs minor",
	  UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UFFD_FEATURE_WP_UNPOPULATED | UFFD_FEATURE_WP_ASYNC },
	{ IMPROVE_HUGE, "huge", "huge pages; not with minor", UFFD_FEATURE_MISSING_HUGETLBFS },
	{ .name = NULL },
};

static bool kernel_has(const struct improvement *one, uint64_t features)
{
	uint64_t free;

	if ((features & one->needs) != one->needs)
		return false;
	if (one->bit == IMPROVE_DIRTY)
		return uffd_can_scan();
	return one->bit != IMPROVE_HUGE || (uffd_huge(&free) && free);
}

static const struct improvement *improvement_find(const char *name, size_t length)
{
	const struct improvement *one;

	for (one = improvements; one->name; one++)
		if (strlen(one->name) == length && !memcmp(one->name, name, length))
			return one;
	return NULL;
}

static void improve_all(uint64_t features, uint32_t *improve)
{
	for (const struct improvement *one = improvements; one->name; one++) {
		if (one->bit == IMPROVE_HUGE)
			continue;
		if (kernel_has(one, features))
			*improve |= one->bit;
		else
			log_info("this kernel has no %s", one->name);
	}
	if (!(*improve & IMPROVE_MINOR))
		*improve &= ~IMPROVE_DIRTY;
}

int improve_parse(const char *list, uint32_t *improve, struct error *error)
{
	const struct improvement *one;
	uint64_t features;
	enum uffd_way way;
	int code;

	*improve = 0;
	if (!strcmp(list, "none"))
		return 0;
	code = uffd_probe(&features, &way, error);
	if (code)
		return code;
	if (!strcmp(list, "all")) {
		improve_all(features, improve);
		return 0;
	}
	for (size_t length; *list; list += length + (list[length] == ',')) {
		length = strcspn(list, ",");
		one = improvement_find(list, length);
		if (!one)
			return error_set(error, -EINVAL,
					 "--improve does not know '%.*s': see r3map uffd --help",
					 (int)length, list);
		if (!kernel_has(one, features))
			return error_set(error, -EOPNOTSUPP,
					 one->bit == IMPROVE_HUGE ?
					 "there is no free huge page for --improve %s: set the sysctl vm.nr_hugepages" :
					 "this kernel has no %s: leave it out of --improve, or give all",
					 one->name);
		*improve |= one->bit;
	}
	if (*improve & IMPROVE_HUGE && *improve & IMPROVE_MINOR)
		return error_set(error, -EINVAL, "--improve minor and huge exclude each other");
	if (*improve & IMPROVE_DIRTY && !(*improve & IMPROVE_MINOR))
		return error_set(error, -EINVAL, "--improve dirty needs minor: only shared memory can be pushed");
	return 0;
}
