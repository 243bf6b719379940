// SPDX-License-Identifier: MIT
#include "vmm/memory_loader.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/error.h"
#include "vmm/guest_memory.h"
#include "vmm/vm.h"

struct memory_loader {
	struct vm *vm;
	int fd;
	uint64_t offset_bytes; /* in the file, of the part that comes late */
	size_t len_bytes;      /* of that part; 0: there is none */
	pthread_t thread;
};

/* Sets errno, 0 where the file ends too early. */
static bool read_whole(int fd, void *to, size_t len_bytes, uint64_t offset_bytes)
{
	size_t done = 0;

	while (done < len_bytes) {
		ssize_t got = pread(fd, (uint8_t *)to + done, len_bytes - done, (off_t)(offset_bytes + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got == 0)
			errno = 0;
		if (got <= 0)
			return false;
		done += (size_t)got;
	}
	return true;
}

static const char *reason(void)
{
	return errno ? g_strerror(errno) : "the file has become shorter";
}

/* NULL and errno. Exactly so much, at a huge page's boundary. */
static void *map_pages(size_t len_bytes)
{
	size_t reserved_bytes = len_bytes + GUEST_MEMORY_HUGE_BYTES;
	uint8_t *reserved = mmap(NULL, reserved_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (reserved == MAP_FAILED)
		return NULL;
	size_t head_bytes = -(uintptr_t)reserved & (GUEST_MEMORY_HUGE_BYTES - 1);
	uint8_t *pages = reserved + head_bytes;

	if (head_bytes != 0)
		munmap(reserved, head_bytes);
	munmap(pages + len_bytes, GUEST_MEMORY_HUGE_BYTES - head_bytes);
	guest_memory_advise(pages, len_bytes);
	return pages;
}

/* The thread's. Pages are filled in one place and moved to another: no guest sees half of them. */
static void *load(void *opaque)
{
	const struct memory_loader *loader = opaque;
	void *pages = map_pages(loader->len_bytes);

	if (pages && read_whole(loader->fd, pages, loader->len_bytes, loader->offset_bytes) &&
	    guest_memory_supply(loader->vm->memory, pages))
		return NULL;
	/* First the end, then zeros for those who wait: no vCPU runs on with them. */
	vm_end(loader->vm, OUTCOME_HOST_ERROR, DOM1_STATUS_HOST, "cannot load the guest's kernel: %s", reason());
	(void)guest_memory_supply(loader->vm->memory, NULL);
	if (pages)
		munmap(pages, loader->len_bytes);
	return NULL;
}

/* Sets the error. */
static bool fail(const char *what, GError **error)
{
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "cannot load the guest's kernel: %s%s", what, reason());
	return false;
}

/* What of [gpa, end) is no whole huge page is read at once, and the rest deferred. */
static bool begin(struct memory_loader *loader, uint64_t gpa, size_t len_bytes, GError **error)
{
	struct guest_memory *memory = loader->vm->memory;
	uint64_t end_gpa = gpa + len_bytes;
	uint64_t late_gpa = (gpa + GUEST_MEMORY_HUGE_BYTES - 1) & ~(GUEST_MEMORY_HUGE_BYTES - 1);
	uint64_t late_end_gpa = end_gpa & ~(GUEST_MEMORY_HUGE_BYTES - 1);

	if (late_gpa >= late_end_gpa || !guest_memory_defer(memory, late_gpa, late_end_gpa - late_gpa))
		late_gpa = late_end_gpa = end_gpa;
	loader->offset_bytes = late_gpa - gpa;
	loader->len_bytes = late_end_gpa - late_gpa;

	const struct {
		uint64_t gpa, end_gpa;
	} now[] = {{gpa, late_gpa}, {late_end_gpa, end_gpa}};

	for (size_t i = 0; i < G_N_ELEMENTS(now); i++) {
		size_t now_bytes = now[i].end_gpa - now[i].gpa;
		void *to = now_bytes ? guest_memory_span(memory, now[i].gpa, now_bytes) : NULL;

		g_assert(to || !now_bytes);
		if (now_bytes && !read_whole(loader->fd, to, now_bytes, now[i].gpa - gpa))
			return fail("", error);
	}
	return true;
}

struct memory_loader *memory_loader_new(struct vm *vm, uint64_t gpa, int fd, size_t len_bytes, GError **error)
{
	struct memory_loader *loader = g_new0(struct memory_loader, 1);

	loader->vm = vm;
	loader->fd = fd;
	bool begun = begin(loader, gpa, len_bytes, error);

	if (begun && loader->len_bytes > 0) {
		errno = pthread_create(&loader->thread, NULL, load, loader);
		begun = errno == 0 || fail("pthread_create: ", error);
	}
	if (begun)
		return loader;
	/* Nobody will come with the rest. */
	if (guest_memory_is_deferred(vm->memory))
		(void)guest_memory_supply(vm->memory, NULL);
	g_free(loader);
	return NULL;
}

void memory_loader_free(struct memory_loader *loader)
{
	if (!loader)
		return;
	if (loader->len_bytes > 0)
		pthread_join(loader->thread, NULL);
	g_free(loader);
}
