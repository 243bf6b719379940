// SPDX-License-Identifier: MIT
#include "vhost/device.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <linux/vhost_types.h>

#include "dom1/lend.h"
#include "lend/lending.h"
#include "pci/bus.h"
#include "virtio/device.h"
#include "vhost/maps.h"
#include "vmm/error.h"
#include "vmm/guest_memory.h"
#include "vmm/vm.h"
#include "vmm/worker.h"

enum { WATCH_WAKE, WATCH_LINK, WATCH_CHANNEL, WATCH_LENT, WATCH_CALLS, N_WATCHES = WATCH_CALLS + VIRTIO_MAX_QUEUES };

struct vhost_device {
	struct vm *vm;
	struct vhost_backend *backend;
	unsigned int window;
	struct virtio_device *device;
	struct worker *worker, *own; /* own: NULL, it is the machine's */
	int lend_fd; /* until the thread has it */
	int wake_fd;
	int kick_fds[VIRTIO_MAX_QUEUES], call_fds[VIRTIO_MAX_QUEUES];
	_Atomic bool ending;
	pthread_mutex_t config_lock; /* after the device's */
	uint8_t config[VHOST_CONFIG_BYTES];

	pthread_mutex_t settled_lock;
	pthread_cond_t settled_changed;
	uint64_t settled_generation; /* up to which all is done */

	/* The thread's own. */
	struct lend *lend; /* NULL: no memory is shown */
	struct vhost_maps maps;
	bool running;
	uint64_t generation; /* of the setup that runs, or was stopped last */
	bool started[VIRTIO_MAX_QUEUES];
};

static unsigned int n_queues(const struct vhost_device *vhost)
{
	return vhost->backend->option->n_queues;
}

/* syscalls(main, vcpu, vhost): write */
static void signal_fd(int fd)
{
	const uint64_t one = 1;
	ssize_t written = write(fd, &one, sizeof(one));

	(void)written;
}

/* syscalls(vhost): read */
static bool take_signal(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count);
}

/* What the driver does; with the device's lock */

static void kick(void *opaque, unsigned int queue)
{
	const struct vhost_device *vhost = opaque;

	signal_fd(vhost->kick_fds[queue]);
}

static void changed(void *opaque)
{
	const struct vhost_device *vhost = opaque;

	signal_fd(vhost->wake_fd);
}

static void read_config(void *opaque, struct virtio_device *device, uint64_t offset_bytes, uint8_t *bytes,
			unsigned int len_bytes)
{
	struct vhost_device *vhost = opaque;

	(void)device;
	if (offset_bytes >= VHOST_CONFIG_BYTES)
		return;
	pthread_mutex_lock(&vhost->config_lock);
	memcpy(bytes, vhost->config + offset_bytes, MIN(len_bytes, VHOST_CONFIG_BYTES - offset_bytes));
	pthread_mutex_unlock(&vhost->config_lock);
}

static int place(void *opaque, uint64_t gpa)
{
	const struct vhost_device *vhost = opaque;

	return lending_place(vhost->vm->lending, vhost->window, gpa == PCI_NOWHERE ? SPACE_NOWHERE : gpa);
}

static const struct virtio_ops OPS = { .read_config = read_config, .kick = kick, .place = place, .changed = changed };

/* The conversation */

/* The file is the guest's RAM and nothing else: no window is in it. */
static bool send_memory(struct vhost_device *vhost)
{
	const struct guest_memory *memory = vhost->vm->memory;
	const struct layout *layout = guest_memory_layout(memory);
	struct guest_memory_slot slots[GUEST_MEMORY_MAX_SLOTS];
	size_t n_slots = guest_memory_slots(memory, slots);
	const uint64_t ends[] = { layout->low_ram_top_gpa, layout->high_ram_top_gpa }, starts[] = { 0, LAYOUT_4GIB };
	struct vhost_user_memory table = { 0 };
	int fds[VHOST_MAX_REGIONS];

	/* An address of ours is the guest's plus a constant. */
	g_assert(n_slots > 0);
	const uint64_t base = (uint64_t)(uintptr_t)slots[0].hva - slots[0].gpa;
	for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
		if (ends[i] <= starts[i])
			continue;
		fds[table.n_regions] = guest_memory_file(memory);
		table.regions[table.n_regions++] =
			(struct vhost_user_region){ starts[i], ends[i] - starts[i], base + starts[i], starts[i] };
	}
	return vhost_send_acknowledged(&vhost->backend->link, VHOST_USER_SET_MEM_TABLE, &table,
				       8 + table.n_regions * sizeof(table.regions[0]), fds, table.n_regions);
}

static uint64_t address_of(const struct vhost_device *vhost, uint64_t gpa, size_t len_bytes)
{
	return (uint64_t)(uintptr_t)guest_memory_span(vhost->vm->memory, gpa, len_bytes);
}

static bool send_state(struct vhost_device *vhost, enum vhost_request request, unsigned int queue, unsigned int value)
{
	const struct vhost_vring_state state = { queue, value };

	return vhost_send(&vhost->backend->link, request, &state, sizeof(state), NULL, 0);
}

static bool send_fd(struct vhost_device *vhost, enum vhost_request request, unsigned int queue, int fd)
{
	const uint64_t number = queue;

	return vhost_send(&vhost->backend->link, request, &number, sizeof(number), &fd, 1);
}

static bool start_queue(struct vhost_device *vhost, unsigned int number, const struct virtqueue *queue)
{
	const size_t size = queue->size;
	const struct vhost_vring_addr address = {
		.index = number,
		.desc_user_addr = address_of(vhost, queue->descriptors_gpa, 16 * size),
		.avail_user_addr = address_of(vhost, queue->driver_gpa, 6 + 2 * size),
		.used_user_addr = address_of(vhost, queue->device_gpa, 6 + 8 * size),
	};

	if (address.desc_user_addr == 0 || address.avail_user_addr == 0 || address.used_user_addr == 0)
		return false;
	vhost->started[number] = true;
	return send_state(vhost, VHOST_USER_SET_VRING_NUM, number, queue->size) &&
	       send_state(vhost, VHOST_USER_SET_VRING_BASE, number, 0) &&
	       vhost_send(&vhost->backend->link, VHOST_USER_SET_VRING_ADDR, &address, sizeof(address), NULL, 0) &&
	       send_fd(vhost, VHOST_USER_SET_VRING_CALL, number, vhost->call_fds[number]) &&
	       send_fd(vhost, VHOST_USER_SET_VRING_KICK, number, vhost->kick_fds[number]) &&
	       send_state(vhost, VHOST_USER_SET_VRING_ENABLE, number, 1);
}

/* FALSE: the driver's setup makes no sense, or the back end is gone. */
static bool start_backend(struct vhost_device *vhost, const struct virtio_setup *setup)
{
	struct vhost_link *link = &vhost->backend->link;
	const uint64_t features = setup->driver_features | vhost->backend->reserved_features;

	vhost->running = true;
	bool ok = vhost_send(link, VHOST_USER_SET_FEATURES, &features, sizeof(features), NULL, 0) && send_memory(vhost);
	for (unsigned int i = 0; ok && i < n_queues(vhost); i++)
		ok = !setup->queues[i].enabled || start_queue(vhost, i, &setup->queues[i]);
	return ok;
}

/* Its answer to GET_VRING_BASE is that it does not touch the queue any more. */
static void stop_backend(struct vhost_device *vhost)
{
	for (unsigned int i = 0; i < n_queues(vhost); i++) {
		struct vhost_vring_state state = { i, 0 };

		if (vhost->started[i] && send_state(vhost, VHOST_USER_SET_VRING_ENABLE, i, 0))
			(void)vhost_ask(&vhost->backend->link, VHOST_USER_GET_VRING_BASE, &state, sizeof(state), &state, sizeof(state),
					sizeof(state), NULL);
		vhost->started[i] = false;
		(void)take_signal(vhost->call_fds[i]);
		(void)take_signal(vhost->kick_fds[i]);
	}
	vhost->running = false;
	/* All mappings go with a reset. */
	if (vhost->lend && vhost_maps_clear(&vhost->maps))
		(void)lend_revoke(vhost->lend, vhost->window, 0, vhost->backend->shmem_bytes, NULL);
}

/* What the back end asks for */

/* Where the guest has looked before there are zeros, which are not the back end's. */
static int map(struct vhost_device *vhost, const struct vhost_asked *asked)
{
	const struct vhost_user_mmap *wanted = &asked->map;
	const unsigned int flags = wanted->flags & VHOST_MMAP_WRITE ? LEND_WRITABLE : 0;

	if (!vhost_maps_add(&vhost->maps, wanted->shm_offset_bytes, wanted->len_bytes))
		return EEXIST;
	int rc = lend_revoke(vhost->lend, vhost->window, wanted->shm_offset_bytes, wanted->len_bytes, NULL);
	if (rc >= 0)
		rc = lend_map(vhost->lend, vhost->window, wanted->shm_offset_bytes, wanted->len_bytes, asked->fd, wanted->fd_offset_bytes,
			      flags);
	if (rc < 0)
		(void)vhost_maps_remove(&vhost->maps, wanted->shm_offset_bytes, wanted->len_bytes);
	return rc < 0 ? -rc : 0;
}

static int unmap(struct vhost_device *vhost, const struct vhost_user_mmap *wanted)
{
	if (!vhost_maps_remove(&vhost->maps, wanted->shm_offset_bytes, wanted->len_bytes))
		return EINVAL;
	int rc = lend_revoke(vhost->lend, vhost->window, wanted->shm_offset_bytes, wanted->len_bytes, NULL);
	return rc < 0 ? -rc : 0;
}

static int serve_map(struct vhost_device *vhost, const struct vhost_asked *asked)
{
	if (!vhost->lend)
		return ENODEV;
	int error = vhost_check_map(asked, vhost->backend->shmid, vhost->backend->shmem_bytes);
	if (error != 0)
		return error;
	return asked->header.request == VHOST_USER_BACKEND_SHMEM_MAP ? map(vhost, asked) : unmap(vhost, &asked->map);
}

/* syscalls(vhost): close */
static void serve_request(void *opaque)
{
	struct vhost_device *vhost = opaque;
	struct vhost_asked asked;

	if (!vhost_take_request(&vhost->backend->link, &asked))
		return;
	switch (asked.header.request) {
	case VHOST_USER_BACKEND_SHMEM_MAP:
	case VHOST_USER_BACKEND_SHMEM_UNMAP:
		vhost_answer(&vhost->backend->link, &asked, serve_map(vhost, &asked));
		break;
	case VHOST_USER_BACKEND_CONFIG_CHANGE:
		/* Read when nothing else is asked: this may be within another question. */
		vhost_answer(&vhost->backend->link, &asked, 0);
		vhost->backend->config_is_old = true;
		signal_fd(vhost->wake_fd);
		break;
	default:
		vhost_answer(&vhost->backend->link, &asked, ENOSYS);
		break;
	}
	if (asked.fd >= 0)
		close(asked.fd);
}

static void renew_config(struct vhost_device *vhost)
{
	struct vhost_backend *backend = vhost->backend;
	uint8_t config[VHOST_CONFIG_BYTES] = { 0 };
	bool refused;

	backend->config_is_old = false;
	if (backend->config_bytes == 0 || !vhost_read_config(&backend->link, config, backend->config_bytes, &refused) || refused)
		return;
	pthread_mutex_lock(&vhost->config_lock);
	memcpy(vhost->config, config, sizeof(config));
	memcpy(backend->config, config, sizeof(config));
	pthread_mutex_unlock(&vhost->config_lock);
	virtio_device_config_changed(vhost->device);
}

/* A vCPU has come to where nothing is mapped. */
static void serve_faults(struct vhost_device *vhost)
{
	struct lend_fault fault;
	int rc;

	while ((rc = lend_next_fault(vhost->lend, &fault, 0)) == 0)
		(void)lend_fail(vhost->lend, &fault, LEND_ACTION_ZERO);
	if (rc == -ENOTCONN) {
		lend_close(vhost->lend);
		vhost->lend = NULL;
	}
}

/* The thread */

/* Nobody is there any more: what it showed is taken back, and the driver sees a device that needs a reset. */
static void lose_backend(struct vhost_device *vhost)
{
	vhost_close(&vhost->backend->link);
	memset(vhost->started, 0, sizeof(vhost->started));
	vhost->running = false;
	lend_close(vhost->lend);
	vhost->lend = NULL;
	virtio_device_break(vhost->device);
}

static void tell_settled(struct vhost_device *vhost, uint64_t generation)
{
	virtio_device_settle(vhost->device, generation);
	pthread_mutex_lock(&vhost->settled_lock);
	vhost->settled_generation = generation;
	pthread_cond_broadcast(&vhost->settled_changed);
	pthread_mutex_unlock(&vhost->settled_lock);
}

/* The back end is made to do what the driver wants. */
static void settle(struct vhost_device *vhost)
{
	const bool connected = vhost->backend->link.fd >= 0;
	struct virtio_setup setup;

	virtio_device_setup(vhost->device, &setup);
	if (vhost->running && (!setup.runs || setup.generation != vhost->generation))
		stop_backend(vhost);
	vhost->generation = setup.generation;
	tell_settled(vhost, setup.generation);
	if (setup.runs && !vhost->running && (!connected || !start_backend(vhost, &setup)))
		lose_backend(vhost);
}

/* Somebody has signalled: the driver has changed something, or the back end its configuration. */
static void obey(struct vhost_device *vhost)
{
	settle(vhost);
	if (vhost->backend->config_is_old)
		renew_config(vhost);
}

static void open_lend(struct vhost_device *vhost)
{
	struct lend_claimed claimed;

	if (vhost->lend_fd < 0)
		return;
	if (lend_from_fd(vhost->lend_fd, &vhost->lend) != 0)
		close(vhost->lend_fd);
	else if (lend_claim(vhost->lend, vhost->window, LEND_ACTION_ZERO, 0, &claimed) != 0) {
		lend_close(vhost->lend);
		vhost->lend = NULL;
	}
	vhost->lend_fd = -1;
}

static void watch_all(const struct vhost_device *vhost, struct pollfd watches[N_WATCHES])
{
	const struct vhost_link *link = &vhost->backend->link;

	for (unsigned int i = 0; i < N_WATCHES; i++)
		watches[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
	watches[WATCH_WAKE].fd = vhost->wake_fd;
	watches[WATCH_LINK].fd = link->fd;
	watches[WATCH_CHANNEL].fd = link->channel_fd;
	watches[WATCH_LENT].fd = vhost->lend ? lend_fd(vhost->lend) : -1;
	for (unsigned int i = 0; i < n_queues(vhost); i++)
		watches[WATCH_CALLS + i].fd = vhost->call_fds[i];
}

/* syscalls(vhost): poll recvfrom sendmsg recvmsg shutdown fcntl(F_GETFL) futex brk clock_gettime */
static void vhost_thread(void *opaque)
{
	struct vhost_device *vhost = opaque;
	struct pollfd watches[N_WATCHES];

	open_lend(vhost);
	while (!atomic_load(&vhost->ending)) {
		watch_all(vhost, watches);
		if (poll(watches, N_WATCHES, -1) < 0)
			continue;
		for (unsigned int i = 0; i < n_queues(vhost); i++)
			if (watches[WATCH_CALLS + i].revents && take_signal(vhost->call_fds[i]))
				virtio_device_interrupt(vhost->device, i);
		if (watches[WATCH_LENT].revents)
			serve_faults(vhost);
		if (watches[WATCH_CHANNEL].revents)
			serve_request(vhost);
		/* It has nothing to say unasked. */
		if (watches[WATCH_LINK].revents)
			lose_backend(vhost);
		/* Last: it may wait for the back end, and what was seen before is old then. */
		if (watches[WATCH_WAKE].revents && take_signal(vhost->wake_fd))
			obey(vhost);
	}
	if (vhost->running)
		stop_backend(vhost);
	lend_close(vhost->lend);
	vhost->lend = NULL;
}

/* Start and end */

struct worker *vhost_worker(unsigned int number, const struct sandbox *sandbox, GError **error)
{
	char name[16];

	g_snprintf(name, sizeof(name), "dom1-vhost%u", number);
	const struct worker_kind kind = { .name = name, .filter = SANDBOX_VHOST };
	return worker_new(&kind, sandbox, error);
}

static struct virtio_device *make_function(struct vhost_device *vhost, struct pci_host *host,
					   const struct vhost_device_config *config)
{
	const struct vhost_backend *backend = config->backend;
	const struct virtio_device_config device = {
		.pci_device = config->pci_device,
		.virtio_id = backend->option->virtio_id,
		.class_code = backend->option->class_code,
		.features = backend->features,
		.n_queues = backend->option->n_queues,
		.queue_size = VIRTQUEUE_MAX_SIZE,
		.registers_gpa = config->registers_gpa,
		.memory_gpa = config->memory_gpa,
		.memory_bytes = backend->has_shmem ? backend->shmem_bytes : 0,
		.memory_id = backend->shmid,
		.ops = &OPS,
		.opaque = vhost,
	};

	return virtio_device_new(vhost->vm, host, &device);
}

/* syscalls(main): eventfd2 */
static bool open_events(struct vhost_device *vhost, GError **error)
{
	bool ok = (vhost->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) >= 0;

	for (unsigned int i = 0; ok && i < n_queues(vhost); i++)
		ok = (vhost->kick_fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) >= 0 &&
		     (vhost->call_fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) >= 0;
	if (!ok)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "--vhost-user=%s: eventfd: %s", vhost->backend->option->path,
			    g_strerror(errno));
	return ok;
}

struct vhost_device *vhost_device_new(struct vm *vm, struct pci_host *host, const struct vhost_device_config *config,
				      GError **error)
{
	struct vhost_device *vhost = g_new0(struct vhost_device, 1);

	vhost->vm = vm;
	vhost->backend = config->backend;
	vhost->window = config->window;
	vhost->lend_fd = config->lend_fd;
	vhost->wake_fd = -1;
	for (unsigned int i = 0; i < VIRTIO_MAX_QUEUES; i++)
		vhost->kick_fds[i] = vhost->call_fds[i] = -1;
	pthread_mutex_init(&vhost->config_lock, NULL);
	pthread_mutex_init(&vhost->settled_lock, NULL);
	pthread_cond_init(&vhost->settled_changed, NULL);
	memcpy(vhost->config, config->backend->config, sizeof(vhost->config));
	vhost->backend->link.on_request = serve_request;
	vhost->backend->link.opaque = vhost;
	vhost->device = make_function(vhost, host, config);
	if (open_events(vhost, error))
		vhost->worker = config->worker ? config->worker : (vhost->own = vhost_worker(0, NULL, error));
	if (vhost->worker) {
		worker_start(vhost->worker, vhost_thread, vhost);
		return vhost;
	}
	vhost_device_free(vhost);
	return NULL;
}

void vhost_device_free(struct vhost_device *vhost)
{
	if (!vhost)
		return;
	if (vhost->worker) {
		atomic_store(&vhost->ending, true);
		signal_fd(vhost->wake_fd);
		worker_wait(vhost->worker);
	}
	worker_free(vhost->own);
	if (vhost->lend_fd >= 0)
		close(vhost->lend_fd);
	if (vhost->wake_fd >= 0)
		close(vhost->wake_fd);
	for (unsigned int i = 0; i < VIRTIO_MAX_QUEUES; i++) {
		if (vhost->kick_fds[i] >= 0)
			close(vhost->kick_fds[i]);
		if (vhost->call_fds[i] >= 0)
			close(vhost->call_fds[i]);
	}
	virtio_device_free(vhost->device);
	pthread_mutex_destroy(&vhost->config_lock);
	pthread_mutex_destroy(&vhost->settled_lock);
	pthread_cond_destroy(&vhost->settled_changed);
	g_free(vhost);
}

void vhost_device_reset(struct vhost_device *vhost)
{
	virtio_device_reset(vhost->device);
	struct virtio_setup setup;
	virtio_device_setup(vhost->device, &setup);
	signal_fd(vhost->wake_fd);
	pthread_mutex_lock(&vhost->settled_lock);
	while (vhost->settled_generation < setup.generation)
		pthread_cond_wait(&vhost->settled_changed, &vhost->settled_lock);
	pthread_mutex_unlock(&vhost->settled_lock);
}
