// SPDX-License-Identifier: MIT
#include "control/domain_ops.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/error.h"
#include "xen/domid.h"
#include "xen/xenstore/xenstore.h"

#define HOME     "/local/domain/1/"
#define SYSRQ    HOME "control/sysrq"
#define MIN_KIB  1024u
#define PAGE_KIB 4u

static bool write_node(struct xenstore *store, const char *path, const char *value, GError **error)
{
	int rc = xenstore_write(store, path, value, strlen(value));

	return rc == 0 || refuse_usage(error, "xenstore %s: %s", path, g_strerror(rc));
}

/* NULL: no such node. Freed with free(). */
static char *read_node(struct xenstore *store, const char *path)
{
	void *value;
	size_t len_bytes;

	return xenstore_read(store, path, &value, &len_bytes) == 0 ? value : NULL;
}

static bool node_is(struct xenstore *store, const char *path, const char *wanted)
{
	char *value = read_node(store, path);
	bool is = value && strcmp(value, wanted) == 0;

	free(value);
	return is;
}

/* The host wrote it, but a host's tool may have written anything. */
static bool read_number(struct xenstore *store, const char *path, uint64_t *number)
{
	char *value = read_node(store, path);
	guint64 parsed = 0;
	bool good = value && g_ascii_string_to_unsigned(value, 10, 0, G_MAXINT64, &parsed, NULL);

	free(value);
	*number = parsed;
	return good;
}

bool domain_ask_shutdown(struct xenstore *store, bool *heeded, GError **error)
{
	*heeded = node_is(store, HOME "control/feature-poweroff", "1");
	return write_node(store, HOME "control/shutdown", "poweroff", error);
}

bool domain_ask_reboot(struct xenstore *store, bool *heeded, GError **error)
{
	*heeded = node_is(store, HOME "control/feature-reboot", "1");
	return write_node(store, HOME "control/shutdown", "reboot", error);
}

bool domain_ask_sysrq(struct xenstore *store, char key, bool *heeded, GError **error)
{
	const char value[] = { key, '\0' };

	if (!g_ascii_isgraph(key))
		return refuse_usage(error, "a SysRq key is one printable character");
	*heeded = xenstore_is_watched_by(store, GUEST_DOMID, SYSRQ);
	return write_node(store, SYSRQ, value, error);
}

bool domain_sysrq_waits(struct xenstore *store)
{
	char *value = read_node(store, SYSRQ);
	bool waits = value && value[0];

	free(value);
	return waits;
}

void domain_withdraw_sysrq(struct xenstore *store)
{
	(void)xenstore_write(store, SYSRQ, "", 0);
}

bool domain_memory(struct xenstore *store, uint64_t *target_kib, uint64_t *max_kib)
{
	return read_number(store, HOME "memory/target", target_kib) &&
	       read_number(store, HOME "memory/static-max", max_kib);
}

bool domain_set_memory(struct xenstore *store, uint64_t bytes, uint64_t *target_kib, GError **error)
{
	uint64_t kib = bytes / 1024 / PAGE_KIB * PAGE_KIB;
	uint64_t max_kib;

	if (!read_number(store, HOME "memory/static-max", &max_kib))
		return refuse_usage(error, "xenstore " HOME "memory/static-max is not a number");
	if (kib < MIN_KIB)
		return refuse_usage(error, "%" PRIu64 " KiB: a guest keeps 1 MiB at the least", kib);
	if (kib > max_kib)
		return refuse_usage(error, "%" PRIu64 " KiB: this guest has %" PRIu64 " KiB at the most (memory/static-max)",
			      kib, max_kib);
	*target_kib = kib;
	g_autofree char *value = g_strdup_printf("%" PRIu64, kib);
	return write_node(store, HOME "memory/target", value, error);
}

static char *availability_path(unsigned int vcpu)
{
	return g_strdup_printf(HOME "cpu/%u/availability", vcpu);
}

unsigned int domain_vcpus(struct xenstore *store, unsigned int *online)
{
	unsigned int n;

	*online = 0;
	for (n = 0;; n++) {
		g_autofree char *path = availability_path(n);
		char *value = read_node(store, path);

		if (!value)
			return n;
		*online += strcmp(value, "online") == 0;
		free(value);
	}
}

bool domain_set_vcpus(struct xenstore *store, unsigned int n, GError **error)
{
	unsigned int online;
	unsigned int max = domain_vcpus(store, &online);

	if (n < 1 || n > max)
		return refuse_usage(error, "%u vCPUs: this guest may have 1 to %u", n, max);
	for (unsigned int i = 0; i < max; i++) {
		g_autofree char *path = availability_path(i);
		const char *wanted = i < n ? "online" : "offline";

		/* A write is an event, and the guest acts on each: only what changes. */
		if (!node_is(store, path, wanted) && !write_node(store, path, wanted, error))
			return false;
	}
	return true;
}
