// SPDX-License-Identifier: MIT
/*
 * The loop of the memory thread, and the vCPUs' short way past it (lending_ask()). In each turn: what lenders and vCPUs have sent is taken, one message of each; then one
 * step of each lender's job; and a step of what is done behind everybody's back, a short one if there was a job. So one
 * lender's long revoke delays another's by a step, and a vCPU's report too.
 */
#include "lend/lending_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/sched/types.h>

#include "lend/lent_ram.h"
#include "lend/machine_check.h"
#include "vmm/error.h"
#include "vmm/kvm.h"
#include "vmm/guest_memory.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"
#include "vmm/worker.h"

/* Of one step. The quick half of a revoke takes less than a microsecond a page, emulated hardware twenty. */
#define STEP_PAGES 4096u
#define SHORT_STEP_PAGES 256u
#define NS_PER_MS  1000000u
#define NS_PER_S   UINT64_C(1000000000)
/* The shortest that there is. */
#define SHORT_TURN_NS 100000u

/* What an event is about: a lender by its place, or one of these. */
enum { EVENT_WAKE = LENDING_MAX_LENDERS, EVENT_LISTEN };

/* syscalls(vcpu, main, memory): write */
void lending_wake(const struct lending *lending)
{
	const uint64_t one = 1;
	ssize_t written = write(lending->wake_fd, &one, sizeof(one));

	(void)written;
}

/* What the windows report */

static struct session *session_of(struct lending *lending, unsigned int lender)
{
	return &lending->lenders[lender - 1].session;
}

static void on_need(void *opaque, unsigned int lender, const struct space_need *need)
{
	session_need(session_of(opaque, lender), need);
}

static void on_widened(void *opaque, unsigned int lender, unsigned int window, uint64_t seq)
{
	session_widened(session_of(opaque, lender), window, seq);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint64_t on_clock(void *opaque)
{
	(void)opaque;
	return now_ns();
}

static uint64_t on_kernel_clock(void *opaque)
{
	const struct lending *lending = opaque;

	return mapper_host_kernel_ns(lending->mapper);
}

static void on_answer(void *opaque, unsigned int vcpu, enum space_answer answer, const struct space_report *report)
{
	struct lending *lending = opaque;
	struct slot *slot = &lending->slots[vcpu];

	slot->report = *report;
	slot->answer = answer;
	atomic_store(&slot->state, SLOT_ANSWERED);
	lending->answered = true;
}

static void wake_answered(struct lending *lending)
{
	if (lending->answered)
		vcpu_end_rest(lending->vm);
	lending->answered = false;
}

static void on_stop(void *opaque, unsigned int window, size_t page)
{
	struct lending *lending = opaque;

	vm_end(lending->vm, OUTCOME_CRASH, 0, "lend window %u: nothing was lent at 0x%" PRIx64 " when the guest used it", window,
	       lending->space.windows[window].gpa + (uint64_t)page * LEND_PAGE_BYTES);
}

/* The promise to lenders is kept by the only means left: with us go all mappings. */
/* syscalls(memory): getpid gettid tgkill rt_sigprocmask */
static void on_stuck(void *opaque, unsigned int window, int error)
{
	struct lending *lending = opaque;

	record_end(lending->vm->record, OUTCOME_HOST_ERROR, DOM1_STATUS_DEFECT, "lend window %u cannot be taken back: %s",
		   window, g_strerror(error));
	(void)raise(SIGKILL);
}

static const struct space_events EVENTS = {
	.need = on_need, .widened = on_widened, .answer = on_answer, .stop = on_stop, .stuck = on_stuck,
	.clock_ns = on_clock, .kernel_ns = on_kernel_clock,
};

/* Lenders */

/* syscalls(memory): epoll_ctl */
static void watch(const struct lending *lending, int operation, int fd, uint32_t events, uint32_t what)
{
	struct epoll_event event = { .events = events, .data.u32 = what };

	(void)epoll_ctl(lending->epoll_fd, operation, fd, &event);
}

/* Nobody's turn comes while one waits that cannot be taken. */
/* syscalls(memory): close accept4 fcntl(F_DUPFD_CLOEXEC) */
static void refuse_lender(struct lending *lending)
{
	if ((errno != EMFILE && errno != ENFILE) || lending->spare_fd < 0)
		return;
	close(lending->spare_fd);
	int fd = accept4(lending->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	lending->spare_fd = fcntl(lending->wake_fd, F_DUPFD_CLOEXEC, 0);
}

static void admit_lender(struct lending *lending, int fd)
{
	for (uint32_t i = 0; i < LENDING_MAX_LENDERS; i++) {
		struct lender *lender = &lending->lenders[i];

		if (lender->fd >= 0)
			continue;
		lender->fd = fd;
		lender->events = EPOLLIN;
		lender->watched = true;
		session_init(&lender->session, &lending->space, i + 1, &lending->files, lending->wake_fd);
		watch(lending, EPOLL_CTL_ADD, fd, EPOLLIN, i);
		return;
	}
	close(fd);
}

/* syscalls(memory): accept4 */
static void take_lender(struct lending *lending)
{
	int fd = accept4(lending->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		refuse_lender(lending);
	else
		admit_lender(lending, fd);
}

/* The descriptor that came, or -1; *extra: there were more, which are closed. */
static int take_descriptor(struct lent_files *files, struct msghdr *message, bool *extra)
{
	int taken = -1;

	*extra = (message->msg_flags & MSG_CTRUNC) != 0;
	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
			*extra |= taken >= 0;
			if (taken >= 0)
				lent_file_discard(files, fd);
			else
				taken = fd;
		}
	}
	return taken;
}

/* FALSE: nothing has come. syscalls(memory): recvmsg */
static bool receive_piece(struct lender *lender)
{
	struct session *session = &lender->session;
	size_t wanted = session_wants(session);
	/* Room for more than one: else the kernel closes them without a word. */
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct iovec iov = { session->in + session->in_bytes, wanted };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	bool extra = false;

	ssize_t got = recvmsg(lender->fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (got <= 0) {
		session_kill(session);
		return false;
	}
	int fd = take_descriptor(session->files, &message, &extra);
	session_received(session, (size_t)got, fd);
	if (extra)
		session_kill(session);
	return true;
}

/* One message at most: its header and its body are two pieces. */
static void receive(struct lender *lender)
{
	const struct session *session = &lender->session;

	while (session_wants(session) > 0 && receive_piece(lender))
		if (session->in_bytes == 0)
			return;
}

/* syscalls(memory, main): sendto */
static void send_out(struct lender *lender)
{
	struct session *session = &lender->session;

	while (session->out_bytes > 0) {
		ssize_t sent = send(lender->fd, session->out, session->out_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent > 0) {
			session_sent(session, (size_t)sent);
			continue;
		}
		if (sent < 0 && errno != EAGAIN && errno != EINTR)
			session_kill(session);
		return;
	}
}

/* The connection of a dead one is closed when all its windows are revoked: so it tells a living lender that they are. */
static void settle_lender(struct lending *lending, uint32_t number)
{
	struct lender *lender = &lending->lenders[number];
	const struct session *session = &lender->session;

	if (lender->fd < 0)
		return;
	send_out(lender);
	if (session->job == SESSION_DIES && lender->watched) {
		(void)epoll_ctl(lending->epoll_fd, EPOLL_CTL_DEL, lender->fd, NULL);
		lender->watched = false;
	}
	if (session->job == SESSION_DEAD && atomic_load(&lender->n_senders) == 0) {
		close(lender->fd);
		lender->fd = -1;
	}
	if (session->job >= SESSION_DIES)
		return;
	uint32_t events = (session_wants(session) > 0 ? EPOLLIN : 0) | (session->out_bytes > 0 ? EPOLLOUT : 0);
	if (events != lender->events)
		watch(lending, EPOLL_CTL_MOD, lender->fd, events, number);
	lender->events = events;
}

/* vCPUs */

/* syscalls(memory): read */
static void take_reports(struct lending *lending)
{
	uint64_t count;
	ssize_t got = read(lending->wake_fd, &count, sizeof(count));

	(void)got;
	for (unsigned int i = 0; i < lending->space.n_vcpus; i++) {
		struct slot *slot = &lending->slots[i];

		if (atomic_load(&slot->state) != SLOT_REPORTED)
			continue;
		atomic_store(&slot->state, SLOT_TAKEN);
		space_report(&lending->space, i, &slot->report);
	}
}

/*
 * Between sockets of one machine so short a message is sent as one, or not at all. The socket does not block, and nobody
 * hears SIGPIPE: that is all that send() could say, and a vCPU has no such system call. syscalls(vcpu): write
 */
static void send_event(struct lending *lending, struct lender *lender, const void *bytes, size_t len_bytes)
{
	bool sent = write(lender->fd, bytes, len_bytes) == (ssize_t)len_bytes;

	if (!sent) {
		pthread_mutex_lock(&lending->state_lock);
		session_put(&lender->session, bytes, len_bytes);
		pthread_mutex_unlock(&lending->state_lock);
	}
	atomic_fetch_sub(&lender->n_senders, 1);
	/* It sends when the lender reads, or sees that nobody does. */
	if (!sent)
		lending_wake(lending);
}

bool lending_ask(struct lending *lending, unsigned int vcpu)
{
	struct slot *slot = &lending->slots[vcpu];
	struct lender *lender = NULL;
	uint8_t event[sizeof(struct lend_header) + sizeof(struct lend_fault_event)];
	bool was_empty = false, wake = false;

	/* The memory thread is at work: then it sees to this next. */
	if (slot->report.access != SPACE_ACCESS_PAGE || pthread_mutex_trylock(&lending->state_lock) != 0)
		return false;
	const struct space_window *window = &lending->space.windows[slot->report.window];
	if (window->lender != SPACE_NO_LENDER) {
		lender = &lending->lenders[window->lender - 1];
		was_empty = lender->session.out_bytes == 0;
	}
	lending->space.now_ns = now_ns();
	bool asked = space_report_absent(&lending->space, vcpu, &slot->report);
	if (asked) {
		atomic_store(&slot->state, SLOT_TAKEN);
		/* What was there before is sent first; and somebody must look at the clock. */
		wake = window->timeout_ms > 0 || (!was_empty && lender->session.out_bytes > 0);
	}
	bool send = asked && was_empty && lender->session.out_bytes == sizeof(event);
	if (send) {
		memcpy(event, lender->session.out, sizeof(event));
		session_sent(&lender->session, sizeof(event));
		atomic_fetch_add(&lender->n_senders, 1);
	}
	pthread_mutex_unlock(&lending->state_lock);
	if (send)
		send_event(lending, lender, event, sizeof(event));
	if (wake)
		lending_wake(lending);
	return asked;
}

/* The loop */

/* Returns when to come again: the time of the windows' clock, 0: when something happens. */
static uint64_t work(struct lending *lending)
{
	bool worked = false;

	for (uint32_t i = 0; i < LENDING_MAX_LENDERS; i++)
		worked |= session_work(&lending->lenders[i].session, STEP_PAGES);
	/* Beside a job little, but never nothing: a vCPU may wait for it. */
	worked |= space_work(&lending->space, worked ? SHORT_STEP_PAGES : STEP_PAGES);
	uint64_t deadline_ns = space_expire(&lending->space);
	for (uint32_t i = 0; i < LENDING_MAX_LENDERS; i++) {
		settle_lender(lending, i);
		/* One that has just died, too. */
		enum session_job job = lending->lenders[i].session.job;
		worked |= job != SESSION_IDLE && job != SESSION_ASKS && (job != SESSION_DEAD || lending->lenders[i].fd >= 0);
	}
	return worked ? lending->space.now_ns : deadline_ns;
}

static bool has_jobs(const struct lending *lending)
{
	for (uint32_t i = 0; i < LENDING_MAX_LENDERS; i++)
		if (lending->lenders[i].session.job != SESSION_IDLE && lending->lenders[i].session.job != SESSION_DEAD)
			return true;
	return lending->space.sweep.active;
}

static int time_to_wait_ms(const struct lending *lending, uint64_t deadline_ns)
{
	if (deadline_ns == 0)
		return -1;
	return deadline_ns <= lending->space.now_ns ? 0 : (int)MIN((deadline_ns - lending->space.now_ns) / NS_PER_MS + 1, 60000);
}

static void handle(struct lending *lending, const struct epoll_event *event)
{
	uint32_t what = event->data.u32;

	if (what == EVENT_WAKE)
		take_reports(lending);
	else if (what == EVENT_LISTEN)
		take_lender(lending);
	else if (lending->lenders[what].fd >= 0) {
		/* Hung up in both directions: what it has sent before still counts, an end of file follows. */
		if ((event->events & (EPOLLERR | EPOLLHUP)) && session_wants(&lending->lenders[what].session) == 0)
			session_kill(&lending->lenders[what].session);
		else
			receive(&lending->lenders[what]);
	}
}

static void obey(struct lending *lending)
{
	pthread_mutex_lock(&lending->order_lock);
	if (atomic_load(&lending->order) == LENDING_RESET) {
		space_reset(&lending->space);
		for (unsigned int i = 0; i < SPACE_MAX_VCPUS; i++)
			atomic_store(&lending->slots[i].state, SLOT_IDLE);
		atomic_store(&lending->order, LENDING_GO_ON);
		pthread_cond_signal(&lending->order_done);
	}
	pthread_mutex_unlock(&lending->order_lock);
}

/*
 * It has little to do at a time, and others wait for it: a thread that asks for short turns gets them soon, where there are
 * fewer CPUs than threads. Older kernels give everybody the same.
 * syscalls(memory): sched_setattr getpriority gettid
 */
static void ask_for_short_turns(void)
{
	struct sched_attr attributes = {
		.size = sizeof(attributes),
		.sched_policy = SCHED_OTHER,
		.sched_nice = getpriority(PRIO_PROCESS, (id_t)gettid()),
		.sched_runtime = SHORT_TURN_NS,
	};

	(void)syscall(SYS_sched_setattr, 0, &attributes, 0u);
}

/* syscalls(memory): epoll_wait futex brk clock_gettime */
static void memory_thread(void *opaque)
{
	struct lending *lending = opaque;
	struct epoll_event events[LENDING_MAX_LENDERS + 2];
	int wait_ms = -1;

	ask_for_short_turns();
	while (atomic_load(&lending->order) != LENDING_END) {
		int n = epoll_wait(lending->epoll_fd, events, G_N_ELEMENTS(events), wait_ms);
		bool alone = lent_ram_is_wanted(lending);

		/* When the VM stops it is all the same. Without the lock: a vCPU on its way out may want it. */
		if (alone)
			(void)vcpu_keep_out(lending->vm);
		pthread_mutex_lock(&lending->state_lock);
		lending->space.now_ns = now_ns();
		obey(lending);
		if (alone)
			lent_ram_take_back(lending, STEP_PAGES);
		for (int i = 0; i < n; i++)
			handle(lending, &events[i]);
		if (has_jobs(lending))
			wake_answered(lending);
		wait_ms = time_to_wait_ms(lending, work(lending));
		pthread_mutex_unlock(&lending->state_lock);
		if (alone)
			vcpu_let_in(lending->vm);
		/* Not earlier, where the rest is quick: a vCPU that comes with its next fault is to find the lock free. */
		wake_answered(lending);
	}
}

/* Start and end */

/* A memslot is taken away by one of its number without bytes. syscalls(main, vcpu): ioctl(KVM_SET_USER_MEMORY_REGION) */
static int set_slot(const struct lending *lending, unsigned int window, uint64_t gpa, uint64_t len_bytes)
{
	const struct guest_memory_slot slot = { gpa, len_bytes, (void *)lending->hvas[window] };

	return kvm_set_memory_slot(lending->vm->vm_fd, GUEST_MEMORY_MAX_SLOTS + window, &slot) == 0 ? 0 : errno;
}

int lending_place(struct lending *lending, unsigned int window, uint64_t gpa)
{
	/* Nobody else changes it. The memory thread is not kept from a revoke while KVM is busy. */
	const struct space_window *state = &lending->space.windows[window];
	uint64_t len_bytes = (uint64_t)state->map.n_pages * LEND_PAGE_BYTES;
	int error = 0;

	if (state->gpa != SPACE_NOWHERE)
		error = set_slot(lending, window, state->gpa, 0);
	if (error == 0 && gpa != SPACE_NOWHERE) {
		error = set_slot(lending, window, gpa, len_bytes);
		if (error != 0)
			gpa = SPACE_NOWHERE;
	}
	pthread_mutex_lock(&lending->state_lock);
	space_place_window(&lending->space, window, gpa);
	pthread_mutex_unlock(&lending->state_lock);
	return error;
}

int lending_sync(const struct lending *lending, unsigned int window)
{
	return mapper_host_sync(lending->mapper, window);
}

static void become_ram(struct lending *lending, unsigned int number)
{
	lending->space.windows[number].is_ram = true;
	/* Who was named by --memory-lent, and is there from the start; not whoever comes by lend.sock first. */
	lending->space.windows[number].kept_for = 1;
	lending->copies = g_malloc((gsize)lending->vm->n_vcpus * LEND_PAGE_BYTES);
	for (unsigned int i = 0; i < lending->vm->n_vcpus; i++)
		lending->slots[i].page_bytes = lending->copies + (size_t)i * LEND_PAGE_BYTES;
}

static bool add_window(struct lending *lending, const struct lending_window *window, GError **error)
{
	unsigned int number = lending->space.n_windows;
	int rc = 0;

	if (!mapper_host_add_window(lending->mapper, window->len_bytes / LEND_PAGE_BYTES, &lending->hvas[number], error))
		return false;
	if (!space_add_window(&lending->space, SPACE_NOWHERE, window->len_bytes / LEND_PAGE_BYTES, window->on_fail))
		g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_HOST, "out of memory for a lend window");
	else if ((window->place == LENDING_AT_ADDRESS || window->place == LENDING_AT_RAM) && (rc = lending_place(lending, number, window->gpa)) != 0)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "KVM takes no lend window at 0x%llx: %s",
			    (unsigned long long)window->gpa, g_strerror(rc));
	else {
		if (window->place == LENDING_AT_RAM)
			become_ram(lending, number);
		return true;
	}
	return false;
}

struct opening {
	struct lending *lending;
	const struct lending_config *config;
	GError **error;
	bool done;
};

/* By the thread itself, for it has the system calls. syscalls(memory): epoll_create1 eventfd2 fcntl(F_DUPFD_CLOEXEC) */
static void open_files(void *opaque)
{
	struct opening *opening = opaque;
	struct lending *lending = opening->lending;

	lending->mapper = mapper_host_new(opening->error);
	if (!lending->mapper)
		return;
	lending->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	lending->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	lending->spare_fd = fcntl(lending->wake_fd, F_DUPFD_CLOEXEC, 0);
	if (lending->epoll_fd < 0 || lending->wake_fd < 0 || lending->spare_fd < 0) {
		g_set_error(opening->error, DOM1_ERROR, DOM1_STATUS_HOST, "memory thread: %s", g_strerror(errno));
		return;
	}
	watch(lending, EPOLL_CTL_ADD, lending->wake_fd, EPOLLIN, EVENT_WAKE);
	watch(lending, EPOLL_CTL_ADD, lending->listen_fd, EPOLLIN, EVENT_LISTEN);
	for (size_t i = 0; i < opening->config->n_lenders; i++)
		admit_lender(lending, opening->config->lender_fds[i]);
	opening->done = true;
}

static const struct worker_kind KIND = { .name = "dom1-memory", .filter = SANDBOX_MEMORY };

struct worker *lending_worker(const struct sandbox *sandbox, GError **error)
{
	return worker_new(&KIND, sandbox, error);
}

static bool prepare(struct lending *lending, const struct lending_config *config, GError **error)
{
	struct opening opening = { lending, config, error, false };

	if (lending->vm->workers)
		lending->worker = lending->vm->workers->memory;
	else
		lending->worker = lending->own = lending_worker(NULL, error);
	if (lending->worker)
		worker_run(lending->worker, open_files, &opening);
	return opening.done;
}

static void start(struct lending *lending)
{
	worker_start(lending->worker, memory_thread, lending);
	lending->started = true;
}

/* Who holds it has the right of who waits: a revoke is not to wait for a vCPU's turn. */
static void init_state_lock(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
	pthread_mutex_init(lock, &attributes);
	pthread_mutexattr_destroy(&attributes);
}

struct lending *lending_new(struct vm *vm, const struct lending_config *config, GError **error)
{
	struct lending *lending = g_new0(struct lending, 1);

	lending->vm = vm;
	lending->epoll_fd = lending->wake_fd = lending->spare_fd = -1;
	lending->listen_fd = config->listen_fd;
	init_state_lock(&lending->state_lock);
	pthread_mutex_init(&lending->order_lock, NULL);
	pthread_cond_init(&lending->order_done, NULL);
	for (unsigned int i = 0; i < LENDING_MAX_LENDERS; i++)
		lending->lenders[i] = (struct lender){ .fd = -1, .session.job = SESSION_DEAD };
	bool ok = prepare(lending, config, error);
	const bool is_traced = trace_wants(&vm->trace, TRACE_LEND);
	lending->tracer = (struct mapper_trace){ &MAPPER_HOST, lending->mapper, &vm->trace };
	space_init(&lending->space, vm->n_vcpus, config->max_mappings, is_traced ? &MAPPER_TRACE : &MAPPER_HOST,
		   is_traced ? (void *)&lending->tracer : (void *)lending->mapper, &EVENTS, lending);
	lending->space.can_fault = true;
	for (unsigned int i = 0; i < vm->n_vcpus; i++)
		lending->space.can_fault &= machine_check_set_up(vm->vcpus[i].fd);
	for (size_t i = 0; ok && i < config->n_windows; i++)
		ok = add_window(lending, &config->windows[i], error);
	if (ok) {
		start(lending);
		return lending;
	}
	lending_free(lending);
	return NULL;
}

static void give_order(struct lending *lending, enum lending_order order)
{
	pthread_mutex_lock(&lending->order_lock);
	atomic_store(&lending->order, order);
	lending_wake(lending);
	while (order == LENDING_RESET && atomic_load(&lending->order) == LENDING_RESET)
		pthread_cond_wait(&lending->order_done, &lending->order_lock);
	pthread_mutex_unlock(&lending->order_lock);
}

void lending_reset(struct lending *lending)
{
	if (lending)
		give_order(lending, LENDING_RESET);
}

void lending_free(struct lending *lending)
{
	if (!lending)
		return;
	if (lending->started) {
		give_order(lending, LENDING_END);
		worker_wait(lending->worker);
	}
	worker_free(lending->own);
	/* No vCPU runs: with the ranges goes the last way to what was lent. */
	mapper_host_free(lending->mapper);
	space_fini(&lending->space);
	for (uint32_t i = 0; i < LENDING_MAX_LENDERS; i++) {
		struct lender *lender = &lending->lenders[i];

		if (lender->fd < 0)
			continue;
		session_gone(&lender->session);
		send_out(lender);
		close(lender->fd);
	}
	lent_files_fini(&lending->files);
	if (lending->epoll_fd >= 0)
		close(lending->epoll_fd);
	if (lending->wake_fd >= 0)
		close(lending->wake_fd);
	if (lending->spare_fd >= 0)
		close(lending->spare_fd);
	g_free(lending->copies);
	pthread_cond_destroy(&lending->order_done);
	pthread_mutex_destroy(&lending->order_lock);
	pthread_mutex_destroy(&lending->state_lock);
	g_free(lending);
}
