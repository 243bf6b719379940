// SPDX-License-Identifier: MIT
#include "check/facts.h"

#include <stdio.h>

void host_facts_clear(struct host_facts *facts)
{
	g_free(facts->kvm.owner);
	g_free(facts->kvm.group);
	g_free(facts->kvm.refusal);
	for (size_t i = 0; i < facts->n_shims; i++) {
		g_free(facts->shims[i].path);
		g_free(facts->shims[i].error);
	}
	g_free(facts->shims);
	g_free(facts->kernel.path);
	g_free(facts->kernel.error);
	g_free(facts->kernel.refusal);
	*facts = (struct host_facts){ .n_shims = 0 };
}

bool system_facts_kernel_is(const struct system_facts *facts, unsigned int major, unsigned int minor)
{
	unsigned int has_major, has_minor;

	if (sscanf(facts->kernel_release, "%u.%u", &has_major, &has_minor) != 2)
		return false;
	return has_major > major || (has_major == major && has_minor >= minor);
}
