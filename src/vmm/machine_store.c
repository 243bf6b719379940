// SPDX-License-Identifier: MIT
/* The machine's xenstore: what the guest finds in it, the guest's ring, and the socket for tools on the host. */
#include <errno.h>
#include <stdlib.h>

#include "saved/image.h"
#include "vmm/error.h"
#include "vmm/guest_memory.h"
#include "vmm/machine_state.h"
#include "xen/domain.h"
#include "xen/store_contents.h"
#include "xen/xenstore/xenstore.h"
#include "xen/xenstore_ring.h"

#define TARGET "/local/domain/1/memory/target"

static void on_mark(void *opaque, const char *path)
{
	struct machine *machine = opaque;
	void *value;
	size_t len_bytes;

	if (xenstore_read(machine->store, path, &value, &len_bytes) != 0)
		return;
	if (len_bytes > 0) {
		record_phase(machine->vm.record, PHASE_MARK, value);
		machine_save_at_mark(machine, value);
	}
	free(value);
}

/*
 * The guest's balloon moves to memory/target. For a PV guest that is what the shim left it, and the shim has said so
 * by now: with all of the domain's memory as target, the balloon would ask for pages that are not there, forever.
 */
static void write_memory_target(void *opaque)
{
	struct machine *machine = opaque;
	const struct layout *layout = &machine->setup->layout;
	uint64_t shim_pages = atomic_load(&machine->vm.xen->shim_log.shim_pages);
	uint64_t kib = layout_ram_kib(layout) - shim_pages * (LAYOUT_PAGE_BYTES / 1024);

	if (shim_pages == 0 || shim_pages * LAYOUT_PAGE_BYTES >= layout->ram_bytes)
		return;
	(void)xenstore_printf(machine->store, TARGET, "%" G_GUINT64_FORMAT, kib);
	(void)xenstore_printf(machine->store, "/local/domain/1/memory/static-max", "%" G_GUINT64_FORMAT, kib);
}

/*
 * vCPUs that are there but not to be used yet. Linux starts all it finds in the MADT (in the shim: all that Xen has),
 * and takes these offline as soon as it reads the xenstore, as under Xen.
 */
static int take_spare_vcpus_offline(struct machine *machine)
{
	int rc = 0;

	for (unsigned int i = machine->setup->config->n_vcpus; rc == 0 && i < machine->vm.n_vcpus; i++) {
		g_autofree char *path = g_strdup_printf("/local/domain/1/cpu/%u/availability", i);

		rc = xenstore_printf(machine->store, path, "offline");
	}
	return rc;
}

static bool fill_store(struct machine *machine, GError **error)
{
	const struct layout *layout = &machine->setup->layout;
	const struct store_contents contents = {
		.name = machine->setup->config->name,
		.uuid = machine->uuid,
		.generation_id = { machine->setup->generation_id[0], machine->setup->generation_id[1] },
		.memory_kib = layout->ram_bytes / 1024,
		.n_vcpus = machine->vm.n_vcpus,
		.console_gfn = layout->console_gpa / LAYOUT_PAGE_BYTES,
		.xenstore_gfn = layout->xenstore_gpa / LAYOUT_PAGE_BYTES,
		.console_port = machine->vm.xen->console_port,
		.xenstore_port = machine->vm.xen->xenstore_port,
	};
	int rc = store_contents_write(machine->store, &contents);

	if (rc == 0)
		rc = take_spare_vcpus_offline(machine);
	if (rc != 0)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_DEFECT, "cannot fill the xenstore: %s", g_strerror(rc));
	return rc == 0;
}

/* After each making of the port, which the guest may have closed. conn: of a guest that was saved; NULL: a new one. */
static bool open_ring(struct machine *machine, struct xs_conn *conn, GError **error)
{
	struct xen_domain *xen = machine->vm.xen;
	const struct evtchn_backend *port = evtchn_kvm_backend(xen->events_kvm, xen->xenstore_port);
	const struct saved_image *image = machine->setup->restored;

	machine->store_ring =
		conn ? xenstore_ring_restore(machine->store, conn, machine->vm.memory, port, machine->vm.record, &machine->vm.trace,
					     write_memory_target, machine, image->rings.xenstore_had_request,
					     image->rings.xenstore_is_broken) :
		       xenstore_ring_new(machine->store, machine->vm.memory, port, machine->vm.record, &machine->vm.trace,
					 write_memory_target, machine);
	if (!machine->store_ring) {
		g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_HOST, "out of memory");
		return false;
	}
	if (machine->setup->config->inject)
		xenstore_ring_inject(machine->store_ring, machine->setup->config->inject);
	evtchn_kvm_serve(xen->events_kvm, xen->xenstore_port, xenstore_ring_serve, machine->store_ring);
	return true;
}

static bool make_store(struct machine *machine, GError **error)
{
	machine->store = xenstore_new(&XENSTORE_QUOTA_DEFAULT);
	if (machine->store)
		return fill_store(machine, error);
	g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_HOST, "out of memory");
	return false;
}

bool machine_start_store(struct machine *machine, GError **error)
{
	struct xs_conn *conn = NULL;

	if (!(machine->setup->restored ? machine_restore_store(machine, &conn, error) : make_store(machine, error)) ||
	    !open_ring(machine, conn, error))
		return false;
	machine->mark_watch = xenstore_watch(machine->store, "/local/domain/1/data/mark", on_mark, machine);
	machine->xenstore_socket = xenstore_socket_new(machine->setup->xenstore_fd, machine->store);
	if (!machine->mark_watch || !machine->xenstore_socket) {
		g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_HOST, "out of memory");
		return false;
	}
	return true;
}

static void close_ring(struct machine *machine)
{
	xenstore_ring_free(machine->store_ring);
	machine->store_ring = NULL;
}

bool machine_reset_store(struct machine *machine, GError **error)
{
	size_t len_bytes;
	void *target = NULL;

	close_ring(machine);
	/* What the balloon has given back stays with the host. */
	bool has_target = xenstore_read(machine->store, TARGET, &target, &len_bytes) == 0;
	(void)xenstore_remove(machine->store, "/local/domain/1");
	(void)xenstore_remove(machine->store, "/local/domain/0/backend");
	bool ok = fill_store(machine, error);
	if (ok && has_target)
		(void)xenstore_write(machine->store, TARGET, target, len_bytes);
	free(target);
	if (!ok || !open_ring(machine, NULL, error))
		return false;
	/* The same domain, and to who watches on the host a new one. */
	xenstore_fire_special(machine->store, "@releaseDomain");
	xenstore_fire_special(machine->store, "@introduceDomain");
	return true;
}

void machine_stop_store(struct machine *machine)
{
	/* As xenstored when a domain has shut down. A new start has a new store, in which nobody can watch yet. */
	if (machine->xenstore_socket)
		xenstore_fire_special(machine->store, "@releaseDomain");
	xenstore_socket_free(machine->xenstore_socket);
	machine->xenstore_socket = NULL;
	close_ring(machine);
	if (machine->mark_watch)
		xenstore_unwatch(machine->store, machine->mark_watch);
	machine->mark_watch = NULL;
	xenstore_free(machine->store);
	machine->store = NULL;
}
