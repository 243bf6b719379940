// SPDX-License-Identifier: MIT
/* Hypercalls through their dispatch, in both word sizes: arguments, errnos, and that no input does harm. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <glib.h>

#include "xen/abi_layout.h"
#include "xen/abi_layout_headers.h"
#include "xen/abi_table.h"
#include "xen/fake_kvm.h"
#include "xen/shared_info.h"

#define ARG  UINT64_C(0x200000)
#define LIST UINT64_C(0x201000)

static void test_unknown(void)
{
	fake_set_up(false);
	const struct hypercall user = { .number = __HYPERVISOR_xen_version, .is_64bit = true, .cpl = 3 };

	g_assert_cmpint(fake_call(true, 0, 0, 0, 0), ==, -XEN_ENOSYS);
	g_assert_cmpint(fake_call(true, UINT64_MAX, 0, 0, 0), ==, -XEN_ENOSYS);
	g_assert_cmpint(fake_call(true, __HYPERVISOR_sched_op, 99, 0, 0), ==, -XEN_ENOSYS);
	g_assert_cmpint(fake_call(true, __HYPERVISOR_vcpu_op, 99, 7, 0), ==, -XEN_ENOENT);
	g_assert_cmpint(hypercall_dispatch(&fake.vm.vcpus[0], &user), ==, -XEN_EPERM);
	fake_tear_down();
}

/* A guest that calls what there is not, without end, has one line in ten seconds. */
static void test_unknown_lines(void)
{
	enum { CALLS = 2000 };
	int kept_fd = dup(STDERR_FILENO), log_fd = memfd_create("log", MFD_CLOEXEC);
	char log[4096] = "";
	unsigned int n_lines = 0;

	fake_set_up(false);
	fflush(stderr);
	g_assert_cmpint(dup2(log_fd, STDERR_FILENO), ==, STDERR_FILENO);
	for (unsigned int turn = 0; turn < 2; turn++) {
		for (unsigned int i = 0; i < CALLS; i++)
			(void)fake_call(true, i % 2 ? UINT64_MAX - i : __HYPERVISOR_sched_op, 99 + i, 0, 0);
		/* The last line is eleven seconds old. */
		fake.vm.record->exec_ns -= UINT64_C(11000000000);
	}
	fflush(stderr);
	g_assert_cmpint(dup2(kept_fd, STDERR_FILENO), ==, STDERR_FILENO);
	close(kept_fd);
	g_assert_cmpint(pread(log_fd, log, sizeof(log) - 1, 0), >, 0);
	close(log_fd);
	for (const char *c = log; *c; c++)
		n_lines += *c == '\n';
	g_assert_cmpuint(n_lines, ==, 2);
	g_assert_nonnull(strstr(log, "does not exist here"));
	fake_tear_down();
}

static void write_reservation(bool is_64bit, uint64_t n, uint32_t order, uint64_t first_gfn)
{
	struct xen_memory_reservation request = { .nr_extents = n, .extent_order = order, .domid = DOMID_SELF };

	memcpy(&request.extent_start, &(uint64_t){ LIST }, sizeof(uint64_t));
	abi_layout_encode(ABI_xen_memory_reservation, is_64bit, &request, fake_at(ARG));
	for (uint64_t i = 0; i < n; i++) {
		uint64_t gfn = first_gfn + (i << order);

		memcpy((uint8_t *)fake_at(LIST) + i * (is_64bit ? 8 : 4), &gfn, is_64bit ? 8 : 4);
	}
}

static void test_balloon(gconstpointer word)
{
	bool is_64bit = GPOINTER_TO_INT(word);

	fake_set_up(false);
	*(domid_t *)fake_at(ARG) = DOMID_SELF;
	int64_t all = fake_call(is_64bit, __HYPERVISOR_memory_op, XENMEM_current_reservation, ARG, 0);
	g_assert_cmpint(all, ==, fake_call(is_64bit, __HYPERVISOR_memory_op, XENMEM_maximum_reservation, ARG, 0));
	memset(fake_at(0x400000), 0x55, 4096);
	write_reservation(is_64bit, 4, 1, 0x400);
	g_assert_cmpint(fake_call(is_64bit, __HYPERVISOR_memory_op, XENMEM_populate_physmap, ARG, 0), ==, 0);
	g_assert_cmpint(fake_call(is_64bit, __HYPERVISOR_memory_op, XENMEM_decrease_reservation, ARG, 0), ==, 4);
	g_assert_cmpint(fake_call(is_64bit, __HYPERVISOR_memory_op, XENMEM_decrease_reservation, ARG, 0), ==, 0);
	g_assert_cmpint(fake_call(is_64bit, __HYPERVISOR_memory_op, XENMEM_decrease_reservation | 3 << 6, ARG, 0), ==, 3);
	g_assert_cmpuint(*(uint8_t *)fake_at(0x400000), ==, 0);
	write_reservation(is_64bit, 4, 1, 0x400);
	g_assert_cmpint(fake_call(is_64bit, __HYPERVISOR_memory_op, XENMEM_populate_physmap, ARG, 0), ==, 4);
	write_reservation(is_64bit, 1, 10, 0x400);
	g_assert_cmpint(fake_call(is_64bit, __HYPERVISOR_memory_op, XENMEM_decrease_reservation, ARG, 0), ==, 0);
	fake_tear_down();
}

/* What one call does has an end: the guest asks again for the rest, or is told that it asks for too much. */
static void test_work_of_a_call(gconstpointer word)
{
	enum { EXTENTS = 5000, MOST = 4096 };
	const bool is_64bit = GPOINTER_TO_INT(word);

	fake_set_up(false);
	write_reservation(is_64bit, EXTENTS, 0, 0x400);
	g_assert_cmpint(fake_call(is_64bit, __HYPERVISOR_memory_op, XENMEM_decrease_reservation, ARG, 0), ==, MOST);
	g_assert_cmpint(fake_call(is_64bit, __HYPERVISOR_memory_op, XENMEM_decrease_reservation | MOST << 6, ARG, 0), ==, EXTENTS);
	g_assert_cmpint(fake_call(is_64bit, __HYPERVISOR_memory_op, XENMEM_populate_physmap, ARG, 0), ==, MOST);
	g_assert_cmpint(fake_call(is_64bit, __HYPERVISOR_memory_op, XENMEM_populate_physmap | MOST << 6, ARG, 0), ==, EXTENTS);
	memset(fake_at(LIST), 0, 0x100000);
	g_assert_cmpint(fake_call(is_64bit, __HYPERVISOR_grant_table_op, GNTTABOP_copy, LIST, MOST), ==, 0);
	g_assert_cmpint(fake_call(is_64bit, __HYPERVISOR_grant_table_op, GNTTABOP_copy, LIST, MOST + 1), ==, -XEN_EINVAL);
	g_assert_cmpint(fake_call(is_64bit, __HYPERVISOR_grant_table_op, GNTTABOP_swap_grant_ref, LIST, MOST + 1), ==, -XEN_EINVAL);
	g_assert_cmpint(fake_call(is_64bit, __HYPERVISOR_multicall, LIST, 1025, 0), ==, -XEN_EINVAL);
	fake_tear_down();
}

static void test_physmap(gconstpointer word)
{
	bool is_64bit = GPOINTER_TO_INT(word);
	struct xen_add_to_physmap add = { .domid = DOMID_SELF, .space = XENMAPSPACE_grant_table, .idx = 1, .gpfn = 0x500 };
	struct xen_remove_from_physmap out = { .domid = DOMID_SELF, .gpfn = 0x500 };

	fake_set_up(false);
	abi_layout_encode(ABI_xen_add_to_physmap, is_64bit, &add, fake_at(ARG));
	g_assert_cmpint(fake_call(is_64bit, __HYPERVISOR_memory_op, XENMEM_add_to_physmap, ARG, 0), ==, 0);
	g_assert_cmpuint(fake.vm.xen->grants.n_frames, ==, 2);
	g_assert_cmpuint(fake.vm.xen->pages.gfn[2], ==, 0x500);
	abi_layout_encode(ABI_xen_remove_from_physmap, is_64bit, &out, fake_at(ARG));
	g_assert_cmpint(fake_call(is_64bit, __HYPERVISOR_memory_op, XENMEM_remove_from_physmap, ARG, 0), ==, 0);
	g_assert_cmpint(fake_call(is_64bit, __HYPERVISOR_memory_op, XENMEM_remove_from_physmap, ARG, 0), ==, -XEN_ENOENT);
	add.space = XENMAPSPACE_gmfn_foreign;
	abi_layout_encode(ABI_xen_add_to_physmap, is_64bit, &add, fake_at(ARG));
	g_assert_cmpint(fake_call(is_64bit, __HYPERVISOR_memory_op, XENMEM_add_to_physmap, ARG, 0), ==, -XEN_ENOSYS);
	fake_tear_down();
}

/* The number of ports follows the layout of shared_info, which follows who sets the callback. */
static void test_ports(gconstpointer word)
{
	bool is_64bit = GPOINTER_TO_INT(word);
	struct xen_hvm_param callback = { .domid = DOMID_SELF, .index = HVM_PARAM_CALLBACK_IRQ,
					  .value = (uint64_t)HVM_PARAM_CALLBACK_TYPE_VECTOR << 56 | 0xf3 };
	struct evtchn_bind_ipi *bind;
	uint32_t last = 0;

	fake_set_up(false);
	memcpy(fake_at(ARG), &callback, sizeof(callback));
	g_assert_cmpint(fake_call(is_64bit, __HYPERVISOR_hvm_op, HVMOP_set_param, ARG, 0), ==, 0);
	g_assert_true(fake.long_mode == is_64bit);
	bind = fake_at(ARG);
	for (;;) {
		*bind = (struct evtchn_bind_ipi){ .vcpu = 0 };
		int64_t rc = fake_call(is_64bit, __HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi, ARG, 0);

		if (rc != 0) {
			g_assert_cmpint(rc, ==, -XEN_ENOSPC);
			break;
		}
		g_assert_cmpuint(bind->port, >, last);
		last = bind->port;
	}
	g_assert_cmpuint(last, ==, shared_info_ports(is_64bit) - 1);
	fake_tear_down();
}

static void test_multicall(gconstpointer word)
{
	bool is_64bit = GPOINTER_TO_INT(word);
	struct multicall_entry entries[2] = {
		{ .op = __HYPERVISOR_xen_version, .args = { XENVER_version } },
		{ .op = __HYPERVISOR_multicall, .args = { 0, 0 } },
	};
	size_t len_bytes = abi_layout_bytes(ABI_multicall_entry, is_64bit);

	fake_set_up(false);
	for (size_t i = 0; i < 2; i++)
		abi_layout_encode(ABI_multicall_entry, is_64bit, &entries[i], (uint8_t *)fake_at(ARG) + i * len_bytes);
	g_assert_cmpint(fake_call(is_64bit, __HYPERVISOR_multicall, ARG, 2, 0), ==, 0);
	for (size_t i = 0; i < 2; i++)
		abi_layout_decode(ABI_multicall_entry, is_64bit, (uint8_t *)fake_at(ARG) + i * len_bytes, &entries[i]);
	g_assert_cmpuint(entries[0].result, ==, 4u << 16 | 17);
	g_assert_cmpint((int32_t)entries[1].result, ==, -XEN_EINVAL);
	fake_tear_down();
}

static void test_copy(gconstpointer word)
{
	bool is_64bit = GPOINTER_TO_INT(word);
	struct gnttab_copy request = { .len = 100, .flags = GNTCOPY_source_gref };
	grant_entry_v1_t *entries;

	fake_set_up(false);
	entries = fake.vm.xen->grants.shared;
	entries[33] = (grant_entry_v1_t){ GTF_permit_access | GTF_readonly, GUEST_DOMID, 0x600 };
	memset(fake_at(0x600000), 7, 4096);
	request.source.u.ref = 33;
	request.source.domid = request.dest.domid = DOMID_SELF;
	request.dest.u.gmfn = 0x700;
	request.dest.offset = 8;
	abi_layout_encode(ABI_gnttab_copy, is_64bit, &request, fake_at(ARG));
	g_assert_cmpint(fake_call(is_64bit, __HYPERVISOR_grant_table_op, GNTTABOP_copy, ARG, 1), ==, 0);
	abi_layout_decode(ABI_gnttab_copy, is_64bit, fake_at(ARG), &request);
	g_assert_cmpint(request.status, ==, GNTST_okay);
	g_assert_cmpuint(((uint8_t *)fake_at(0x700000))[8], ==, 7);
	g_assert_cmpuint(((uint8_t *)fake_at(0x700000))[108], ==, 0);
	g_assert_cmpuint(entries[33].flags, ==, GTF_permit_access | GTF_readonly);
	fake_tear_down();
}

static void test_vcpus_and_timers(void)
{
	fake_set_up(false);
	g_assert_cmpint(fake_call(true, __HYPERVISOR_vcpu_op, VCPUOP_is_up, 1, 0), ==, 0);
	g_assert_cmpint(fake_call(true, __HYPERVISOR_vcpu_op, VCPUOP_up, 1, 0), ==, -XEN_EINVAL);
	memset(fake_at(ARG), 0, 4096);
	struct vcpu_hvm_context *context = fake_at(ARG);
	context->mode = VCPU_HVM_MODE_64B;
	g_assert_cmpint(fake_call(true, __HYPERVISOR_vcpu_op, VCPUOP_initialise, 1, ARG), ==, -XEN_EINVAL);
	context->cpu_regs.x86_64.cr0 = 0x80000001;
	context->cpu_regs.x86_64.cr4 = 0x20;
	context->cpu_regs.x86_64.efer = 0x500;
	g_assert_cmpint(fake_call(true, __HYPERVISOR_vcpu_op, VCPUOP_initialise, 1, ARG), ==, 0);
	g_assert_cmpint(fake_call(true, __HYPERVISOR_vcpu_op, VCPUOP_initialise, 1, ARG), ==, -XEN_EEXIST);
	g_assert_cmpint(fake_call(true, __HYPERVISOR_vcpu_op, VCPUOP_up, 1, 0), ==, 0);
	g_assert_cmpint(fake_call(true, __HYPERVISOR_vcpu_op, VCPUOP_is_up, 1, 0), ==, 1);
	g_assert_cmpint(fake_call(true, __HYPERVISOR_vcpu_op, VCPUOP_down, 1, 0), ==, 0);
	g_assert_cmpuint(fake.ends, ==, 0);
	g_assert_cmpint(fake_call(true, __HYPERVISOR_vcpu_op, VCPUOP_down, 0, 0), ==, 0);
	g_assert_cmpuint(fake.outcome, ==, OUTCOME_POWEROFF);

	*(struct sched_watchdog *)fake_at(ARG) = (struct sched_watchdog){ .id = 0, .timeout = 1000 };
	g_assert_cmpint(fake_call(true, __HYPERVISOR_sched_op, SCHEDOP_watchdog, ARG, 0), ==, 1);
	g_assert_cmpint(fake_call(true, __HYPERVISOR_sched_op, SCHEDOP_watchdog, ARG, 0), ==, 2);
	g_assert_cmpint(fake_call(true, __HYPERVISOR_sched_op, SCHEDOP_watchdog, ARG, 0), ==, -XEN_ENOSPC);
	*(struct sched_watchdog *)fake_at(ARG) = (struct sched_watchdog){ .id = 1, .timeout = 0 };
	g_assert_cmpint(fake_call(true, __HYPERVISOR_sched_op, SCHEDOP_watchdog, ARG, 0), ==, 0);
	g_assert_cmpint(fake_call(true, __HYPERVISOR_sched_op, SCHEDOP_watchdog, ARG, 0), ==, -XEN_EINVAL);
	fake_tear_down();
}

struct server {
	unsigned int calls;
	bool leaves_work;
};

static bool serve(void *opaque)
{
	struct server *server = opaque;

	/* It may do anything, so the domain's lock is free. */
	g_assert_cmpint(pthread_mutex_trylock(&fake.vm.xen->lock), ==, 0);
	pthread_mutex_unlock(&fake.vm.xen->lock);
	server->calls++;
	return !server->leaves_work;
}

static bool main_thread_is_woken(const struct evtchn_backend *backend)
{
	uint64_t count;

	return read(backend->from_guest_fd, &count, sizeof(count)) == sizeof(count);
}

static int64_t send_to(uint32_t port)
{
	*(struct evtchn_send *)fake_at(ARG) = (struct evtchn_send){ .port = port };
	return fake_call(true, __HYPERVISOR_event_channel_op, EVTCHNOP_send, ARG, 0);
}

/* A send on the xenstore's port is served by who sends; the main thread is woken for what is left. */
static void test_serve(void)
{
	struct server server = { 0 };

	fake_set_up(false);
	const uint32_t port = fake.vm.xen->xenstore_port;
	const struct evtchn_backend *backend = evtchn_kvm_backend(fake.vm.xen->events_kvm, port);
	g_assert_nonnull(backend);
	/* Nobody serves yet: as any back end. */
	g_assert_cmpint(send_to(port), ==, 0);
	g_assert_true(main_thread_is_woken(backend));
	evtchn_kvm_serve(fake.vm.xen->events_kvm, port, serve, &server);
	g_assert_cmpint(send_to(port), ==, 0);
	g_assert_cmpuint(server.calls, ==, 1);
	g_assert_false(main_thread_is_woken(backend));
	server.leaves_work = true;
	g_assert_cmpint(send_to(port), ==, 0);
	g_assert_cmpuint(server.calls, ==, 2);
	g_assert_true(main_thread_is_woken(backend));
	/* A device's is KVM's to send on; it comes to us from a multicall, and is not lost. */
	uint32_t device_port = 0;
	g_assert_cmpint(evtchn_alloc_unbound(&fake.vm.xen->events, DOMID_SELF, 0, &device_port), ==, 0);
	g_assert_cmpint(evtchn_backend_bind(&fake.vm.xen->events, device_port), ==, 0);
	g_assert_cmpint(evtchn_kvm_sync(fake.vm.xen->events_kvm, device_port), ==, 0);
	g_assert_cmpint(send_to(device_port), ==, 0);
	g_assert_true(main_thread_is_woken(evtchn_kvm_backend(fake.vm.xen->events_kvm, device_port)));
	*(struct evtchn_bind_vcpu *)fake_at(ARG) = (struct evtchn_bind_vcpu){ .port = port, .vcpu = 1 };
	g_assert_cmpint(fake_call(true, __HYPERVISOR_event_channel_op, EVTCHNOP_bind_vcpu, ARG, 0), ==, 0);
	g_assert_cmpint(send_to(port), ==, 0);
	g_assert_cmpuint(server.calls, ==, 3);
	*(struct evtchn_close *)fake_at(ARG) = (struct evtchn_close){ .port = port };
	g_assert_cmpint(fake_call(true, __HYPERVISOR_event_channel_op, EVTCHNOP_close, ARG, 0), ==, 0);
	g_assert_cmpint(send_to(port), ==, -XEN_EINVAL);
	g_assert_cmpuint(server.calls, ==, 3);
	fake_tear_down();
}

static int64_t shut_down(unsigned int reason)
{
	*(struct sched_shutdown *)fake_at(ARG) = (struct sched_shutdown){ .reason = reason };
	return fake_call(true, __HYPERVISOR_sched_op, SCHEDOP_shutdown, ARG, 0);
}

static int64_t place(unsigned int space, uint64_t gfn)
{
	struct xen_add_to_physmap add = { .domid = DOMID_SELF, .space = space, .gpfn = gfn };

	abi_layout_encode(ABI_xen_add_to_physmap, true, &add, fake_at(ARG));
	return fake_call(true, __HYPERVISOR_memory_op, XENMEM_add_to_physmap, ARG, 0);
}

/* The guest gets 0, and what it had set up is gone, as often as it likes; what it has given back stays with the host. */
static void test_soft_reset(void)
{
	fake_set_up(false);
	struct xen_domain *xen = fake.vm.xen;

	write_reservation(true, 1, 0, 0x800);
	g_assert_cmpint(fake_call(true, __HYPERVISOR_memory_op, XENMEM_decrease_reservation, ARG, 0), ==, 1);
	const uint64_t pages = reservation_pages(&xen->reservation);
	for (unsigned int i = 0; i < 3; i++) {
		g_autoptr(GError) error = NULL;

		memset(fake_at(0x400000), 0x55, 4096);
		g_assert_cmpint(place(XENMAPSPACE_shared_info, 0x500), ==, 0);
		g_assert_cmpint(place(XENMAPSPACE_grant_table, 0x501), ==, 0);
		*(struct evtchn_bind_ipi *)fake_at(ARG) = (struct evtchn_bind_ipi){ .vcpu = 1 };
		g_assert_cmpint(fake_call(true, __HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi, ARG, 0), ==, 0);
		/* Both reserved ports are closed, and one has another use. */
		for (uint32_t port = xen->xenstore_port; port <= xen->console_port; port++) {
			*(struct evtchn_close *)fake_at(ARG) = (struct evtchn_close){ .port = port };
			g_assert_cmpint(fake_call(true, __HYPERVISOR_event_channel_op, EVTCHNOP_close, ARG, 0), ==, 0);
		}
		*(struct evtchn_bind_ipi *)fake_at(ARG) = (struct evtchn_bind_ipi){ .vcpu = 0 };
		g_assert_cmpint(fake_call(true, __HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi, ARG, 0), ==, 0);
		struct vcpu_info *info = fake.vm.vcpus[1].vcpu_info;
		info->time.tsc_to_system_mul = 77;
		info->evtchn_upcall_pending = 1;

		g_assert_cmpint(shut_down(SHUTDOWN_soft_reset), ==, 0);
		g_assert_cmpuint(fake.soft_resets, ==, i + 1);
		g_assert_cmpuint(fake.ends, ==, 0);
		g_assert_true(xen_domain_soft_reset(xen, &error));
		g_assert_no_error(error);

		for (uint32_t port = 1; port < EVTCHN_N_PORTS; port++)
			g_assert_true(evtchn_is_bound(&xen->events, port) ==
				      (port == xen->xenstore_port || port == xen->console_port));
		g_assert_cmpint(evtchn_view(&xen->events, xen->xenstore_port).target, ==, EVTCHN_VIEW_SERVED);
		g_assert_nonnull(evtchn_kvm_backend(xen->events_kvm, xen->xenstore_port));
		g_assert_nonnull(evtchn_kvm_backend(xen->events_kvm, xen->console_port));
		for (unsigned int page = 0; page < PAGES_MAX; page++)
			g_assert_cmpuint(xen->pages.gfn[page], ==, PAGES_NOWHERE);
		g_assert_cmpuint(*(uint8_t *)fake_at(0x500000), ==, 0);
		g_assert_cmpuint(*(uint8_t *)fake_at(0x400000), ==, 0x55);
		g_assert_cmpuint(reservation_pages(&xen->reservation), ==, pages);
		info = fake.vm.vcpus[1].vcpu_info;
		g_assert_cmpuint(info->time.tsc_to_system_mul, ==, 77);
		g_assert_cmpuint(info->evtchn_upcall_pending, ==, 0);
		atomic_store(&fake.vm.stopping, false);
	}
	fake_tear_down();

	fake_set_up(true);
	(void)shut_down(SHUTDOWN_soft_reset);
	g_assert_cmpuint(fake.soft_resets, ==, 0);
	g_assert_cmpuint(fake.outcome, ==, OUTCOME_CRASH);
	fake_tear_down();
}

/* Every operation, with arguments from anywhere: no crash, no sanitizer's complaint, and an end. */
static void test_random(void)
{
	fake_set_up(false);
	for (int i = 0; i < 60000; i++) {
		uint64_t number = (uint64_t)g_test_rand_int_range(0, 45);
		const struct hypercall_family *family = abi_table_family(number);
		uint64_t arguments[3];
		uint32_t *argument = fake_at(ARG);

		for (int j = 0; j < 32; j++)
			argument[j] = g_test_rand_int_range(0, 3) ? (uint32_t)g_test_rand_int_range(0, 20) : (uint32_t)g_test_rand_int();
		for (int j = 0; j < 3; j++) {
			const uint64_t some[] = { ARG, ARG, (uint64_t)g_test_rand_int_range(0, 6), 0, UINT64_MAX, (uint32_t)g_test_rand_int(),
						  ARG + 4090 };

			arguments[j] = some[g_test_rand_int_range(0, G_N_ELEMENTS(some))];
		}
		if (family && family->ops)
			arguments[family->op_argument] = family->ops[g_test_rand_int_range(0, family->n_ops)].number;
		(void)fake_call(g_test_rand_int_range(0, 2), number, arguments[0], arguments[1], arguments[2]);
		atomic_store(&fake.vm.stopping, false);
	}
	fake_tear_down();
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		GTestDataFunc fn;
	} tests[] = {
		{ "balloon", test_balloon }, { "physmap", test_physmap }, { "ports", test_ports }, { "multicall", test_multicall },
		{ "copy", test_copy }, { "work_of_a_call", test_work_of_a_call },
	};

	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/xen/hypercall/unknown", test_unknown);
	g_test_add_func("/xen/hypercall/unknown_lines", test_unknown_lines);
	for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
		for (int word = 0; word < 2; word++) {
			g_autofree char *path = g_strdup_printf("/xen/hypercall/%s/%d", tests[i].name, word ? 64 : 32);

			g_test_add_data_func(path, GINT_TO_POINTER(word), tests[i].fn);
		}
	g_test_add_func("/xen/hypercall/vcpus_and_timers", test_vcpus_and_timers);
	g_test_add_func("/xen/hypercall/serve", test_serve);
	g_test_add_func("/xen/hypercall/soft_reset", test_soft_reset);
	g_test_add_func("/xen/hypercall/random", test_random);
	return g_test_run();
}
