// SPDX-License-Identifier: MIT
/*
 * The machine's disks: back ends in state InitWait before the first vCPU runs, so that no guest waits for them, and those
 * that come and go while it runs. The files outlive a restart of the domain, the devices do not.
 */
#include "config/guest_config.h"
#include "config/xl_cfg.h"
#include "vmm/error.h"
#include "vmm/json_members.h"
#include "saved/image.h"
#include "vmm/machine_disk.h"
#include "vmm/machine_state.h"
#include "xen/domain.h"

static void end_domain(void *opaque, const char *why)
{
	struct machine *machine = opaque;

	vm_end(&machine->vm, OUTCOME_HOST_ERROR, DOM1_STATUS_BACKEND, "%s", why);
}

/* The vCPUs stop, and what could not be written is kept: dom1 unpause tries it again. */
static void pause_domain(void *opaque, const char *why)
{
	machine_pause_for(opaque, why);
}

static void warn(void *opaque, const char *why)
{
	machine_say(opaque, "%s (the guest gets an error; it is told here once)", why);
}

static void tell_disk_event(const struct machine *machine, const char *event, const char *vdev)
{
	control_server_event(machine->control, event, json_pack("{s:o}", "vdev", json_any_string(vdev)));
}

static void disk_free(void *opaque)
{
	struct machine_disk *disk = opaque;

	if (disk->file == &disk->own)
		block_file_close(&disk->own);
	g_free(disk);
}

static struct machine_disk *disk_of(const struct machine *machine, const struct block_device *device)
{
	for (guint i = 0; i < machine->disks->len; i++) {
		struct machine_disk *disk = machine->disks->pdata[i];

		if (disk->device == device)
			return disk;
	}
	return NULL;
}

/* The image is everybody's again, whatever the guest does with the disk. */
static void on_ejected(void *opaque, struct block_device *device)
{
	struct machine *machine = opaque;
	struct machine_disk *disk = disk_of(machine, device);

	block_file_let_go(disk->file);
	if (!disk->ejected)
		tell_disk_event(machine, "DISK_EJECTED", disk->file->vdev);
	disk->ejected = true;
}

static void on_gone(void *opaque, struct block_device *device)
{
	struct machine *machine = opaque;
	struct machine_disk *disk = disk_of(machine, device);
	g_autofree char *vdev = g_strdup(disk->file->vdev);

	/* It may end what the eject had begun, which looks for the disk. */
	block_device_free(device);
	/* The launcher has a copy of the descriptor open to the end. */
	block_file_let_go(disk->file);
	g_ptr_array_remove(machine->disks, disk);
	tell_disk_event(machine, "DISK_DETACHED", vdev);
}

static void set_up_env(struct machine *machine)
{
	struct xen_domain *xen = machine->vm.xen;

	machine->block_env = (struct block_env){
		.store = machine->store,
		.access = { machine->vm.memory, &xen->grants, &xen->lock, &BACKEND_PORT_XEN, xen, machine_xenbus_trace(machine) },
		.io = machine->io,
		.max_queues = MIN(machine->vm.n_vcpus, BLOCK_QUEUES_MAX),
		.record = machine->vm.record,
		.inject = machine->setup->config->inject,
		.end = end_domain,
		.gone = on_gone,
		.ejected = on_ejected,
		.no_room = pause_domain,
		.warn = warn,
		.end_opaque = machine,
	};
}

/* saved: what it is to go on from; NULL: it is new. */
static bool start_disk(struct machine *machine, struct machine_disk *disk, const struct saved_disk *saved, GError **error)
{
	disk->device = saved ? block_device_restore(&machine->block_env, disk->file, &saved->bus) :
			       block_device_new(&machine->block_env, disk->file);
	if (!disk->device)
		g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_HOST, "out of memory");
	return disk->device != NULL;
}

void machine_take_disks(struct machine *machine)
{
	machine->disks = g_ptr_array_new_with_free_func(disk_free);
	for (size_t i = 0; i < machine->setup->n_disks; i++) {
		struct machine_disk *disk = g_new0(struct machine_disk, 1);

		disk->file = &machine->setup->disks[i];
		g_ptr_array_add(machine->disks, disk);
	}
}

bool machine_start_disks(struct machine *machine, GError **error)
{
	/* After a soft reset the devices are new. */
	const struct saved_image *restored = machine->running ? NULL : machine->setup->restored;

	set_up_env(machine);
	for (guint i = 0; i < machine->disks->len; i++)
		if (!start_disk(machine, machine->disks->pdata[i], restored ? restored->disks->pdata[i] : NULL, error))
			return false;
	return true;
}

void machine_retry_disks(struct machine *machine)
{
	for (guint i = 0; i < machine->disks->len; i++)
		block_device_retry(((struct machine_disk *)machine->disks->pdata[i])->device);
}

void machine_stop_disks(struct machine *machine)
{
	/* First everything that is in flight comes to its end: the guest's memory goes next. */
	for (guint i = 0; i < machine->disks->len;) {
		struct machine_disk *disk = machine->disks->pdata[i];
		const bool leaving = disk->leaving;

		block_device_free(disk->device);
		disk->device = NULL;
		/* A guest that ended has let go of everything. */
		if (leaving) {
			block_file_let_go(disk->file);
			g_ptr_array_remove_index(machine->disks, i);
		} else {
			i++;
		}
	}
}

/* While the domain runs */

static struct machine_disk *find_disk(const struct machine *machine, uint32_t number)
{
	for (guint i = 0; i < machine->disks->len; i++) {
		struct machine_disk *disk = machine->disks->pdata[i];

		if (disk->file->number == number)
			return disk;
	}
	return NULL;
}

static struct machine_disk *named_disk(const struct machine *machine, const char *vdev, GError **error)
{
	struct machine_disk *disk = NULL;
	uint32_t number;

	if (machine->running && xl_disk_vdev_number(vdev, &number))
		disk = find_disk(machine, number);
	if (!disk)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "%.60s: the domain has no such disk", vdev);
	return disk;
}

static bool check_new_disk(const struct machine *machine, const struct disk_config *words, GError **error)
{
	uint32_t number;

	if (!machine->running) {
		g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_USAGE, "the domain is not running");
		return false;
	}
	if (!words->vdev || !xl_disk_vdev_number(words->vdev, &number)) {
		g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_USAGE, "disk: a vdev is missing");
		return false;
	}
	if (!find_disk(machine, number))
		return true;
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "%s: the domain has this disk already", words->vdev);
	return false;
}

bool machine_attach_disk(void *opaque, const char *text, int *fds, unsigned int n_fds, GError **error)
{
	static const struct config_origin origin = { "disk", 0, 0 };
	struct machine *machine = opaque;
	struct machine_disk *disk;
	struct disk_config *words = xl_disk_parse(text, &origin, NULL, error);
	bool ok;

	if (!words)
		return false;
	disk = g_new0(struct machine_disk, 1);
	disk->file = &disk->own;
	disk->own = (struct block_file){ .fd = -1, .helper_pidfd = -1, .overlay_fd = -1 };
	ok = check_new_disk(machine, words, error) && block_file_adopt(&disk->own, words, fds, n_fds, error) &&
	     io_thread_await(machine->io, error);
	if (ok) {
		/* It may be the first that needs the thread. */
		set_up_env(machine);
		ok = start_disk(machine, disk, NULL, error);
	}
	disk_config_free(words);
	if (!ok) {
		disk_free(disk);
		return false;
	}
	g_ptr_array_add(machine->disks, disk);
	tell_disk_event(machine, "DISK_ATTACHED", disk->own.vdev);
	return true;
}

bool machine_detach_disk(void *opaque, const char *vdev, GError **error)
{
	struct machine_disk *disk = named_disk(opaque, vdev, error);

	if (!disk)
		return false;
	disk->leaving = true;
	block_device_leave(disk->device);
	return true;
}

bool machine_eject_disk(void *opaque, const char *vdev, GError **error)
{
	struct machine_disk *disk = named_disk(opaque, vdev, error);

	if (!disk)
		return false;
	if (!disk->file->read_only) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE,
			    "%.60s: the guest may have something to write to it: detach it, and it can do that first", vdev);
		return false;
	}
	disk->leaving = true;
	block_device_eject(disk->device);
	return true;
}

bool machine_vanish_disk(struct machine *machine, uint32_t number)
{
	struct machine_disk *disk = find_disk(machine, number);

	if (!disk)
		return false;
	disk->leaving = true;
	block_device_eject(disk->device);
	return true;
}

bool machine_resize_disk(void *opaque, const char *vdev, uint64_t *bytes, GError **error)
{
	struct machine_disk *disk = named_disk(opaque, vdev, error);

	if (!disk || !block_file_resize(disk->file, *bytes, error))
		return false;
	*bytes = disk->file->n_sectors * BLOCK_SECTOR_BYTES;
	if (block_device_resize(disk->device, disk->file->n_sectors))
		return true;
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "%s: the guest is being told of another size: try again", vdev);
	return false;
}

bool machine_describe_disk(void *opaque, unsigned int index, struct control_disk *description)
{
	const struct machine *machine = opaque;

	if (!machine->running || index >= machine->disks->len)
		return false;
	const struct machine_disk *disk = machine->disks->pdata[index];
	const struct block_counters counters = block_device_counters(disk->device);
	*description = (struct control_disk){
		.vdev = disk->file->vdev,
		.path = disk->file->path,
		.bytes = disk->file->n_sectors * BLOCK_SECTOR_BYTES,
		.read_only = disk->file->read_only,
		.snapshot = disk->file->snapshot,
		.connected = block_device_is_connected(disk->device),
		.leaving = disk->leaving,
		.requests = counters.requests,
		.transferred_bytes = counters.bytes,
		.failed = counters.failed,
		.events_from_guest = counters.kicks,
		.events_to_guest = counters.notifications,
	};
	return true;
}
