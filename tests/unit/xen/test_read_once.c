// SPDX-License-Identifier: MIT
/*
 * Rings of bytes, entries of the grant table, queues of virtio and arguments in the guest's memory: what the guest writes there
 * is read once, by the instructions as they were compiled: read_watch.h.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <glib.h>
#include <linux/virtio_ring.h>

#include "xen/abi.h"
#include <xen/io/console.h>
#include <xen/io/xs_wire.h>

#include "backend/console_ring.h"
#include "read_watch.h"
#include "virtio/queue.h"
#include "vmm/guest_memory.h"
#include "vmm/record.h"
#include "vmm/trace.h"
#include "xen/evtchn_kvm.h"
#include "xen/grant.h"
#include "xen/xenstore/xenstore.h"
#include "xen/xenstore_ring.h"

#define MIB      (UINT64_C(1) << 20)
#define DESC_GPA (1 * MIB)
#define PAGE     READ_WATCH_BYTES

static struct guest_memory *memory_new(struct layout *layout)
{
	g_assert_true(layout_init(layout, 64 * MIB, 32 * MIB, NULL));
	struct guest_memory *memory = guest_memory_new(layout, NULL);
	g_assert_nonnull(memory);
	return memory;
}

static void test_console(void)
{
	struct xencons_interface *page = aligned_alloc(PAGE, PAGE);
	struct console_ring ring = { .page = page };
	uint8_t out[sizeof(page->out)];

	memset(page, 0, PAGE);
	/* Over the end of the ring, at odd places. */
	page->out_cons = sizeof(page->out) - 101;
	page->out_prod = page->out_cons + 330;
	read_watch_begin((uint8_t *[]){ (uint8_t *)page }, 1);
	const size_t taken_bytes = console_ring_take(&ring, out, sizeof(out));
	g_assert_cmpuint(read_watch_end(NULL), >, 0);
	g_assert_cmpuint(taken_bytes, ==, 330);
	read_watch_expect_once("the console's output", page->out, sizeof(page->out));
	read_watch_expect_once("out_prod", &page->out_prod, sizeof(page->out_prod));
	free(page);
}

static void nothing(void *opaque)
{
	(void)opaque;
}

static void test_xenstore(void)
{
	const struct xsd_sockmsg header = { .type = XS_READ, .req_id = 7, .len = 5 };
	struct evtchn_backend port = { .from_guest_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
				       .to_guest_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	struct xenstore *store = xenstore_new(NULL);
	struct layout layout;
	struct guest_memory *memory = memory_new(&layout);
	struct trace trace = { 0 };
	struct xenstore_domain_interface *page = guest_memory_span(memory, layout.xenstore_gpa, PAGE);
	struct xenstore_ring *ring = xenstore_ring_new(store, memory, &port, record_new(0), &trace, nothing, NULL);
	const uint32_t len_bytes = sizeof(header) + header.len;

	for (uint32_t i = 0; i < len_bytes; i++)
		page->req[i] = i < sizeof(header) ? ((const char *)&header)[i] : "name\0"[i - sizeof(header)];
	page->req_prod = len_bytes;
	read_watch_begin((uint8_t *[]){ (uint8_t *)page }, 1);
	evtchn_backend_wake(&port);
	while (g_main_context_iteration(NULL, FALSE))
		;
	g_assert_cmpuint(read_watch_end(NULL), >, 0);
	g_assert_cmpuint(page->req_cons, ==, len_bytes);
	g_assert_cmpuint(page->rsp_prod, >, 0);
	read_watch_expect_once("a request to the store", page->req, len_bytes);
	xenstore_ring_free(ring);
	close(port.from_guest_fd);
	close(port.to_guest_fd);
	guest_memory_free(memory);
	xenstore_free(store);
}

static void test_virtqueue(void)
{
	struct virtqueue queue = { .size = 8, .enabled = true, .descriptors_gpa = DESC_GPA, .driver_gpa = DESC_GPA + PAGE,
				   .device_gpa = DESC_GPA + 2 * PAGE };
	struct layout layout;
	struct guest_memory *memory = memory_new(&layout);
	uint8_t *descriptors = guest_memory_span(memory, DESC_GPA, 3 * PAGE);
	const struct vring_desc chain[] = { { 2 * MIB, 16, VRING_DESC_F_NEXT, 1 }, { 2 * MIB, 16, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 2 },
					    { 3 * MIB, 64, VRING_DESC_F_WRITE, 0 } };
	struct vring_avail *available = (struct vring_avail *)(void *)(descriptors + PAGE);
	struct virtqueue_chain taken;

	memcpy(descriptors, chain, sizeof(chain));
	available->idx = 1;
	read_watch_begin((uint8_t *[]){ descriptors, descriptors + PAGE, descriptors + 2 * PAGE }, 3);
	const bool is_taken = virtqueue_take(&queue, memory, &taken);
	virtqueue_give(&queue, memory, &taken, 5);
	g_assert_cmpuint(read_watch_end(NULL), >, 0);
	g_assert_true(is_taken);
	g_assert_cmpuint(taken.n_read + taken.n_write, ==, 3);
	read_watch_expect_once("descriptors", descriptors, sizeof(chain));
	read_watch_expect_once("the index of what is available", &available->idx, sizeof(available->idx));
	read_watch_expect_once("the head of a chain", available->ring, sizeof(available->ring[0]));
	guest_memory_free(memory);
}

/* The flags are looked at before and behind the mark, as others' are; what the page is, is read once, and kept. */
static void test_grant(gconstpointer opaque)
{
	const unsigned int version = GPOINTER_TO_UINT(opaque);
	uint8_t *frames = aligned_alloc(PAGE, PAGE);
	g_autofree uint16_t *status = g_malloc0(GRANT_STATUS_FRAMES(1) * PAGE);
	struct grant_table table;
	struct grant_page page;
	grant_entry_v1_t *v1 = (grant_entry_v1_t *)(void *)frames;
	grant_entry_v2_t *v2 = (grant_entry_v2_t *)(void *)frames;

	g_assert_true(grant_table_init(&table, frames, status, 1, 2));
	g_assert_cmpint(grant_table_set_version(&table, version), ==, 0);
	if (version == 1)
		v1[9] = (grant_entry_v1_t){ .flags = GTF_permit_access, .frame = 77 };
	else
		v2[9] = (grant_entry_v2_t){ .sub_page = { .hdr = { GTF_permit_access | GTF_sub_page, 0 }, .page_off = 8, .length = 16, .frame = 77 } };
	read_watch_begin(&frames, 1);
	const int16_t result = grant_acquire(&table, 9, 0, true, version == 1, &page);
	grant_release(&table, 9, true);
	g_assert_cmpuint(read_watch_end(NULL), >, 0);
	g_assert_cmpint(result, ==, GNTST_okay);
	g_assert_cmpuint(page.gfn, ==, 77);
	if (version == 1) {
		read_watch_expect_once("the frame", &v1[9].frame, sizeof(v1[9].frame));
	} else {
		read_watch_expect_once("the frame", &v2[9].sub_page.frame, sizeof(v2[9].sub_page.frame));
		read_watch_expect_once("the offset", &v2[9].sub_page.page_off, sizeof(v2[9].sub_page.page_off));
		read_watch_expect_once("the length", &v2[9].sub_page.length, sizeof(v2[9].sub_page.length));
	}
	grant_table_fini(&table);
	free(frames);
}

/* Arguments of hypercalls and entries of page tables come by this. */
static void test_memory(void)
{
	struct layout layout;
	struct guest_memory *memory = memory_new(&layout);
	uint8_t *page = guest_memory_span(memory, DESC_GPA, PAGE), copy[1001], expected[sizeof(copy)];

	for (unsigned int i = 0; i < PAGE; i++)
		page[i] = (uint8_t)(i * 7);
	for (unsigned int offset = 0; offset < 9; offset++) {
		memcpy(expected, page + offset, sizeof(expected));
		read_watch_begin(&page, 1);
		const bool done = guest_memory_read(memory, DESC_GPA + offset, copy, sizeof(copy));
		g_assert_cmpuint(read_watch_end(NULL), >, 0);
		g_assert_true(done);
		read_watch_expect_once("guest memory", page, PAGE);
		g_assert_cmpint(memcmp(copy, expected, sizeof(expected)), ==, 0);
	}
	guest_memory_free(memory);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/read_once/console", test_console);
	g_test_add_func("/read_once/xenstore", test_xenstore);
	g_test_add_func("/read_once/virtqueue", test_virtqueue);
	g_test_add_data_func("/read_once/grant/v1", GUINT_TO_POINTER(1), test_grant);
	g_test_add_data_func("/read_once/grant/v2", GUINT_TO_POINTER(2), test_grant);
	g_test_add_func("/read_once/memory", test_memory);
	return g_test_run();
}
