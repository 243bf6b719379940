// SPDX-License-Identifier: MIT
/*
 * A guest that lends, without KVM: the real windows, memory thread and library on the borrower's side, whose vCPU is a thread
 * of this process; of the lender's domain its RAM, what it has given up, and its event channels.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>

#include "dom1/lend-abi.h"
#include "dom1/lend.h"
#include "lend/lending_internal.h"
#include "lend/peer.h"
#include "vmm/guest_memory.h"
#include "vmm/kvm.h"
#include "vmm/vm.h"
#include "xen/domain.h"

#define WINDOW_PAGES 512u
#define WINDOW_GPA   UINT64_C(0x100000000)
#define WINDOW_GFN   (WINDOW_GPA / LEND_PAGE_BYTES)
#define RAM_BYTES    (UINT64_C(4) << 20)
#define RING_GFN     100u
#define POOL_GFN     512u /* above what is no RAM below 1 MiB */
#define GIVEN_UP_GFN 300u

static struct {
	struct vm borrower, vm;
	struct xen_domain xen;
	struct lending *lending;
	int listen_fd, ram_fd;
	uint8_t *ram;
	char *folder, *path;
	struct peer *peer;
	struct vm_workers workers;
	struct dom1_lend_ring *ring;
	_Atomic unsigned int events;
} T;

/* What the two machines are asked for. */

void vm_end(struct vm *vm, enum outcome outcome, uint32_t status, const char *format, ...)
{
	(void)vm, (void)outcome, (void)status, (void)format;
	g_assert_not_reached();
}

int kvm_set_memory_slot(int vm_fd, unsigned int number, const struct guest_memory_slot *slot)
{
	(void)vm_fd, (void)number, (void)slot;
	return 0;
}

int guest_memory_file(const struct guest_memory *memory)
{
	(void)memory;
	return T.ram_fd;
}

void *guest_memory_span(const struct guest_memory *memory, uint64_t gpa, size_t len_bytes)
{
	(void)memory;
	return gpa < RAM_BYTES && len_bytes <= RAM_BYTES - gpa ? T.ram + gpa : NULL;
}

bool grant_maps_show(const struct grant_maps *maps, uint64_t gfn, uint64_t n)
{
	(void)maps;
	return gfn <= POOL_GFN + 50 && gfn + n > POOL_GFN + 50;
}

static struct evtchn_backend backend;

int evtchn_kvm_sync(struct evtchn_kvm *kvm, uint32_t port)
{
	(void)kvm;
	backend.port = port;
	return 0;
}

const struct evtchn_backend *evtchn_kvm_backend(const struct evtchn_kvm *kvm, uint32_t port)
{
	(void)kvm;
	return port == backend.port ? &backend : NULL;
}

void evtchn_kvm_release(struct evtchn_kvm *kvm, const struct evtchn_backend *released)
{
	(void)kvm;
	g_assert_true(released == &backend);
}

void evtchn_backend_notify(const struct evtchn_backend *notified)
{
	g_assert_true(notified == &backend);
	atomic_fetch_add(&T.events, 1);
}

/* Set up */

static void start_borrower(void)
{
	const struct lending_window windows[] = { { WINDOW_GPA, WINDOW_PAGES * LEND_PAGE_BYTES, LEND_ACTION_ZERO } };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	g_autoptr(GError) error = NULL;

	T.borrower = (struct vm){ .n_vcpus = 2, .vm_fd = -1, .calls_lock = PTHREAD_MUTEX_INITIALIZER,
				  .calls_changed = PTHREAD_COND_INITIALIZER };
	T.folder = g_dir_make_tmp("dom1-peer-XXXXXX", NULL);
	T.path = g_build_filename(T.folder, "lend.sock", NULL);
	T.listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	g_strlcpy(address.sun_path, T.path, sizeof(address.sun_path));
	g_assert_cmpint(bind(T.listen_fd, (const struct sockaddr *)&address, sizeof(address)), ==, 0);
	g_assert_cmpint(listen(T.listen_fd, 8), ==, 0);
	const struct lending_config config = { .windows = windows, .n_windows = 1, .listen_fd = T.listen_fd, .max_mappings = 10000 };
	T.lending = lending_new(&T.borrower, &config, &error);
	g_assert_no_error(error);
}

static void start_lender(void)
{
	const struct layout layout = { .ram_bytes = RAM_BYTES, .low_ram_top_gpa = RAM_BYTES, .high_ram_top_gpa = LAYOUT_4GIB };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	g_autoptr(GError) error = NULL;

	T.ram_fd = lend_memory_new(LEND_MEMORY_MEMFD, RAM_BYTES);
	T.ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, T.ram_fd, 0);
	T.vm.xen = &T.xen;
	T.xen.vm = &T.vm;
	pthread_mutex_init(&T.xen.lock, NULL);
	evtchn_init(&T.xen.events, 1);
	g_assert_true(reservation_init(&T.xen.reservation, &layout));
	g_assert_true(reservation_give_up(&T.xen.reservation, GIVEN_UP_GFN, 0));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_strlcpy(address.sun_path, T.path, sizeof(address.sun_path));
	g_assert_cmpint(connect(fd, (const struct sockaddr *)&address, sizeof(address)), ==, 0);
	g_assert_true(peer_make_workers(&T.workers, NULL, NULL));
	T.vm.workers = &T.workers;
	T.peer = peer_new(&T.vm, fd, &error);
	g_assert_no_error(error);
	T.ring = (struct dom1_lend_ring *)(void *)(T.ram + RING_GFN * LEND_PAGE_BYTES);
	memset(T.ring, 0xff, sizeof(*T.ring));
}

static void stop_all(void)
{
	peer_free(T.peer);
	worker_free(T.workers.lender);
	worker_free(T.workers.lender_calls);
	lending_free(T.lending);
	reservation_fini(&T.xen.reservation);
	munmap(T.ram, RAM_BYTES);
	close(T.ram_fd);
	close(T.listen_fd);
	g_unlink(T.path);
	g_rmdir(T.folder);
	g_free(T.path);
	g_free(T.folder);
	memset(&T, 0, sizeof(T));
	backend.port = 0;
}

static int64_t run(unsigned int what, uint64_t borrower_gfn, uint32_t nr, uint64_t lender_gfn, uint32_t flags, uint64_t id)
{
	struct dom1_lend_op op = { .op = (uint16_t)what, .domid = DOM1_LEND_BORROWER, .nr = nr, .flags = flags,
				   .borrower_gfn = borrower_gfn, .lender_gfn = lender_gfn, .id = id };

	return peer_run(T.peer, &op);
}

/* The borrower's vCPU 0 comes upon the page. */
static void report(size_t page)
{
	struct slot *slot = &T.lending->slots[0];

	slot->report = (struct space_report){ .access = SPACE_ACCESS_PAGE, .window = 0, .page = page };
	atomic_store(&slot->state, SLOT_REPORTED);
	lending_wake(T.lending);
}

static void await_answer(void)
{
	struct slot *slot = &T.lending->slots[0];

	pthread_mutex_lock(&T.borrower.calls_lock);
	while (atomic_load(&slot->state) != SLOT_ANSWERED)
		pthread_cond_wait(&T.borrower.calls_changed, &T.borrower.calls_lock);
	pthread_mutex_unlock(&T.borrower.calls_lock);
	atomic_store(&slot->state, SLOT_IDLE);
	g_assert_cmpint(slot->answer, ==, SPACE_AGAIN);
}

static struct dom1_lend_fault next_fault(void)
{
	while (__atomic_load_n(&T.ring->prod, __ATOMIC_ACQUIRE) == T.ring->cons)
		g_usleep(100);
	return T.ring->entries[T.ring->cons++ % DOM1_LEND_RING_ENTRIES];
}

static void begin(void)
{
	struct dom1_lend_op op = { .op = DOM1_LEND_BIND, .lender_gfn = RING_GFN };

	start_borrower();
	start_lender();
	g_assert_cmpint(peer_run(T.peer, &op), ==, 0);
	g_assert_cmpuint(op.port, >, 0);
	g_assert_cmpuint(T.ring->prod, ==, 0);
	g_assert_cmpint(run(DOM1_LEND_CREATE, WINDOW_GFN, WINDOW_PAGES, 0, DOM1_LEND_ZERO, 0), ==, 0);
}

static uint64_t lent_pages(void)
{
	struct dom1_lend_op op = { .op = DOM1_LEND_QUERY, .domid = DOM1_LEND_BORROWER };

	g_assert_cmpint(peer_run(T.peer, &op), ==, 0);
	g_assert_cmphex(op.borrower_gfn, ==, WINDOW_GFN);
	g_assert_cmpuint(op.nr, ==, WINDOW_PAGES);
	return op.lent_pages;
}

static void test_round(void)
{
	begin();
	g_assert_cmpint(run(DOM1_LEND_MAP, WINDOW_GFN, 10, POOL_GFN, DOM1_LEND_WRITABLE, 0), ==, 0);
	g_assert_cmpint(run(DOM1_LEND_MAP, WINDOW_GFN + 9, 2, POOL_GFN, 0, 0), ==, -XEN_EEXIST);
	g_assert_cmpuint(lent_pages(), ==, 10);
	report(20);
	struct dom1_lend_fault fault = next_fault();
	g_assert_cmpuint(atomic_load(&T.events), ==, 1);
	g_assert_cmphex(fault.borrower_gfn, ==, WINDOW_GFN + 20);
	g_assert_cmpuint(fault.vcpus, ==, 1);
	/* A revoke makes it void; it comes again, under another number. */
	g_assert_cmpint(run(DOM1_LEND_REVOKE, WINDOW_GFN, WINDOW_PAGES, 0, 0, 0), ==, 0);
	g_assert_cmpuint(lent_pages(), ==, 0);
	g_assert_cmpint(run(DOM1_LEND_SUPPLY, WINDOW_GFN + 20, 1, POOL_GFN, 0, fault.id), ==, -XEN_EAGAIN);
	fault = next_fault();
	g_assert_cmpint(run(DOM1_LEND_SUPPLY, WINDOW_GFN + 20, 1, POOL_GFN, 0, fault.id), ==, 0);
	await_answer();
	report(21);
	fault = next_fault();
	g_assert_cmpint(run(DOM1_LEND_FAIL, WINDOW_GFN + 21, 0, 0, DOM1_LEND_ZERO, fault.id), ==, 0);
	await_answer();
	report(22);
	(void)next_fault();
	g_assert_cmpint(run(DOM1_LEND_DESTROY, 0, 0, 0, 0, 0), ==, 0);
	await_answer();
	g_assert_cmpint(run(DOM1_LEND_MAP, WINDOW_GFN, 1, POOL_GFN, 0, 0), ==, -XEN_EPERM);
	stop_all();
}

static void test_bad_ranges(void)
{
	static const struct {
		uint64_t borrower_gfn;
		uint32_t nr;
		uint64_t lender_gfn;
		uint32_t flags;
		int64_t expected;
	} calls[] = {
		{ WINDOW_GFN - 1, 1, POOL_GFN, 0, -XEN_EINVAL },
		{ WINDOW_GFN, 0, POOL_GFN, 0, -XEN_EINVAL },
		{ WINDOW_GFN + WINDOW_PAGES - 1, 2, POOL_GFN, 0, -XEN_EINVAL },
		{ UINT64_MAX, 1, POOL_GFN, 0, -XEN_EINVAL },
		{ WINDOW_GFN, UINT32_MAX, POOL_GFN, 0, -XEN_EINVAL },
		{ WINDOW_GFN, 1, POOL_GFN, 4, -XEN_EINVAL },
		{ WINDOW_GFN, 1, RAM_BYTES / LEND_PAGE_BYTES, 0, -XEN_EINVAL },
		{ WINDOW_GFN, 2, RAM_BYTES / LEND_PAGE_BYTES - 1, 0, -XEN_EINVAL },
		{ WINDOW_GFN, 2, UINT64_MAX, 0, -XEN_EINVAL },
		{ WINDOW_GFN, 2, UINT64_MAX / LEND_PAGE_BYTES, 0, -XEN_EINVAL },
		{ WINDOW_GFN, 2, GIVEN_UP_GFN - 1, 0, -XEN_EINVAL },
		{ WINDOW_GFN, 100, POOL_GFN, 0, -XEN_EBUSY },
	};

	begin();
	for (size_t i = 0; i < G_N_ELEMENTS(calls); i++)
		for (unsigned int what = DOM1_LEND_MAP; what <= DOM1_LEND_SUPPLY; what += DOM1_LEND_SUPPLY - DOM1_LEND_MAP)
			g_assert_cmpint(run(what, calls[i].borrower_gfn, calls[i].nr, calls[i].lender_gfn, calls[i].flags, 1), ==,
					calls[i].expected);
	g_assert_cmpuint(lent_pages(), ==, 0);
	stop_all();
}

/* A guest that says that its ring is fuller than it can be, or never takes anything from it: the borrower gets its policy. */
static void test_ring(void)
{
	begin();
	T.ring->cons = 12345;
	for (size_t page = 0; page < 64; page++) {
		report(page);
		/* Made void by this, and asked for again: each is one more. */
		while (atomic_load(&T.lending->slots[0].state) == SLOT_REPORTED)
			g_usleep(50);
		g_assert_cmpint(run(DOM1_LEND_MAP, WINDOW_GFN + page, 1, POOL_GFN, 0, 0), ==, 0);
		await_answer();
	}
	g_assert_cmpuint(T.ring->prod, ==, 0);
	report(100);
	/* Behind a full ring there is room for 64: this one is failed, which is zeros. */
	await_answer();
	/* It comes to its senses. */
	T.ring->cons = 0;
	(void)lent_pages();
	g_assert_cmpuint(T.ring->prod, ==, 64);
	g_assert_cmphex(T.ring->entries[63].borrower_gfn, ==, WINDOW_GFN + 63);
	T.ring->cons = 64;
	report(200);
	g_assert_cmphex(next_fault().borrower_gfn, ==, WINDOW_GFN + 200);
	stop_all();
}

static void test_ends(void)
{
	begin();
	report(5);
	(void)next_fault();
	/* The lender's machine stops: whoever waits goes on, the borrower has zeros. */
	peer_cut(T.peer);
	await_answer();
	g_assert_cmpint(run(DOM1_LEND_MAP, WINDOW_GFN, 1, POOL_GFN, 0, 0), ==, -XEN_ESRCH);
	g_assert_cmpint(run(DOM1_LEND_REVOKE, WINDOW_GFN, 1, 0, 0, 0), ==, -XEN_ESRCH);
	stop_all();
	begin();
	lending_reset(T.lending);
	lending_free(T.lending);
	T.lending = NULL;
	g_assert_cmpint(run(DOM1_LEND_QUERY, 0, 0, 0, 0, 0), ==, -XEN_ESRCH);
	stop_all();
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	g_test_init(&argc, &argv, NULL);
	g_autoptr(GError) error = NULL;
	struct mapper_host *mapper = mapper_host_new(&error);
	if (!mapper) {
		g_test_message("%s", error->message);
		return 77;
	}
	mapper_host_free(mapper);
	g_test_add_func("/lend/peer/round", test_round);
	g_test_add_func("/lend/peer/bad-ranges", test_bad_ranges);
	g_test_add_func("/lend/peer/ring", test_ring);
	g_test_add_func("/lend/peer/ends", test_ends);
	return g_test_run();
}
