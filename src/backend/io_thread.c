// SPDX-License-Identifier: MIT
#include "backend/io_thread.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <glib-unix.h>

#include "backend/io_engine.h"
#include "vmm/error.h"
#include "vmm/worker.h"

#define STACK_BYTES (256u << 10)

static const struct worker_kind KIND = { .name = "dom1-io", .filter = SANDBOX_LATER, .stack_bytes = STACK_BYTES };

struct task_list {
	struct io_task *first, **end;
};

struct io_thread {
	struct worker *worker;
	const struct sandbox *sandbox;
	bool use_uring;
	struct io_engine *engine; /* made by the thread itself: io_uring wants one submitter */
	struct io_watch wake;
	int reply_fd;
	guint reply_source;
	struct task_list deferred; /* the I/O thread's alone, and so are the timers */
	struct io_timers timers;

	pthread_mutex_t lock; /* innermost: held for list operations only */
	pthread_cond_t changed;
	bool ready;
	int start_error;
	bool stopping;
	struct task_list posted, replies;
};

static void list_init(struct task_list *list)
{
	list->first = NULL;
	list->end = &list->first;
}

static void list_add(struct task_list *list, struct io_task *task)
{
	task->next = NULL;
	*list->end = task;
	list->end = &task->next;
}

static struct io_task *list_take_all(struct task_list *list)
{
	struct io_task *first = list->first;

	list_init(list);
	return first;
}

static void run_all(struct io_task *task)
{
	while (task) {
		/* It may free itself. */
		struct io_task *next = task->next;

		task->run(task);
		task = next;
	}
}

/* syscalls(main, io, io_sync): write */
static void signal_fd(int fd)
{
	const uint64_t one = 1;
	ssize_t written = write(fd, &one, sizeof(one));

	(void)written;
}

static struct io_task *take_posted(struct io_thread *io)
{
	pthread_mutex_lock(&io->lock);
	struct io_task *tasks = list_take_all(&io->posted);
	pthread_mutex_unlock(&io->lock);
	return tasks;
}

static void on_wake(struct io_watch *watch)
{
	struct io_thread *io = (struct io_thread *)(void *)((char *)watch - offsetof(struct io_thread, wake));

	run_all(take_posted(io));
}

static void on_wake_gone(struct io_watch *watch)
{
	(void)watch;
}

static void run_deferred(struct io_thread *io)
{
	struct io_task *task = list_take_all(&io->deferred);

	while (task) {
		struct io_task *next = task->next;

		task->queued = false;
		task->run(task);
		task = next;
	}
}

static bool is_stopping(struct io_thread *io)
{
	pthread_mutex_lock(&io->lock);
	bool stopping = io->stopping;
	pthread_mutex_unlock(&io->lock);
	return stopping;
}

static int make_engine(struct io_thread *io)
{
	io->engine = io->use_uring ? io_engine_uring_new() : NULL;
	if (!io->engine)
		io->engine = io_engine_sync_new();
	return io->engine ? io->engine->ops->watch(io->engine, &io->wake) : errno;
}

/* The clock is asked when somebody has a timer. */
static void make_turn(struct io_thread *io)
{
	const uint64_t before_ns = io->timers.first ? io_thread_now_ns() : 0;

	io->engine->ops->turn(io->engine, io_timers_left_ns(&io->timers, before_ns), io_timers_n_wanted(&io->timers, before_ns));
	if (io->timers.first)
		io_timers_run(&io->timers, io_thread_now_ns());
	while (io->deferred.first)
		run_deferred(io);
}

/* syscalls(io, io_sync): futex clock_gettime brk */
static void thread_main(void *opaque)
{
	struct io_thread *io = opaque;
	int rc = make_engine(io);

	/* What is needed for an engine is needed once. */
	sandbox_enter_thread(io->sandbox, io->engine ? io->engine->ops->filter : SANDBOX_IO, KIND.name);
	pthread_mutex_lock(&io->lock);
	io->start_error = rc;
	io->ready = true;
	pthread_cond_signal(&io->changed);
	pthread_mutex_unlock(&io->lock);
	while (rc == 0 && !is_stopping(io))
		make_turn(io);
}

/* syscalls(main): read */
static void run_replies(struct io_thread *io)
{
	uint64_t count;
	ssize_t got = read(io->reply_fd, &count, sizeof(count));

	(void)got;
	pthread_mutex_lock(&io->lock);
	struct io_task *tasks = list_take_all(&io->replies);
	pthread_mutex_unlock(&io->lock);
	run_all(tasks);
}

static gboolean on_reply(gint fd, GIOCondition condition, gpointer opaque)
{
	(void)fd, (void)condition;
	run_replies(opaque);
	return G_SOURCE_CONTINUE;
}

/* syscalls(main): eventfd2 */
struct io_thread *io_thread_new(bool use_uring, const struct sandbox *sandbox, GError **error)
{
	struct io_thread *io = g_new0(struct io_thread, 1);

	io->use_uring = use_uring;
	io->sandbox = sandbox;
	pthread_mutex_init(&io->lock, NULL);
	pthread_cond_init(&io->changed, NULL);
	list_init(&io->posted);
	list_init(&io->replies);
	list_init(&io->deferred);
	io->wake = (struct io_watch){ .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .ready = on_wake, .gone = on_wake_gone };
	io->reply_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (io->wake.fd < 0 || io->reply_fd < 0)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "cannot start the I/O thread: %s", g_strerror(errno));
	else if ((io->worker = worker_new(&KIND, sandbox, error))) {
		worker_start(io->worker, thread_main, io);
		io->reply_source = g_unix_fd_add(io->reply_fd, G_IO_IN, on_reply, io);
		return io;
	}
	io_thread_free(io);
	return NULL;
}

bool io_thread_await(struct io_thread *io, GError **error)
{
	pthread_mutex_lock(&io->lock);
	while (!io->ready)
		pthread_cond_wait(&io->changed, &io->lock);
	pthread_mutex_unlock(&io->lock);
	if (io->start_error != 0)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "cannot start the I/O thread: %s", g_strerror(io->start_error));
	return io->start_error == 0;
}

void io_thread_free(struct io_thread *io)
{
	if (!io)
		return;
	if (io->worker) {
		pthread_mutex_lock(&io->lock);
		io->stopping = true;
		pthread_mutex_unlock(&io->lock);
		signal_fd(io->wake.fd);
		worker_free(io->worker);
	}
	if (io->engine)
		io->engine->ops->free(io->engine);
	if (io->reply_source)
		g_source_remove(io->reply_source);
	if (io->wake.fd >= 0)
		close(io->wake.fd);
	if (io->reply_fd >= 0)
		close(io->reply_fd);
	pthread_cond_destroy(&io->changed);
	pthread_mutex_destroy(&io->lock);
	g_free(io);
}

const char *io_thread_engine_name(const struct io_thread *io)
{
	return io->engine->ops->name;
}

struct io_engine *io_thread_engine(struct io_thread *io)
{
	return io->engine;
}

void io_thread_post(struct io_thread *io, struct io_task *task)
{
	pthread_mutex_lock(&io->lock);
	list_add(&io->posted, task);
	pthread_mutex_unlock(&io->lock);
	signal_fd(io->wake.fd);
}

void io_thread_reply(struct io_thread *io, struct io_task *task)
{
	pthread_mutex_lock(&io->lock);
	list_add(&io->replies, task);
	pthread_mutex_unlock(&io->lock);
	signal_fd(io->reply_fd);
}

/* syscalls(main): poll */
void io_thread_wait_reply(struct io_thread *io)
{
	struct pollfd reply = { .fd = io->reply_fd, .events = POLLIN };

	while (poll(&reply, 1, -1) < 0 && errno == EINTR)
		;
	run_replies(io);
}

void io_thread_defer(struct io_thread *io, struct io_task *task)
{
	if (task->queued)
		return;
	task->queued = true;
	list_add(&io->deferred, task);
}

uint64_t io_thread_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void io_thread_set_timer(struct io_thread *io, struct io_timer *timer, uint64_t due_ns)
{
	io_timers_set(&io->timers, timer, due_ns);
}

void io_thread_clear_timer(struct io_thread *io, struct io_timer *timer)
{
	io_timers_clear(&io->timers, timer);
}

void io_thread_hurry(struct io_thread *io)
{
	io_timers_hurry(&io->timers, io_thread_now_ns());
}

void io_thread_count_quiet(struct io_thread *io, int more)
{
	io->timers.n_quiet += (unsigned int)more;
}

unsigned int io_thread_n_wanted(const struct io_thread *io)
{
	return io_timers_n_wanted(&io->timers, io_thread_now_ns());
}
