// SPDX-License-Identifier: MIT
/* Hosts that nobody has at hand, as facts. */
#pragma once

#include "check/facts.h"

/*
 * One on which everything is as dom1 likes it, with two shims and no kernel named; a test breaks what it is about.
 * shims: room for two. The strings are constants: not for host_facts_clear().
 */
struct host_facts host_good(struct shim_facts shims[2]);

/* A PV and PVH bzImage named on that host. */
void host_name_kernel(struct host_facts *facts);

/* No /dev/kvm. */
void host_without_kvm(struct host_facts *facts);
