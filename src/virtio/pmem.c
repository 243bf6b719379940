// SPDX-License-Identifier: MIT
#include "virtio/pmem.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <linux/virtio_ids.h>
#include <linux/virtio_pmem.h>

#include "lend/lending.h"
#include "pci/bus.h"
#include "pci/ids.h"
#include "virtio/device.h"
#include "vmm/error.h"
#include "vmm/vm.h"
#include "vmm/worker.h"

#define QUEUE_SIZE 64u
/* virtio 1.2, 5.19.3 and 5.19.6; younger than the headers of some hosts. */
#define FEATURE_SHARED_MEMORY (UINT64_C(1) << 0)
#define SHARED_MEMORY_ID      0u
#define RESPONSE_OK           0u
#define RESPONSE_EIO          1u

struct pmem {
	struct lending *lending;
	unsigned int window;
	uint64_t len_bytes;
	struct virtio_device *device;
	int wake_fd;
	struct worker *worker, *own; /* own: NULL, it is the machine's */
	_Atomic bool ending;
};

/* syscalls(main, vcpu): write */
static void wake(const struct pmem *pmem)
{
	const uint64_t one = 1;
	ssize_t written = write(pmem->wake_fd, &one, sizeof(one));

	(void)written;
}

static void kick(void *opaque, unsigned int queue)
{
	(void)queue;
	wake(opaque);
}

static void read_config(void *opaque, struct virtio_device *device, uint64_t offset_bytes, uint8_t *bytes,
			unsigned int len_bytes)
{
	const struct pmem *pmem = opaque;
	uint64_t gpa = virtio_device_memory_gpa(device);
	const struct virtio_pmem_config config = { .start = gpa == PCI_NOWHERE ? 0 : gpa,
						   .size = gpa == PCI_NOWHERE ? 0 : pmem->len_bytes };

	if (offset_bytes < sizeof(config))
		memcpy(bytes, (const uint8_t *)&config + offset_bytes, MIN(len_bytes, sizeof(config) - offset_bytes));
}

static int place(void *opaque, uint64_t gpa)
{
	const struct pmem *pmem = opaque;

	return lending_place(pmem->lending, pmem->window, gpa == PCI_NOWHERE ? SPACE_NOWHERE : gpa);
}

static const struct virtio_ops OPS = { .read_config = read_config, .kick = kick, .place = place };

static void serve(struct pmem *pmem)
{
	struct virtio_pmem_req request;
	struct virtqueue_chain chain;
	uint64_t generation;

	while (!atomic_load(&pmem->ending) &&
	       virtio_device_take(pmem->device, 0, &chain, &request, sizeof(request), &generation)) {
		bool done = request.type == VIRTIO_PMEM_REQ_TYPE_FLUSH && lending_sync(pmem->lending, pmem->window) == 0;
		const struct virtio_pmem_resp response = { .ret = done ? RESPONSE_OK : RESPONSE_EIO };

		virtio_device_answer(pmem->device, 0, &chain, &response, sizeof(response), generation);
	}
}

/* syscalls(flush): read futex brk clock_gettime */
static void flush_thread(void *opaque)
{
	struct pmem *pmem = opaque;
	uint64_t count;

	while (!atomic_load(&pmem->ending)) {
		ssize_t got = read(pmem->wake_fd, &count, sizeof(count));

		(void)got;
		serve(pmem);
	}
}

struct worker *pmem_worker(const struct sandbox *sandbox, GError **error)
{
	static const struct worker_kind kind = { .name = "dom1-flush", .filter = SANDBOX_FLUSH };

	return worker_new(&kind, sandbox, error);
}

struct pmem *pmem_new(struct vm *vm, struct pci_host *host, const struct pmem_config *config, GError **error)
{
	struct pmem *pmem = g_new0(struct pmem, 1);
	const struct virtio_device_config device = {
		.pci_device = config->pci_device,
		.virtio_id = VIRTIO_ID_PMEM,
		.class_code = PCI_CLASS_MEMORY,
		.features = FEATURE_SHARED_MEMORY,
		.n_queues = 1,
		.queue_size = QUEUE_SIZE,
		.registers_gpa = config->registers_gpa,
		.memory_gpa = config->memory_gpa,
		.memory_bytes = config->memory_bytes,
		.memory_id = SHARED_MEMORY_ID,
		.ops = &OPS,
		.opaque = pmem,
	};

	pmem->lending = vm->lending;
	pmem->window = config->window;
	pmem->len_bytes = config->memory_bytes;
	pmem->device = virtio_device_new(vm, host, &device);
	pmem->wake_fd = eventfd(0, EFD_CLOEXEC);
	if (pmem->wake_fd < 0)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "lend window %u: eventfd: %s", config->window, g_strerror(errno));
	else if (vm->workers)
		pmem->worker = vm->workers->flush[config->window];
	else
		pmem->worker = pmem->own = pmem_worker(NULL, error);
	if (pmem->worker) {
		worker_start(pmem->worker, flush_thread, pmem);
		return pmem;
	}
	pmem_free(pmem);
	return NULL;
}

void pmem_free(struct pmem *pmem)
{
	if (!pmem)
		return;
	if (pmem->worker) {
		atomic_store(&pmem->ending, true);
		wake(pmem);
		worker_wait(pmem->worker);
	}
	worker_free(pmem->own);
	if (pmem->wake_fd >= 0)
		close(pmem->wake_fd);
	virtio_device_free(pmem->device);
	g_free(pmem);
}

void pmem_reset(struct pmem *pmem)
{
	virtio_device_reset(pmem->device);
}
