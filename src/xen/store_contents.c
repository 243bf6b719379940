// SPDX-License-Identifier: MIT
#include "xen/store_contents.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include <glib.h>

#include "xen/xenstore/xenstore.h"

#define HOME "/local/domain/1/"

/* A node of the guest's own: it may write there, and nobody else but the host may. */
static int guest_node(struct xenstore *store, const char *path)
{
	const char *const own[] = { "n1" };
	int rc = xenstore_write(store, path, "", 0);

	return rc == 0 ? xenstore_set_permissions(store, path, own, G_N_ELEMENTS(own)) : rc;
}

static int write_guest_nodes(struct xenstore *store)
{
	static const char *const paths[] = {
		HOME "device", HOME "control/shutdown", HOME "control/feature-poweroff", HOME "control/feature-reboot",
		HOME "control/feature-suspend", HOME "control/sysrq", HOME "data", HOME "drivers", HOME "feature",
		HOME "attr", HOME "error",
	};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < G_N_ELEMENTS(paths); i++)
		rc = guest_node(store, paths[i]);
	return rc;
}

static int write_vcpus(struct xenstore *store, unsigned int n_vcpus)
{
	int rc = 0;

	for (unsigned int i = 0; rc == 0 && i < n_vcpus; i++) {
		g_autofree char *path = g_strdup_printf(HOME "cpu/%u/availability", i);

		rc = xenstore_printf(store, path, "online");
	}
	return rc;
}

/* The host's, and the guest may read all of it. Children inherit this. */
static int make_readable(struct xenstore *store, const char *path)
{
	const char *const readable[] = { "n0", "r1" };
	int rc = xenstore_write(store, path, "", 0);

	return rc == 0 ? xenstore_set_permissions(store, path, readable, G_N_ELEMENTS(readable)) : rc;
}

/* What says which domain this is. The generation's path and form are those of Xen's docs/misc/xenstore-paths.pandoc. */
static int write_identity(struct xenstore *store, const struct store_contents *contents)
{
	g_autofree char *vm_path = g_strdup_printf("/vm/%s", contents->uuid);
	g_autofree char *vm_name = g_strdup_printf("%s/name", vm_path);
	g_autofree char *vm_uuid = g_strdup_printf("%s/uuid", vm_path);
	const struct {
		const char *path;
		const char *value;
	} texts[] = {
		{ vm_name, contents->name },
		{ vm_uuid, contents->uuid },
		{ HOME "vm", vm_path },
		{ HOME "name", contents->name },
	};
	int rc = make_readable(store, vm_path);

	for (size_t i = 0; rc == 0 && i < G_N_ELEMENTS(texts); i++)
		rc = xenstore_printf(store, texts[i].path, "%s", texts[i].value);
	if (rc == 0)
		rc = xenstore_printf(store, HOME "platform/generation-id", "%" PRIu64 ":%" PRIu64, contents->generation_id[0],
				     contents->generation_id[1]);
	return rc;
}

int store_contents_rename(struct xenstore *store, const char *old_uuid, const struct store_contents *contents)
{
	g_autofree char *old_path = g_strdup_printf("/vm/%s", old_uuid);
	int rc = xenstore_remove(store, old_path);

	return rc == 0 || rc == ENOENT ? write_identity(store, contents) : rc;
}

int store_contents_write(struct xenstore *store, const struct store_contents *contents)
{
	const struct {
		const char *path;
		const char *value;
	} texts[] = {
		{ "/local/domain/0/domid", "0" },
		{ "/local/domain/0/name", "Domain-0" },
		{ HOME "domid", "1" },
		{ HOME "control/platform-feature-multiprocessor-suspend", "1" },
		{ HOME "control/platform-feature-xs_reset_watches", "1" },
		{ HOME "console/type", "xenconsoled" },
		{ HOME "console/limit", "1048576" },
	};
	const struct {
		const char *path;
		uint64_t value;
	} numbers[] = {
		{ HOME "memory/target", contents->memory_kib },	      { HOME "memory/static-max", contents->memory_kib },
		{ HOME "memory/videoram", 0 },			      { HOME "console/ring-ref", contents->console_gfn },
		{ HOME "console/port", contents->console_port },      { HOME "store/ring-ref", contents->xenstore_gfn },
		{ HOME "store/port", contents->xenstore_port },
	};
	int rc = make_readable(store, "/local/domain/1");

	if (rc == 0)
		rc = write_identity(store, contents);
	for (size_t i = 0; rc == 0 && i < G_N_ELEMENTS(texts); i++)
		rc = xenstore_printf(store, texts[i].path, "%s", texts[i].value);
	for (size_t i = 0; rc == 0 && i < G_N_ELEMENTS(numbers); i++)
		rc = xenstore_printf(store, numbers[i].path, "%" PRIu64, numbers[i].value);
	if (rc == 0)
		rc = write_vcpus(store, contents->n_vcpus);
	if (rc == 0)
		rc = write_guest_nodes(store);
	return rc;
}
