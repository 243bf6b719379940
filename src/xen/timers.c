// SPDX-License-Identifier: MIT
#include "xen/timers.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <glib-unix.h>

#include "saved/hypervisor.h"
#include "vmm/guest_memory.h"
#include "vmm/vm.h"
#include "vmm/worker.h"
#include "xen/domain.h"

#define NS_PER_S UINT64_C(1000000000)

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Never 0, which means that a timer is not set; a delay past the end of time is the end of time. */
static uint64_t after(uint64_t delay_ns)
{
	uint64_t now = now_ns();

	return delay_ns > (uint64_t)INT64_MAX - now ? (uint64_t)INT64_MAX : now + delay_ns;
}

static void take_earlier(uint64_t *earliest_ns, const uint64_t *times_ns, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (times_ns[i] != 0 && (*earliest_ns == 0 || times_ns[i] < *earliest_ns))
			*earliest_ns = times_ns[i];
}

/* By the main thread, or by the mapper for a vCPU's. syscalls(main, mapper): timerfd_settime */
static void arm(void *opaque)
{
	const struct timers *timers = opaque;
	uint64_t earliest_ns = 0;

	take_earlier(&earliest_ns, timers->singleshot_ns, EVTCHN_MAX_VCPUS);
	take_earlier(&earliest_ns, timers->periodic_ns, EVTCHN_MAX_VCPUS);
	take_earlier(&earliest_ns, timers->watchdog_ns, TIMERS_N_WATCHDOGS);
	const struct itimerspec when = {
		.it_value = { .tv_sec = (time_t)(earliest_ns / NS_PER_S), .tv_nsec = (long)(earliest_ns % NS_PER_S) },
	};
	(void)timerfd_settime(timers->fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void raise_timer(struct xen_domain *xen, unsigned int vcpu)
{
	uint32_t port = xen->events.virq_port[vcpu][VIRQ_TIMER];

	if (port)
		evtchn_kvm_deliver(xen->events_kvm, port);
}

/* syscalls(main): read */
static gboolean on_expiry(gint fd, GIOCondition condition, gpointer opaque)
{
	struct xen_domain *xen = opaque;
	struct timers *timers = &xen->timers;
	uint64_t count, now = now_ns();
	bool dead = false;
	ssize_t got = read(fd, &count, sizeof(count));

	(void)condition, (void)got;
	pthread_mutex_lock(&xen->lock);
	for (unsigned int i = 0; i < EVTCHN_MAX_VCPUS; i++) {
		bool due = timers->singleshot_ns[i] != 0 && timers->singleshot_ns[i] <= now;

		if (due)
			timers->singleshot_ns[i] = 0;
		if (timers->periodic_ns[i] != 0 && timers->periodic_ns[i] <= now) {
			/* Ticks that we slept over are lost, as they are when Xen does not run the vCPU. */
			uint64_t missed = (now - timers->periodic_ns[i]) / timers->period_ns[i];

			timers->periodic_ns[i] += (missed + 1) * timers->period_ns[i];
			due = true;
		}
		if (due)
			raise_timer(xen, i);
	}
	for (unsigned int i = 0; i < TIMERS_N_WATCHDOGS; i++) {
		if (timers->watchdog_ns[i] == 0 || timers->watchdog_ns[i] > now)
			continue;
		timers->watchdog_ns[i] = 0;
		dead = true;
	}
	arm(timers);
	pthread_mutex_unlock(&xen->lock);
	if (dead) {
		record_phase(xen->vm->record, PHASE_SHUTDOWN, NULL);
		vm_end(xen->vm, OUTCOME_CRASH, 0, "the guest's watchdog expired");
	}
	return G_SOURCE_CONTINUE;
}

/* For a vCPU, which holds the domain's lock meanwhile. */
static void arm_elsewhere(struct xen_domain *xen)
{
	worker_run(guest_memory_mapper(xen->vm->memory), arm, &xen->timers);
}

/* syscalls(main): timerfd_create */
bool timers_init(struct xen_domain *xen)
{
	struct timers *timers = &xen->timers;

	timers->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (timers->fd < 0)
		return false;
	timers->source = g_unix_fd_add(timers->fd, G_IO_IN, on_expiry, xen);
	return true;
}

void timers_fini(struct xen_domain *xen)
{
	struct timers *timers = &xen->timers;

	if (timers->source)
		g_source_remove(timers->source);
	if (timers->fd >= 0)
		close(timers->fd);
	timers->source = 0;
	timers->fd = -1;
}

void timers_set_singleshot(struct xen_domain *xen, unsigned int vcpu, uint64_t delay_ns)
{
	xen->timers.singleshot_ns[vcpu] = delay_ns == UINT64_MAX ? 0 : after(delay_ns);
	arm_elsewhere(xen);
}

void timers_set_period(struct xen_domain *xen, unsigned int vcpu, uint64_t period_ns)
{
	xen->timers.period_ns[vcpu] = period_ns;
	xen->timers.periodic_ns[vcpu] = period_ns == 0 ? 0 : after(period_ns);
	arm_elsewhere(xen);
}

void timers_stop_all(struct xen_domain *xen)
{
	struct timers *timers = &xen->timers;

	memset(timers->singleshot_ns, 0, sizeof(timers->singleshot_ns));
	memset(timers->periodic_ns, 0, sizeof(timers->periodic_ns));
	memset(timers->watchdog_ns, 0, sizeof(timers->watchdog_ns));
	arm(timers);
}

int timers_watchdog(struct xen_domain *xen, uint32_t id, uint32_t timeout_s)
{
	uint64_t *watchdogs = xen->timers.watchdog_ns;
	uint64_t delay_ns = timeout_s * NS_PER_S;
	int rc = 0;

	if (id > TIMERS_N_WATCHDOGS)
		return -XEN_EINVAL;
	if (id == 0) {
		unsigned int i = 0;

		while (i < TIMERS_N_WATCHDOGS && watchdogs[i] != 0)
			i++;
		if (i == TIMERS_N_WATCHDOGS)
			return -XEN_ENOSPC;
		watchdogs[i] = after(delay_ns);
		rc = (int)i + 1;
	} else if (watchdogs[id - 1] == 0) {
		return -XEN_EINVAL;
	} else {
		watchdogs[id - 1] = timeout_s == 0 ? 0 : after(delay_ns);
	}
	arm_elsewhere(xen);
	return rc;
}

static void save_times(uint64_t *delays_ns, const uint64_t *times_ns, size_t n, uint64_t now)
{
	for (size_t i = 0; i < n; i++)
		delays_ns[i] = times_ns[i] == 0 ? UINT64_MAX : times_ns[i] > now ? times_ns[i] - now : 0;
}

static void restore_times(uint64_t *times_ns, const uint64_t *delays_ns, size_t n)
{
	for (size_t i = 0; i < n; i++)
		times_ns[i] = delays_ns[i] == UINT64_MAX ? 0 : after(delays_ns[i]);
}

void timers_save(const struct xen_domain *xen, struct saved_timers *saved)
{
	const struct timers *timers = &xen->timers;
	const uint64_t now = now_ns();

	save_times(saved->singleshot_ns, timers->singleshot_ns, EVTCHN_MAX_VCPUS, now);
	save_times(saved->periodic_ns, timers->periodic_ns, EVTCHN_MAX_VCPUS, now);
	save_times(saved->watchdog_ns, timers->watchdog_ns, TIMERS_N_WATCHDOGS, now);
	memcpy(saved->period_ns, timers->period_ns, sizeof(saved->period_ns));
}

void timers_restore(struct xen_domain *xen, const struct saved_timers *saved)
{
	struct timers *timers = &xen->timers;

	restore_times(timers->singleshot_ns, saved->singleshot_ns, EVTCHN_MAX_VCPUS);
	restore_times(timers->periodic_ns, saved->periodic_ns, EVTCHN_MAX_VCPUS);
	restore_times(timers->watchdog_ns, saved->watchdog_ns, TIMERS_N_WATCHDOGS);
	memcpy(timers->period_ns, saved->period_ns, sizeof(timers->period_ns));
	arm(timers);
}
