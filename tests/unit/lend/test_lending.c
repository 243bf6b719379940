// SPDX-License-Identifier: MIT
/*
 * The memory thread, its mapper and the client library together, without KVM: threads of this process are the vCPUs, and use
 * the window by its place in our address space. SIGSEGV is what KVM_RUN's EFAULT is, SIGBUS is the same there and here.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>

#include "dom1/lend.h"
#include "lend/broken.h"
#include "lend/lending_internal.h"
#include "vmm/kvm.h"
#include "vmm/vm.h"

#define N_PAGES    512u
#define N_VCPUS    2u
#define N_PLACES   (4u * N_PAGES)
#define WINDOW_GPA UINT64_C(0x100000000)
#define TAG(page)  (UINT64_C(0x7461670000000000) | (page))
#define CANARY     UINT64_C(0xdeaddeaddeaddead)
#ifdef __SANITIZE_THREAD__ /* it is slow */
#define HAMMER_ROUNDS 200u
#else
#define HAMMER_ROUNDS 3000u
#endif

struct domain {
	struct vm vm;
	struct lending *lending;
	uintptr_t hva; /* where window 0 is */
	int listen_fd;
	char *folder, *path;
	struct lend *lend;
	int fd;
	uint64_t *memory;
};

/* What the thread asks of the machine. */

static uintptr_t last_slot_hva;
static struct guest_memory_slot slots[2]; /* len_bytes 0: none */
static bool refuse_slots;
static _Atomic unsigned int ends;

void vm_end(struct vm *vm, enum outcome outcome, uint32_t status, const char *format, ...)
{
	(void)vm, (void)outcome, (void)status, (void)format;
	atomic_fetch_add(&ends, 1);
}

int kvm_set_memory_slot(int vm_fd, unsigned int number, const struct guest_memory_slot *slot)
{
	(void)vm_fd;
	if (refuse_slots && slot->len_bytes > 0) {
		errno = ENOMEM;
		return -1;
	}
	/* As KVM: a memslot does not change its place, and goes where it is. */
	g_assert_true((slots[number - GUEST_MEMORY_MAX_SLOTS].len_bytes == 0) == (slot->len_bytes > 0));
	g_assert_true(slot->len_bytes > 0 || slot->gpa == slots[number - GUEST_MEMORY_MAX_SLOTS].gpa);
	slots[number - GUEST_MEMORY_MAX_SLOTS] = *slot;
	if (slot->gpa == WINDOW_GPA)
		last_slot_hva = (uintptr_t)slot->hva;
	return 0;
}

/* A guest's access */

static __thread sigjmp_buf jump;
static __thread volatile sig_atomic_t caught;

static void on_signal(int number, siginfo_t *info, void *context)
{
	(void)info, (void)context;
	caught = number;
	siglongjmp(jump, 1);
}

static enum space_answer report(struct domain *domain, unsigned int vcpu, const struct space_report *what)
{
	struct slot *slot = &domain->lending->slots[vcpu];

	slot->report = *what;
	atomic_store(&slot->state, SLOT_REPORTED);
	lending_wake(domain->lending);
	pthread_mutex_lock(&domain->vm.calls_lock);
	while (atomic_load(&slot->state) != SLOT_ANSWERED)
		pthread_cond_wait(&domain->vm.calls_changed, &domain->vm.calls_lock);
	pthread_mutex_unlock(&domain->vm.calls_lock);
	atomic_store(&slot->state, SLOT_IDLE);
	return slot->answer;
}

enum how { READ, WRITE, ADD };

/*
 * One instruction, repeated until the page is there. ThreadSanitizer takes a mapping for a write to the page: each access of a
 * guest's would be a race with it.
 */
__attribute__((no_sanitize("thread"))) static uint64_t use(struct domain *domain, unsigned int vcpu, size_t page, size_t word, enum how how, uint64_t value)
{
	_Atomic uint64_t *at = (_Atomic uint64_t *)(domain->hva + page * LEND_PAGE_BYTES) + word;

	for (;;) {
		struct space_report what = { .access = SPACE_ACCESS_UNKNOWN };

		if (sigsetjmp(jump, 1) == 0) {
			if (how == ADD)
				return atomic_fetch_add(at, value);
			if (how == WRITE)
				atomic_store(at, value);
			return atomic_load(at);
		}
		if (caught == SIGBUS)
			what = (struct space_report){ .access = SPACE_ACCESS_PAGE, .window = 0, .page = page };
		g_assert_cmpint(report(domain, vcpu, &what), ==, SPACE_AGAIN);
	}
}

/* Set up */

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
	g_assert_cmpint(bind(fd, (const struct sockaddr *)&address, sizeof(address)), ==, 0);
	g_assert_cmpint(listen(fd, 8), ==, 0);
	return fd;
}

static struct domain *domain_new(size_t max_mappings)
{
	const struct lending_window windows[] = { { WINDOW_GPA, N_PAGES * LEND_PAGE_BYTES, LEND_ACTION_ZERO },
						  { WINDOW_GPA * 2, N_PAGES * LEND_PAGE_BYTES, LEND_ACTION_ZERO } };
	g_autoptr(GError) error = NULL;
	struct domain *domain = g_new0(struct domain, 1);

	domain->vm = (struct vm){ .n_vcpus = N_VCPUS, .vm_fd = -1,
				  .calls_lock = PTHREAD_MUTEX_INITIALIZER, .calls_changed = PTHREAD_COND_INITIALIZER };
	memset(slots, 0, sizeof(slots));
	domain->folder = g_dir_make_tmp("dom1-lend-XXXXXX", NULL);
	domain->path = g_build_filename(domain->folder, "lend.sock", NULL);
	domain->listen_fd = listen_at(domain->path);
	const struct lending_config config = { .windows = windows, .n_windows = 2, .listen_fd = domain->listen_fd, .max_mappings = max_mappings };
	domain->lending = lending_new(&domain->vm, &config, &error);
	g_assert_no_error(error);
	domain->hva = last_slot_hva;
	g_assert_cmpint(lend_open(domain->path, &domain->lend), ==, 0);
	domain->fd = lend_memory_new(LEND_MEMORY_MEMFD, N_PLACES * LEND_PAGE_BYTES);
	domain->memory = mmap(NULL, N_PLACES * LEND_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, domain->fd, 0);
	return domain;
}

static void domain_free(struct domain *domain)
{
	lend_close(domain->lend);
	lending_free(domain->lending);
	munmap(domain->memory, N_PLACES * LEND_PAGE_BYTES);
	close(domain->fd);
	close(domain->listen_fd);
	g_unlink(domain->path);
	g_rmdir(domain->folder);
	g_free(domain->path);
	g_free(domain->folder);
	g_free(domain);
}

static uint64_t *page_of(struct domain *domain, size_t place)
{
	return domain->memory + place * LEND_PAGE_BYTES / 8;
}

static void claim(struct domain *domain)
{
	struct lend_claimed claimed;

	g_assert_cmpint(lend_claim(domain->lend, LEND_WINDOW_ANY, LEND_ACTION_ZERO, 0, &claimed), ==, 0);
	g_assert_cmpuint(claimed.window, ==, 0);
	g_assert_cmphex(claimed.gpa, ==, WINDOW_GPA);
	g_assert_cmpuint(claimed.len_bytes, ==, N_PAGES * LEND_PAGE_BYTES);
}

static int map(struct domain *domain, size_t page, size_t n_pages, size_t place)
{
	return lend_map(domain->lend, 0, page * LEND_PAGE_BYTES, n_pages * LEND_PAGE_BYTES, domain->fd,
			place * LEND_PAGE_BYTES, LEND_WRITABLE);
}

/* A vCPU of its own */

struct access {
	struct domain *domain;
	size_t page;
	uint64_t got;
	GThread *thread;
};

static gpointer read_first(gpointer opaque)
{
	struct access *access = opaque;

	access->got = use(access->domain, 1, access->page, 0, READ, 0);
	return NULL;
}

static void begin_read(struct domain *domain, struct access *access, size_t page)
{
	*access = (struct access){ .domain = domain, .page = page };
	access->thread = g_thread_new("vcpu", read_first, access);
}

static uint64_t end_read(struct access *access)
{
	g_thread_join(access->thread);
	return access->got;
}

static void test_round(void)
{
	struct domain *domain = domain_new(10000);
	struct access access;
	struct lend_fault fault;
	struct lend_state state;

	claim(domain);
	page_of(domain, 5)[0] = 55;
	g_assert_cmpint(map(domain, 0, 10, 0), ==, 0);
	g_assert_cmpuint(use(domain, 0, 5, 0, READ, 0), ==, 55);
	(void)use(domain, 0, 5, 1, WRITE, 66);
	g_assert_cmpuint(page_of(domain, 5)[1], ==, 66);
	g_assert_cmpint(lend_revoke(domain->lend, 0, 5 * LEND_PAGE_BYTES, LEND_PAGE_BYTES, NULL), ==, 0);
	begin_read(domain, &access, 5);
	g_assert_cmpint(lend_next_fault(domain->lend, &fault, 10000), ==, 0);
	g_assert_cmpuint(fault.offset_bytes, ==, 5 * LEND_PAGE_BYTES);
	g_assert_cmpuint(fault.vcpus, ==, 2);
	page_of(domain, 700)[0] = 77;
	g_assert_cmpint(lend_supply(domain->lend, &fault, LEND_PAGE_BYTES, domain->fd, 700 * LEND_PAGE_BYTES, LEND_WRITABLE), ==, 0);
	g_assert_cmpuint(end_read(&access), ==, 77);
	g_assert_cmpint(lend_query(domain->lend, 0, &state), ==, 0);
	g_assert_cmpuint(state.lent_pages, ==, 10);
	g_assert_cmpuint(state.faults, ==, 1);
	g_assert_cmpuint(state.supplies, ==, 1);
	g_assert_cmpint(lend_query(domain->lend, 7, &state), ==, -ENOENT);
	/* Failing, and giving up. */
	begin_read(domain, &access, 100);
	g_assert_cmpint(lend_next_fault(domain->lend, &fault, 10000), ==, 0);
	/* There is no vCPU of KVM's to set up. */
	g_assert_cmpint(lend_fail(domain->lend, &fault, LEND_ACTION_FAULT), ==, -EOPNOTSUPP);
	g_assert_cmpint(lend_fail(domain->lend, &fault, LEND_ACTION_ZERO), ==, 0);
	g_assert_cmpuint(end_read(&access), ==, 0);
	begin_read(domain, &access, 101);
	g_assert_cmpint(lend_next_fault(domain->lend, &fault, 10000), ==, 0);
	g_assert_cmpint(lend_release(domain->lend, 0), ==, 0);
	g_assert_cmpuint(end_read(&access), ==, 0);
	g_assert_cmpint(lend_next_fault(domain->lend, &fault, 0), ==, -ETIMEDOUT);
	domain_free(domain);
}

static int connect_lender(const struct domain *domain)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_strlcpy(address.sun_path, domain->path, sizeof(address.sun_path));
	g_assert_cmpint(connect(fd, (const struct sockaddr *)&address, sizeof(address)), ==, 0);
	return fd;
}

/* The domain's own lender is the first. One more than there is room for is sent away; when one has gone there is room again. */
static void test_most_lenders(void)
{
	struct domain *domain = domain_new(10000);
	struct lend *late = NULL;
	int fds[LENDING_MAX_LENDERS];
	char byte;

	for (unsigned int i = 1; i < LENDING_MAX_LENDERS; i++)
		fds[i] = connect_lender(domain);
	fds[0] = connect_lender(domain);
	g_assert_cmpint(recv(fds[0], &byte, 1, 0), ==, 0);
	g_assert_cmpint(lend_open(domain->path, &late), <, 0);
	/* Those that were taken are not: nothing is to be read, and it is no end of file. */
	for (unsigned int i = 1; i < LENDING_MAX_LENDERS; i++)
		g_assert_true(recv(fds[i], &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
	claim(domain);
	close(fds[1]);
	for (unsigned int tries = 0; lend_open(domain->path, &late) != 0; tries++) {
		g_assert_cmpuint(tries, <, 10000);
		g_usleep(1000);
	}
	lend_close(late);
	for (unsigned int i = 0; i < LENDING_MAX_LENDERS; i++)
		if (i != 1)
			close(fds[i]);
	domain_free(domain);
}

/* The lender dies while somebody waits: zeros. The domain ends: the lender hears of it. */
static void test_ends(void)
{
	struct domain *domain = domain_new(10000);
	struct lend_fault fault;
	struct access access;

	claim(domain);
	page_of(domain, 0)[0] = 4711;
	g_assert_cmpint(map(domain, 0, 100, 0), ==, 0);
	g_assert_cmpuint(use(domain, 0, 0, 0, READ, 0), ==, 4711);
	begin_read(domain, &access, 200);
	g_assert_cmpint(lend_next_fault(domain->lend, &fault, 10000), ==, 0);
	lend_close(domain->lend);
	g_assert_cmpuint(end_read(&access), ==, 0);
	g_assert_cmpuint(use(domain, 0, 0, 0, READ, 0), ==, 0);
	g_assert_cmpuint(page_of(domain, 0)[0], ==, 4711);
	g_assert_cmpint(lend_open(domain->path, &domain->lend), ==, 0);
	claim(domain);
	lending_reset(domain->lending);
	lending_free(domain->lending);
	domain->lending = NULL;
	g_assert_cmpint(lend_next_fault(domain->lend, &fault, 10000), ==, -ENOTCONN);
	g_assert_cmpint(lend_revoke(domain->lend, 0, 0, LEND_PAGE_BYTES, NULL), ==, -ENOTCONN);
	domain_free(domain);
}

/* Moving pages under two vCPUs that know what each must hold */

struct hammer {
	struct domain *domain;
	unsigned int vcpu;
	_Atomic bool *stop;
	uint64_t counted[N_PAGES], accesses, mistakes;
	GThread *thread;
};

static gpointer hammer(gpointer opaque)
{
	struct hammer *hammer = opaque;
	uint32_t random = 77 + hammer->vcpu;

	while (!atomic_load(hammer->stop)) {
		random = random * 1664525u + 1013904223u;
		size_t page = (random >> 8) % N_PAGES;

		hammer->mistakes += use(hammer->domain, hammer->vcpu, page, 0, READ, 0) != TAG(page);
		hammer->mistakes += use(hammer->domain, hammer->vcpu, page, 8 * (hammer->vcpu + 1), ADD, 1) != hammer->counted[page]++;
		hammer->accesses++;
	}
	return NULL;
}

struct mover {
	struct domain *domain;
	uint32_t place[N_PAGES], free[N_PLACES];
	unsigned int n_free;
	uint64_t stale, faults;
};

static void answer(struct mover *mover, int timeout_ms)
{
	struct lend_fault fault;

	while (lend_next_fault(mover->domain->lend, &fault, timeout_ms) == 0) {
		size_t page = fault.offset_bytes / LEND_PAGE_BYTES;
		int rc = lend_supply(mover->domain->lend, &fault, LEND_PAGE_BYTES, mover->domain->fd,
				     (uint64_t)mover->place[page] * LEND_PAGE_BYTES, LEND_WRITABLE);

		g_assert_true(rc == 0 || rc == -ESTALE);
		mover->faults++;
		timeout_ms = 0;
	}
}

static void move_pages(struct mover *mover)
{
	struct domain *domain = mover->domain;
	uint32_t old[100];
	size_t n = g_test_rand_bit() ? 1 : 1 + (size_t)g_test_rand_int_range(0, 99);
	size_t first = (size_t)g_test_rand_int_range(0, (gint32)(N_PAGES - n + 1));

	g_assert_cmpint(lend_revoke(domain->lend, 0, first * LEND_PAGE_BYTES, n * LEND_PAGE_BYTES, NULL), >=, 0);
	for (size_t i = 0; i < n; i++) {
		unsigned int at = (unsigned int)g_test_rand_int_range(0, (gint32)mover->n_free);

		old[i] = mover->place[first + i];
		memcpy(page_of(domain, mover->free[at]), page_of(domain, old[i]), LEND_PAGE_BYTES);
		for (size_t word = 0; word < LEND_PAGE_BYTES / 8; word++)
			page_of(domain, old[i])[word] = CANARY;
		mover->place[first + i] = mover->free[at];
		/* Not to be taken again before it was looked at. */
		mover->free[at] = mover->free[--mover->n_free];
	}
	for (size_t i = 0; i < n; i++)
		for (size_t word = 0; word < 8 * (N_VCPUS + 1); word++)
			mover->stale += page_of(domain, old[i])[word] != CANARY;
	for (size_t i = 0; i < n; i++)
		mover->free[mover->n_free++] = old[i];
	for (size_t i = 0; i < n; i++)
		if (g_test_rand_bit())
			(void)map(domain, first + i, 1, mover->place[first + i]);
	answer(mover, 0);
}

static void test_hammer(void)
{
	struct domain *domain = domain_new(4000);
	struct mover *mover = g_new0(struct mover, 1);
	struct hammer *hammers = g_new0(struct hammer, N_VCPUS);
	_Atomic bool stop = false;
	unsigned int rounds = g_test_slow() ? 50000 : HAMMER_ROUNDS;

	claim(domain);
	mover->domain = domain;
	for (uint32_t i = 0; i < N_PLACES; i++) {
		if (i < N_PAGES)
			page_of(domain, mover->place[i] = i)[0] = TAG(i);
		else
			mover->free[mover->n_free++] = i;
	}
	for (unsigned int i = 0; i < N_VCPUS; i++) {
		hammers[i].domain = domain;
		hammers[i].vcpu = i;
		hammers[i].stop = &stop;
		hammers[i].thread = g_thread_new("vcpu", hammer, &hammers[i]);
	}
	for (unsigned int i = 0; i < rounds; i++)
		move_pages(mover);
	atomic_store(&stop, true);
	/* Who waits goes on with zeros. */
	g_assert_cmpint(lend_release(domain->lend, 0), ==, 0);
	uint64_t accesses = 0;
	for (unsigned int i = 0; i < N_VCPUS; i++) {
		g_thread_join(hammers[i].thread);
		accesses += hammers[i].accesses;
		/* Its last access may have been to such a page: two halves. */
		g_assert_cmpuint(hammers[i].mistakes, <=, 2);
	}
	g_assert_cmpuint(mover->stale, ==, 0);
	g_assert_cmpuint(mover->faults, >, 0);
	g_test_message("%u revokes, %" G_GUINT64_FORMAT " accesses, %" G_GUINT64_FORMAT " faults", rounds, accesses, mover->faults);
	g_free(hammers);
	g_free(mover);
	domain_free(domain);
}

/* Push: the library's thread answers while ours revokes. */
static void on_fault(void *opaque, const struct lend_fault *fault)
{
	struct domain *domain = opaque;
	int rc = lend_supply(domain->lend, fault, LEND_PAGE_BYTES, domain->fd, fault->offset_bytes, LEND_WRITABLE);

	g_assert_true(rc == 0 || rc == -ESTALE || rc == -ENOTCONN);
}

static void test_push(void)
{
	struct domain *domain = domain_new(4000);

	claim(domain);
	for (size_t i = 0; i < N_PAGES; i++)
		page_of(domain, i)[0] = TAG(i);
	g_assert_cmpint(lend_start_handler(domain->lend, on_fault, domain), ==, 0);
	g_assert_cmpint(lend_start_handler(domain->lend, on_fault, domain), ==, -EBUSY);
	for (size_t i = 0; i < 2000; i++) {
		size_t page = i * 7 % N_PAGES;

		g_assert_cmphex(use(domain, i % N_VCPUS, page, 0, READ, 0), ==, TAG(page));
		if (i % 3 == 0)
			g_assert_cmpint(lend_revoke(domain->lend, 0, page * LEND_PAGE_BYTES, LEND_PAGE_BYTES, NULL), ==, 0);
	}
	domain_free(domain);
}

static uint64_t gpa_of(struct domain *domain, uint32_t window)
{
	struct lend_state state;

	g_assert_cmpint(lend_query(domain->lend, window, &state), ==, 0);
	g_assert_cmpuint(state.lent_pages, ==, window == 0 ? 1 : 0);
	return state.gpa;
}

/* A window that moves: its memslot follows, what is lent stays, and other windows are as they were. */
static void test_place(void)
{
	struct domain *domain = domain_new(1000);
	uint64_t *at = (uint64_t *)domain->hva;

	claim(domain);
	*page_of(domain, 0) = TAG(0);
	g_assert_cmpint(map(domain, 0, 1, 0), ==, 0);
	g_assert_cmpint(lending_place(domain->lending, 0, SPACE_NOWHERE), ==, 0);
	g_assert_cmphex(gpa_of(domain, 0), ==, LEND_NOWHERE);
	g_assert_cmpuint(slots[0].len_bytes, ==, 0);
	g_assert_cmphex(gpa_of(domain, 1), ==, WINDOW_GPA * 2);
	g_assert_cmpint(lending_place(domain->lending, 0, SPACE_NOWHERE), ==, 0);
	g_assert_cmpint(lending_place(domain->lending, 0, WINDOW_GPA * 4), ==, 0);
	g_assert_cmphex(gpa_of(domain, 0), ==, WINDOW_GPA * 4);
	g_assert_cmphex(slots[0].gpa, ==, WINDOW_GPA * 4);
	g_assert_true(slots[0].hva == at);
	g_assert_cmphex(*at, ==, TAG(0));
	/* On to the next place at once; and when KVM does not want it, it is nowhere. */
	g_assert_cmpint(lending_place(domain->lending, 0, WINDOW_GPA * 3), ==, 0);
	g_assert_cmphex(slots[0].gpa, ==, WINDOW_GPA * 3);
	refuse_slots = true;
	g_assert_cmpint(lending_place(domain->lending, 0, WINDOW_GPA), ==, ENOMEM);
	refuse_slots = false;
	g_assert_cmphex(gpa_of(domain, 0), ==, LEND_NOWHERE);
	g_assert_cmpuint(slots[0].len_bytes, ==, 0);
	g_assert_cmpint(lending_sync(domain->lending, 0), ==, 0);
	g_assert_cmpint(lend_revoke(domain->lend, 0, 0, LEND_PAGE_BYTES, NULL), ==, 0);
	g_assert_cmpint(lending_sync(domain->lending, 0), ==, 0);
	domain_free(domain);
}

/* Bridges */

#define BRIDGED 32u
#define PLACE   1024u /* in the file: not what the domain's own mapping is used for */

static uint64_t lent_pages(struct domain *domain)
{
	struct lend_state state;

	g_assert_cmpint(lend_query(domain->lend, 0, &state), ==, 0);
	return state.lent_pages;
}

/* The pages of the file from PLACE on, mapped for the lender, lent at the window's start, and bridged. */
static uint8_t *bridged_pages(struct domain *domain, int *number)
{
	uint8_t *at = mmap(NULL, BRIDGED * LEND_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, domain->fd, PLACE * LEND_PAGE_BYTES);

	g_assert_true(at != MAP_FAILED);
	g_assert_cmpint(lend_revoke(domain->lend, 0, 0, N_PAGES * LEND_PAGE_BYTES, NULL), ==, 0);
	/* Twice as much is lent as is bridged. */
	g_assert_cmpint(map(domain, 0, 2 * BRIDGED, PLACE), ==, 0);
	*number = lend_bridge_add(domain->lend, at, BRIDGED * LEND_PAGE_BYTES, 0, 0);
	g_assert_cmpint(*number, >=, 0);
	return at;
}

/* What the call has done is done when it returns; what is beside the bridge stays. */
static void expect_revoked(struct domain *domain)
{
	g_assert_cmpuint(lent_pages(domain), ==, BRIDGED);
	g_assert_cmpint(map(domain, 0, BRIDGED, PLACE), ==, 0);
}

static void test_bridge_calls(void)
{
	static const int advices[] = { MADV_DONTNEED, MADV_REMOVE };
	struct domain *domain = domain_new(10000);
	int number;

	claim(domain);
	uint8_t *at = bridged_pages(domain, &number), *elsewhere;
	g_assert_cmpint(lend_bridge_add(domain->lend, at, LEND_PAGE_BYTES, 0, 0), ==, -EBUSY);
	g_assert_cmpint(lend_bridge_add(domain->lend, at + 1, LEND_PAGE_BYTES, 0, 0), ==, -EINVAL);
	g_assert_cmpint(lend_bridge_add(domain->lend, at, UINT64_MAX - LEND_PAGE_BYTES + 1, 0, 0), ==, -EINVAL);
	g_assert_cmpint(lend_bridge_add(domain->lend, NULL, LEND_PAGE_BYTES, 0, 0), ==, -EINVAL);
	/* It does not show: nothing of the lender's accesses is an event. */
	memset(at, 1, BRIDGED * LEND_PAGE_BYTES);
	g_assert_cmpuint(lent_pages(domain), ==, 2 * BRIDGED);
	for (size_t i = 0; i < G_N_ELEMENTS(advices); i++) {
		g_assert_cmpint(madvise(at + 3 * LEND_PAGE_BYTES, LEND_PAGE_BYTES, advices[i]), ==, 0);
		expect_revoked(domain);
	}
	elsewhere = mremap(at, LEND_PAGE_BYTES, LEND_PAGE_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, page_of(domain, 0));
	g_assert_true(elsewhere == (uint8_t *)page_of(domain, 0));
	g_assert_cmpuint(lent_pages(domain), ==, BRIDGED);
	/* The first page is not watched any more, neither here nor there. */
	g_assert_cmpint(map(domain, 0, BRIDGED, PLACE), ==, 0);
	g_assert_cmpint(madvise(elsewhere, LEND_PAGE_BYTES, MADV_DONTNEED), ==, 0);
	g_assert_cmpuint(lent_pages(domain), ==, 2 * BRIDGED);
	g_assert_cmpint(munmap(at + (BRIDGED - 1) * LEND_PAGE_BYTES, LEND_PAGE_BYTES), ==, 0);
	g_assert_cmpuint(lent_pages(domain), ==, BRIDGED + 1);
	g_assert_cmpint(map(domain, 1, BRIDGED - 1, PLACE + 1), ==, 0);
	at = mmap(at + LEND_PAGE_BYTES, (BRIDGED - 2) * LEND_PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	g_assert_cmpuint(lent_pages(domain), ==, BRIDGED + 2);
	/* Nothing of its range is left. */
	g_assert_cmpint(lend_bridge_remove(domain->lend, number), ==, -ENOENT);
	munmap(at, (BRIDGED - 2) * LEND_PAGE_BYTES);
	/* Taken away, it is not there; and a new one is. */
	at = bridged_pages(domain, &number);
	g_assert_cmpint(lend_bridge_remove(domain->lend, number), ==, 0);
	g_assert_cmpint(madvise(at, LEND_PAGE_BYTES, MADV_REMOVE), ==, 0);
	g_assert_cmpuint(lent_pages(domain), ==, 2 * BRIDGED);
	munmap(at, BRIDGED * LEND_PAGE_BYTES);
	at = bridged_pages(domain, &number);
	/* With the connection gone nobody waits for it for ever. */
	shutdown(lend_fd(domain->lend), SHUT_RDWR);
	g_assert_cmpint(munmap(at, BRIDGED * LEND_PAGE_BYTES), ==, 0);
	domain_free(domain);
}

struct reader {
	struct domain *domain;
	_Atomic bool stop;
	uint64_t reads, zeros;
};

static gpointer read_on(gpointer opaque)
{
	struct reader *reader = opaque;

	while (!atomic_load(&reader->stop)) {
		reader->zeros += use(reader->domain, 1, 0, 0, READ, 0) == 0;
		reader->reads++;
	}
	return NULL;
}

/* A hole in the file is zeros at once. With a bridge the guest never sees them: the page is not there any more by then. */
static uint64_t zeros_seen(bool with_bridge)
{
	struct domain *domain = domain_new(10000);
	struct reader reader = { .domain = domain };
	int number;

	claim(domain);
	volatile uint64_t *at = (volatile uint64_t *)(void *)bridged_pages(domain, &number);
	at[0] = 1;
	if (!with_bridge)
		g_assert_cmpint(lend_bridge_remove(domain->lend, number), ==, 0);
	GThread *thread = g_thread_new("vcpu", read_on, &reader);
	for (unsigned int i = 0; i < 300; i++) {
		g_assert_cmpint(madvise((void *)(uintptr_t)at, LEND_PAGE_BYTES, MADV_REMOVE), ==, 0);
		if (!with_bridge)
			g_usleep(100);
		at[0] = i + 1;
		if (with_bridge)
			g_assert_cmpint(map(domain, 0, BRIDGED, PLACE), ==, 0);
		g_usleep(100);
	}
	atomic_store(&reader.stop, true);
	g_thread_join(thread);
	g_test_message("%s bridge: %lu reads, %lu of zeros", with_bridge ? "with a" : "without a", reader.reads, reader.zeros);
	g_assert_cmpuint(reader.reads, >, 300);
	munmap((void *)(uintptr_t)at, BRIDGED * LEND_PAGE_BYTES);
	domain_free(domain);
	return reader.zeros;
}

static void test_bridge_order(void)
{
	g_assert_cmpuint(zeros_seen(true), ==, 0);
	/* R42: the zeros are there to be seen. */
	g_assert_cmpuint(zeros_seen(false), >, 0);
}

/* Who may lend what, where and when. */
static void test_rules(void)
{
	struct domain *domain = domain_new(10000);
	struct lend *other;
	struct lend_fault fault;
	struct access access;
	uint64_t seq;

	claim(domain);
	g_assert_cmpint(lend_open(domain->path, &other), ==, 0);
	g_assert_cmpint(lend_map(other, 0, 0, LEND_PAGE_BYTES, domain->fd, 0, LEND_WRITABLE), ==, -EPERM);
	g_assert_cmpint(lend_revoke(other, 0, 0, LEND_PAGE_BYTES, NULL), ==, -EPERM);
	lend_close(other);
	/* An answer from before a revoke, and a page that was chosen before it. */
	begin_read(domain, &access, 7);
	g_assert_cmpint(lend_next_fault(domain->lend, &fault, 10000), ==, 0);
	g_assert_cmpint(lend_revoke(domain->lend, 0, 0, 10 * LEND_PAGE_BYTES, &seq), ==, 0);
	g_assert_cmpint(lend_supply(domain->lend, &fault, LEND_PAGE_BYTES, domain->fd, 0, LEND_WRITABLE), ==, -ESTALE);
	g_assert_cmpint(lend_revoke(domain->lend, 0, 0, 10 * LEND_PAGE_BYTES, &seq), ==, 0);
	g_assert_cmpint(lend_map_if(domain->lend, 0, 8 * LEND_PAGE_BYTES, LEND_PAGE_BYTES, domain->fd, 0, 0, seq - 1), ==, -ESTALE);
	g_assert_cmpint(lend_map_if(domain->lend, 0, 8 * LEND_PAGE_BYTES, LEND_PAGE_BYTES, domain->fd, 0, 0, seq), ==, 0);
	/* What is being revoked is not lent meanwhile. */
	g_assert_cmpint(lend_revoke_begin(domain->lend, 0, 20 * LEND_PAGE_BYTES, LEND_PAGE_BYTES, NULL), ==, 0);
	g_assert_cmpint(map(domain, 20, 1, 20), ==, -EAGAIN);
	g_assert_cmpint(lend_revoke_end(domain->lend, 0), ==, 0);
	/* It may only be read: a write is a request. */
	page_of(domain, 30)[0] = 30;
	g_assert_cmpint(lend_map(domain->lend, 0, 30 * LEND_PAGE_BYTES, LEND_PAGE_BYTES, domain->fd, 30 * LEND_PAGE_BYTES, 0), ==, 0);
	volatile uint64_t *word = (volatile uint64_t *)(domain->hva + 30 * LEND_PAGE_BYTES);
	bool written = sigsetjmp(jump, 1) == 0;
	if (written)
		word[0] = 31;
	g_assert_cmpuint(page_of(domain, 30)[0], ==, 30);
	g_assert_cmpuint(word[0], ==, 30);
	g_assert_cmpint(lend_release(domain->lend, 0), ==, 0);
	(void)end_read(&access);
	domain_free(domain);
}

#ifdef LEND_BROKEN
/* R42: with a rule broken, the test that is named for it must fail. */
enum lend_rule lend_broken_rule;

static const struct control {
	enum lend_rule rule;
	const char *name;
	void (*test)(void);
} CONTROLS[] = {
	{ LEND_RULE_REVOKE, "revoke", test_hammer },
	{ LEND_RULE_LATE_SUPPLY, "late-supply", test_rules },
	{ LEND_RULE_SEQ, "seq", test_rules },
	{ LEND_RULE_DEATH, "death", test_ends },
	{ LEND_RULE_READ_ONLY, "read-only", test_rules },
	{ LEND_RULE_OWNER, "owner", test_rules },
	{ LEND_RULE_HOLD, "hold", test_rules },
	{ LEND_RULE_BRIDGE, "bridge", test_bridge_order },
};
G_STATIC_ASSERT(G_N_ELEMENTS(CONTROLS) == LEND_RULES - 1);

static void run_broken(gconstpointer data)
{
	const struct control *control = data;

	lend_broken_rule = control->rule;
	control->test();
}

static void test_control(gconstpointer data)
{
	const struct control *control = data;
	g_autofree char *path = g_strconcat("/lend/lending/control/subprocess/", control->name, NULL);

	g_test_trap_subprocess(path, 60 * G_USEC_PER_SEC, G_TEST_SUBPROCESS_DEFAULT);
	g_test_trap_assert_failed();
	/* By what it expected, and not by an end of another kind. */
	g_test_trap_assert_stderr("*assertion failed*");
	g_assert_false(g_test_trap_reached_timeout());
}

static void add_controls(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(CONTROLS); i++) {
		g_autofree char *path = g_strconcat("/lend/lending/control/", CONTROLS[i].name, NULL);
		/* By its path it runs only when it is asked for. */
		g_autofree char *child = g_strconcat("/lend/lending/control/subprocess/", CONTROLS[i].name, NULL);

		g_test_add_data_func(path, &CONTROLS[i], test_control);
		g_test_add_data_func(child, &CONTROLS[i], run_broken);
	}
}
#endif

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER };

	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	g_test_init(&argc, &argv, NULL);
	g_autoptr(GError) error = NULL;
	struct mapper_host *mapper = mapper_host_new(&error);
	if (!mapper) {
		g_test_message("%s", error->message);
		return 77;
	}
	mapper_host_free(mapper);
#ifdef LEND_BROKEN
	add_controls();
	return g_test_run();
#endif
	g_test_add_func("/lend/lending/rules", test_rules);
	g_test_add_func("/lend/lending/round", test_round);
	g_test_add_func("/lend/lending/ends", test_ends);
	g_test_add_func("/lend/lending/most-lenders", test_most_lenders);
	g_test_add_func("/lend/lending/push", test_push);
	g_test_add_func("/lend/lending/place", test_place);
	g_test_add_func("/lend/lending/hammer", test_hammer);
	g_test_add_func("/lend/lending/bridge/calls", test_bridge_calls);
	g_test_add_func("/lend/lending/bridge/order", test_bridge_order);
	return g_test_run();
}
