// SPDX-License-Identifier: MIT
#include "vmm/worker.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/error.h"

struct worker {
	struct worker_kind kind; /* but for its name */
	char name[16];
	const struct sandbox *sandbox;
	pthread_t thread;
	pid_t process;
	_Atomic pid_t tid; /* 0: it has not begun */
	sigset_t blocked;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	void (*fn)(void *opaque); /* NULL: nothing is to be done */
	void *opaque;
	bool ending;
};

static void *work(void *opaque)
{
	struct worker *worker = opaque;

	atomic_store(&worker->tid, (pid_t)syscall(SYS_gettid));
	sandbox_enter_thread(worker->sandbox, worker->kind.filter, worker->name);
	pthread_mutex_lock(&worker->lock);
	for (;;) {
		while (!worker->fn && !worker->ending)
			pthread_cond_wait(&worker->changed, &worker->lock);
		if (!worker->fn)
			break;
		pthread_mutex_unlock(&worker->lock);
		worker->fn(worker->opaque);
		pthread_mutex_lock(&worker->lock);
		worker->fn = NULL;
		pthread_cond_broadcast(&worker->changed);
	}
	pthread_mutex_unlock(&worker->lock);
	return NULL;
}

/* Signals are the main thread's, but for those that tell of what a thread itself did. */
static void choose_signals(struct worker *worker)
{
	static const int own[] = { SIGSYS, SIGSEGV, SIGILL, SIGFPE, SIGABRT, SIGTRAP };

	sigfillset(&worker->blocked);
	for (size_t i = 0; i < G_N_ELEMENTS(own); i++)
		sigdelset(&worker->blocked, own[i]);
	if (!worker->kind.waits_for_traps)
		sigdelset(&worker->blocked, SIGBUS);
	if (worker->kind.kick_signal)
		sigdelset(&worker->blocked, worker->kind.kick_signal);
}

static int start_thread(struct worker *worker)
{
	pthread_attr_t attributes;
	sigset_t old;

	choose_signals(worker);
	pthread_attr_init(&attributes);
	if (worker->kind.stack_bytes)
		pthread_attr_setstacksize(&attributes, worker->kind.stack_bytes);
	pthread_sigmask(SIG_SETMASK, &worker->blocked, &old);
	int rc = pthread_create(&worker->thread, &attributes, work, worker);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attributes);
	return rc;
}

struct worker *worker_new(const struct worker_kind *kind, const struct sandbox *sandbox, GError **error)
{
	struct worker *worker = g_new0(struct worker, 1);

	worker->kind = *kind;
	g_strlcpy(worker->name, kind->name, sizeof(worker->name));
	worker->sandbox = sandbox;
	worker->process = getpid();
	pthread_mutex_init(&worker->lock, NULL);
	pthread_cond_init(&worker->changed, NULL);
	int rc = start_thread(worker);
	if (rc == 0)
		return worker;
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "cannot start the thread %s: %s", kind->name, g_strerror(rc));
	g_free(worker);
	return NULL;
}

void worker_free(struct worker *worker)
{
	if (!worker)
		return;
	pthread_mutex_lock(&worker->lock);
	worker->ending = true;
	pthread_cond_broadcast(&worker->changed);
	pthread_mutex_unlock(&worker->lock);
	pthread_join(worker->thread, NULL);
	pthread_cond_destroy(&worker->changed);
	pthread_mutex_destroy(&worker->lock);
	g_free(worker);
}

void worker_start(struct worker *worker, void (*fn)(void *opaque), void *opaque)
{
	pthread_mutex_lock(&worker->lock);
	while (worker->fn)
		pthread_cond_wait(&worker->changed, &worker->lock);
	worker->fn = fn;
	worker->opaque = opaque;
	pthread_cond_broadcast(&worker->changed);
	pthread_mutex_unlock(&worker->lock);
}

void worker_wait(struct worker *worker)
{
	pthread_mutex_lock(&worker->lock);
	while (worker->fn)
		pthread_cond_wait(&worker->changed, &worker->lock);
	pthread_mutex_unlock(&worker->lock);
}

/* On the stack of who waits for it. */
struct errand {
	void (*fn)(void *opaque);
	void *opaque;
	_Atomic bool done;
};

static void do_errand(void *opaque)
{
	struct errand *errand = opaque;

	errand->fn(errand->opaque);
	/* Seen under the lock, which comes next. */
	atomic_store(&errand->done, true);
}

void worker_run(struct worker *worker, void (*fn)(void *opaque), void *opaque)
{
	struct errand errand = { .fn = fn, .opaque = opaque };

	if (!worker || pthread_equal(worker->thread, pthread_self())) {
		fn(opaque);
		return;
	}
	worker_start(worker, do_errand, &errand);
	/* Not until it has nothing to do: others may come with something in between. */
	pthread_mutex_lock(&worker->lock);
	while (!atomic_load(&errand.done))
		pthread_cond_wait(&worker->changed, &worker->lock);
	pthread_mutex_unlock(&worker->lock);
}

uint64_t worker_blocked_signals(const struct worker *worker)
{
	uint64_t blocked;

	/* The kernel's set is the beginning of the library's. */
	memcpy(&blocked, &worker->blocked, sizeof(blocked));
	return blocked;
}

pthread_t worker_thread(const struct worker *worker)
{
	return worker->thread;
}

void worker_kick(const struct worker *worker)
{
	const pid_t tid = atomic_load(&worker->tid);

	/* pthread_kill() would block all signals for this time, and asks who we are: three more system calls. */
	if (tid)
		(void)syscall(SYS_tgkill, worker->process, tid, worker->kind.kick_signal);
}
