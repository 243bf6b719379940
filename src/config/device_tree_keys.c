// SPDX-License-Identifier: MIT
/*
 * Sorted as in xl_cfg_keys.c: refused is what would make the guest another one than Xen's, or mislead the person.
 */
#include "config/device_tree_keys.h"

#include <string.h>

#define NO_PASSTHROUGH "dom1 gives no devices of the host to a guest: leave it out"
#define NO_ARM         "it is for Arm"

static const struct device_tree_key KEYS[] = {
	{ "passthrough", TRUE, NO_PASSTHROUGH },
	{ "xen,passthrough", TRUE, NO_PASSTHROUGH },
	{ "xen,static-evtchn", TRUE, "there is no second domain to connect to: leave it out" },
	{ "xen,static-mem", FALSE, "memory is the host's to give" },
	{ "#xen,static-mem-address-cells", FALSE, "memory is the host's to give" },
	{ "#xen,static-mem-size-cells", FALSE, "memory is the host's to give" },
	{ "direct-map", FALSE, "memory is the host's to give" },
	{ "llc-colors", FALSE, "caches are the host's to divide" },
	{ "domain-cpupool", FALSE, "the host's scheduler decides: dom1,cpus pins" },
	{ "xen,enhanced", FALSE, "the PV interfaces are always there" },
	{ "security-id", FALSE, "there is no XSM" },
	{ "max_maptrack_frames", FALSE, "a guest maps no grants of other domains" },
	{ "max_grant_version", FALSE, "PV guests get version 1, PVH guests 1 and 2" },
	{ "vpl011", FALSE, NO_ARM },
	{ "nr_spis", FALSE, NO_ARM },
	{ "sve", FALSE, NO_ARM },
};

const struct device_tree_key *device_tree_key_find(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(KEYS); i++)
		if (strcmp(KEYS[i].name, name) == 0)
			return &KEYS[i];
	return NULL;
}

const struct device_tree_key *device_tree_key_table(size_t *n_keys)
{
	*n_keys = G_N_ELEMENTS(KEYS);
	return KEYS;
}
