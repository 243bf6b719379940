// SPDX-License-Identifier: MIT
/*
 * What is asked of a guest through the xenstore, written as libxl writes it. Nothing here knows of the machine: the
 * guest's watches do the rest.
 *
 * Source: docs/misc/xenstore-paths.pandoc of Xen; Linux drivers/xen/{manage,xen-balloon,cpu_hotplug}.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

struct xenstore;

/*
 * All: FALSE and a line for the person. *heeded: the guest has said in control/feature-* that it listens, or for SysRq, of
 * which Linux says nothing there, watches the node; one that has not is perhaps still booting, or older than these nodes.
 */
bool domain_ask_shutdown(struct xenstore *store, bool *heeded, GError **error);
bool domain_ask_reboot(struct xenstore *store, bool *heeded, GError **error);
bool domain_ask_sysrq(struct xenstore *store, char key, bool *heeded, GError **error);
/* Whether a key is there that has not been taken: Linux empties the node. */
bool domain_sysrq_waits(struct xenstore *store);
void domain_withdraw_sysrq(struct xenstore *store);

/* To the KiB below, in whole pages; from 1 MiB to memory/static-max. */
bool domain_set_memory(struct xenstore *store, uint64_t bytes, uint64_t *target_kib, GError **error);
/* 1 to the number of cpu/N that there are: the first n go online, the others offline. */
bool domain_set_vcpus(struct xenstore *store, unsigned int n, GError **error);

/* FALSE: the store does not say. */
bool domain_memory(struct xenstore *store, uint64_t *target_kib, uint64_t *max_kib);
/* *online: those that may run, says the store. Returns how many the guest has in all; 0: the store does not say. */
unsigned int domain_vcpus(struct xenstore *store, unsigned int *online);
