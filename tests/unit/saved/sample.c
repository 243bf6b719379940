// SPDX-License-Identifier: MIT
#include "saved/sample.h"

#include <string.h>

#include <xen/io/xenbus.h>
#include <xen/io/xs_wire.h>

#include "saved/memory.h"
#include "vmm/layout.h"
#include "xen/domid.h"
#include "xen/xenstore/saved.h"

#define MEMORY_BYTES (UINT64_C(32) << 20)
#define GRANT_FRAMES 1u

static void put_domain(struct sample *sample, struct saved_domain *domain)
{
	struct layout layout;

	g_assert_true(layout_init(&layout, MEMORY_BYTES, LAYOUT_LOW_RAM_DEFAULT, NULL));
	*domain = (struct saved_domain){
		.name = (char *)(uintptr_t) "sample",
		.uuid = (char *)(uintptr_t) "01234567-89ab-cdef-0123-456789abcdef",
		.kernel = (char *)(uintptr_t) "/boot/vmlinuz",
		.saved_s = 1700000000,
		.memory_bytes = MEMORY_BYTES,
		.low_memory_bytes = LAYOUT_LOW_RAM_DEFAULT,
		.n_vcpus = 1,
		.max_vcpus = 1,
		.max_grant_frames = GRANT_FRAMES,
		.xen_version = 4u << 16 | 17u,
		.layout = saved_layout_of(&layout),
	};
	saved_domain_write(sample->sections[SAVED_DOMAIN], domain);
	sample->memory_bytes = saved_memory_bytes(&layout);
}

static void put_hypervisor(struct sample *sample)
{
	g_autofree struct saved_hypervisor *hypervisor = g_new0(struct saved_hypervisor, 1);
	g_autofree uint8_t *pages = g_malloc0(pages_number(GRANT_FRAMES) * LAYOUT_PAGE_BYTES);
	struct evtchn_table *events = &hypervisor->events;
	uint32_t port, other;

	evtchn_init(events, 1);
	hypervisor->is_64bit = true;
	g_assert_cmpint(evtchn_backend_reserve(events, &hypervisor->xenstore_port), ==, 0);
	g_assert_cmpint(evtchn_backend_reserve(events, &hypervisor->console_port), ==, 0);
	g_assert_cmpint(evtchn_bind_virq(events, 0, 0, &port), ==, 0);
	g_assert_cmpint(evtchn_bind_ipi(events, 0, &port), ==, 0);
	g_assert_cmpint(evtchn_alloc_unbound(events, GUEST_DOMID, GUEST_DOMID, &port), ==, 0);
	g_assert_cmpint(evtchn_bind_interdomain(events, GUEST_DOMID, port, &other), ==, 0);
	hypervisor->n_grant_frames = hypervisor->grant_version = 1;
	for (unsigned int i = 0; i < PAGES_MAX; i++)
		hypervisor->page_gfns[i] = PAGES_NOWHERE;
	hypervisor->page_gfns[0] = 0x100;
	hypervisor->pages = pages;
	memset(&hypervisor->timers, 0xff, sizeof(hypervisor->timers));
	memset(hypervisor->timers.period_ns, 0, sizeof(hypervisor->timers.period_ns));
	saved_hypervisor_write(sample->sections[SAVED_HYPERVISOR], hypervisor, pages_number(GRANT_FRAMES));
}

static void put_store(struct sample *sample)
{
	struct xenstore *store = xenstore_new(NULL);
	struct xs_conn *conn = xs_conn_new(store, GUEST_DOMID, NULL, NULL);
	const char *const owner[] = { "n1" };
	static const struct {
		struct xsd_sockmsg header;
		char payload[24];
	} requests[] = {
		{ { .type = XS_WATCH, .len = 7 }, "data\0t" },
		{ { .type = XS_TRANSACTION_START, .len = 1 }, "" },
		{ { .type = XS_WRITE, .tx_id = 1, .len = 7 }, "data/ab" },
	};

	g_assert_cmpint(xenstore_write(store, "/local/domain/1/data/x", "1", 1), ==, 0);
	g_assert_cmpint(xenstore_set_permissions(store, "/local/domain/1/data", owner, 1), ==, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(requests); i++) {
		xs_conn_feed(conn, &requests[i].header, sizeof(requests[i].header));
		xs_conn_feed(conn, requests[i].payload, requests[i].header.len);
	}
	xenstore_save(store, conn, sample->sections[SAVED_XENSTORE]);
	xs_conn_free(conn);
	xenstore_free(store);
}

/* One that is written, in use, and a snapshot to which two runs were written. */
static void put_disks(struct sample *sample)
{
	const struct saved_run runs[] = { { 8, 16 }, { 24, 1 } };
	g_autoptr(GPtrArray) disks = g_ptr_array_new_with_free_func(saved_disk_free);

	for (unsigned int i = 0; i < 2; i++) {
		struct saved_disk *disk = saved_disk_new();

		disk->words = g_strdup_printf("vdev=xvd%c,access=rw,%starget=/disk", 'a' + (int)i, i == 1 ? "snapshot=on," : "");
		disk->n_sectors = 2048;
		disk->changed_ns = 1700000000000000001;
		disk->bus = i == 0 ? (struct xenbus_saved){ XenbusStateConnected, XenbusStateConnected, true } :
				     (struct xenbus_saved){ XenbusStateInitWait, XenbusStateInitialising, false };
		disk->has_data = i == 1;
		if (disk->has_data)
			g_array_append_vals(disk->runs, runs, G_N_ELEMENTS(runs));
		g_ptr_array_add(disks, disk);
	}
	saved_disks_write(sample->sections[SAVED_DISKS], disks);
	sample->disk_bytes = saved_disks_data_bytes(disks, disks->len);
}

void sample_init(struct sample *sample)
{
	const struct saved_clock clock = { .clock_ns = 5000000000, .host_tsc = 1u << 30, .tsc_khz = 2000000 };
	const struct saved_rings rings = { .xenstore_had_request = true };
	g_autofree struct saved_vcpu *vcpu = g_new0(struct saved_vcpu, 1);
	struct saved_domain domain;

	*sample = (struct sample){ 0 };
	for (enum saved_kind kind = SAVED_DOMAIN; kind < SAVED_N_KINDS; kind++)
		sample->sections[kind] = g_byte_array_new();
	put_domain(sample, &domain);
	saved_clock_write(sample->sections[SAVED_CLOCK], &clock);
	put_hypervisor(sample);
	put_store(sample);
	saved_rings_write(sample->sections[SAVED_RINGS], &rings);
	put_disks(sample);
	vcpu->n_msrs = 2;
	vcpu->msrs[1].index = 0x277;
	vcpu->n_cpuid = 1;
	vcpu->cpuid[0].ebx = 0x756e6547;
	saved_vcpu_write(sample->sections[SAVED_VCPU], vcpu);
	for (uint64_t i = 0; i < SAVED_N_CHUNKS(sample->memory_bytes); i++)
		saved_put_u64(sample->sections[SAVED_SUMS], 0);
	saved_put_u64(sample->sections[SAVED_SUMS], 0);
}

void sample_clear(struct sample *sample)
{
	for (enum saved_kind kind = SAVED_DOMAIN; kind < SAVED_N_KINDS; kind++)
		g_byte_array_unref(sample->sections[kind]);
}

GByteArray *sample_file(const struct sample *sample, uint64_t *file_bytes)
{
	GByteArray *file = g_byte_array_new();
	struct saved_header header = { .memory_bytes = sample->memory_bytes, .disk_bytes = sample->disk_bytes };

	for (enum saved_kind kind = SAVED_DOMAIN; kind < SAVED_N_KINDS; kind++) {
		size_t begin = saved_section_begin(file, kind);

		saved_put_bytes(file, sample->sections[kind]->data, sample->sections[kind]->len);
		saved_section_end(file, begin);
	}
	header.sections_bytes = file->len;
	header.memory_offset = (SAVED_PAGE_BYTES + header.sections_bytes + SAVED_PAGE_BYTES - 1) / SAVED_PAGE_BYTES * SAVED_PAGE_BYTES;
	uint8_t page[SAVED_PAGE_BYTES];
	saved_header_write(page, &header);
	g_byte_array_prepend(file, page, sizeof(page));
	*file_bytes = saved_header_file_bytes(&header);
	return file;
}
