// SPDX-License-Identifier: MIT
/* queue.c and common.c, with guest memory and without a guest: what a good driver gets, and what a bad one cannot do. */
#include <string.h>

#include <glib.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>

#include "virtio/common.h"
#include "vmm/guest_memory.h"

#define RAM_BYTES (UINT64_C(32) << 20)
#define SIZE      8u
#define DESC_GPA  UINT64_C(0x100000)
#define AVAIL_GPA UINT64_C(0x101000)
#define USED_GPA  UINT64_C(0x102000)
#define DATA_GPA  UINT64_C(0x103000)
/* No RAM: a lend window could be there. */
#define WINDOW_GPA UINT64_C(0x200000000)

static struct guest_memory *memory_new(void)
{
	g_autoptr(GError) error = NULL;
	struct layout layout;

	g_assert_true(layout_init(&layout, RAM_BYTES, LAYOUT_LOW_RAM_DEFAULT, &error));
	struct guest_memory *memory = guest_memory_new(&layout, &error);
	g_assert_no_error(error);
	return memory;
}

static struct virtqueue queue_new(void)
{
	return (struct virtqueue){ .size = SIZE, .enabled = true, .descriptors_gpa = DESC_GPA, .driver_gpa = AVAIL_GPA,
				   .device_gpa = USED_GPA };
}

static void describe(struct guest_memory *memory, unsigned int n, uint64_t gpa, uint32_t len_bytes, uint16_t flags,
		     uint16_t next)
{
	const struct vring_desc descriptor = { gpa, len_bytes, flags, next };

	g_assert_true(guest_memory_write(memory, DESC_GPA + n * sizeof(descriptor), &descriptor, sizeof(descriptor)));
}

static void offer(struct guest_memory *memory, uint16_t slot, uint16_t head, uint16_t index)
{
	g_assert_true(guest_memory_write(memory, AVAIL_GPA + 4 + 2 * (slot % SIZE), &head, 2));
	g_assert_true(guest_memory_write(memory, AVAIL_GPA + 2, &index, 2));
}

static void test_round_trips(void)
{
	struct guest_memory *memory = memory_new();
	struct virtqueue queue = queue_new();
	struct virtqueue_chain chain;
	uint32_t request = 0x11223344, seen = 0, answer = 0x55667788;

	g_assert_true(virtqueue_is_valid(&queue));
	g_assert_false(virtqueue_take(&queue, memory, &chain));
	/* The request in two pieces, the answer in one; indexes wrap at 2^16. */
	describe(memory, 3, DATA_GPA, 1, VRING_DESC_F_NEXT, 5);
	describe(memory, 5, DATA_GPA + 64, 3, VRING_DESC_F_NEXT, 1);
	describe(memory, 1, DATA_GPA + 128, 4, VRING_DESC_F_WRITE, 0);
	g_assert_true(guest_memory_write(memory, DATA_GPA, &request, 1));
	g_assert_true(guest_memory_write(memory, DATA_GPA + 64, (uint8_t *)&request + 1, 3));
	for (unsigned int i = 0; i < 70000; i++) {
		struct vring_used_elem element;
		uint16_t used;

		offer(memory, (uint16_t)i, 3, (uint16_t)(i + 1));
		g_assert_true(virtqueue_take(&queue, memory, &chain));
		g_assert_false(virtqueue_take(&queue, memory, &chain) || queue.broken);
		g_assert_cmpuint(chain.n_read, ==, 2);
		g_assert_cmpuint(chain.n_write, ==, 1);
		g_assert_true(virtqueue_read(&chain, memory, &seen, sizeof(seen)));
		g_assert_cmphex(seen, ==, request);
		g_assert_true(virtqueue_write(&chain, memory, &answer, sizeof(answer)));
		g_assert_false(virtqueue_write(&chain, memory, &(uint64_t){ 0 }, 8));
		virtqueue_give(&queue, memory, &chain, 4);
		g_assert_true(guest_memory_read(memory, USED_GPA + 2, &used, 2));
		g_assert_cmpuint(used, ==, (uint16_t)(i + 1));
		g_assert_true(guest_memory_read(memory, USED_GPA + 4 + 8 * (i % SIZE), &element, sizeof(element)));
		g_assert_cmpuint(element.id, ==, 3);
		g_assert_cmpuint(element.len, ==, 4);
		g_assert_true(virtqueue_write(&chain, memory, &answer, sizeof(answer)));
	}
	g_assert_true(virtqueue_wants_interrupt(&queue, memory));
	g_assert_true(guest_memory_write(memory, AVAIL_GPA, &(uint16_t){ VRING_AVAIL_F_NO_INTERRUPT }, 2));
	g_assert_false(virtqueue_wants_interrupt(&queue, memory));
	guest_memory_free(memory);
}

/* Each of these breaks the queue, and nothing more is taken from it. */
static void test_nonsense(void)
{
	struct guest_memory *memory = memory_new();
	struct virtqueue_chain chain;
	uint32_t word;

	for (unsigned int kind = 0; kind < 7; kind++) {
		struct virtqueue queue = queue_new();

		describe(memory, 0, DATA_GPA, 4, 0, 0);
		switch (kind) {
		case 0: /* more than there is room for */
			offer(memory, 0, 0, SIZE + 1);
			break;
		case 1:
			offer(memory, 0, SIZE, 1);
			break;
		case 2: /* it bites its tail */
			describe(memory, 0, DATA_GPA, 4, VRING_DESC_F_NEXT, 0);
			offer(memory, 0, 0, 1);
			break;
		case 3:
			describe(memory, 0, DATA_GPA, 4, VRING_DESC_F_NEXT, 0xffff);
			offer(memory, 0, 0, 1);
			break;
		case 4: /* to read after to write */
			describe(memory, 0, DATA_GPA, 4, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
			describe(memory, 1, DATA_GPA, 4, 0, 0);
			offer(memory, 0, 0, 1);
			break;
		case 5: /* not offered */
			describe(memory, 0, DATA_GPA, 16, VRING_DESC_F_INDIRECT, 0);
			offer(memory, 0, 0, 1);
			break;
		default: /* rings that are no RAM */
			queue.driver_gpa = WINDOW_GPA;
			break;
		}
		g_assert_false(virtqueue_take(&queue, memory, &chain));
		g_assert_true(queue.broken);
		offer(memory, 0, 0, 1);
		g_assert_false(virtqueue_take(&queue, memory, &chain));
	}
	/* Data in lent memory: there is none. */
	struct virtqueue queue = queue_new();
	describe(memory, 0, WINDOW_GPA, 4, 0, 0);
	offer(memory, 0, 0, 1);
	g_assert_true(virtqueue_take(&queue, memory, &chain));
	g_assert_false(virtqueue_read(&chain, memory, &word, sizeof(word)));
	/* Used ring there. */
	queue.device_gpa = WINDOW_GPA;
	virtqueue_give(&queue, memory, &chain, 0);
	g_assert_true(queue.broken);
	guest_memory_free(memory);
}

/* Descriptors, rings and registers of chance: the sanitizers watch. */
static void test_storm(void)
{
	struct guest_memory *memory = memory_new();
	unsigned int n_taken = 0;

	for (unsigned int round = 0; round < 3000; round++) {
		struct virtqueue queue = queue_new();

		if (round % 4 == 0)
			queue.descriptors_gpa = (uint64_t)(uint32_t)g_test_rand_int() << g_test_rand_int_range(0, 33) & ~UINT64_C(15);
		if (round % 4 == 1)
			queue.device_gpa = RAM_BYTES - (uint64_t)g_test_rand_int_range(0, 32) * 4;
		for (unsigned int i = 0; i < SIZE; i++)
			describe(memory, i, g_test_rand_bit() ? DATA_GPA : (uint64_t)g_test_rand_int() << g_test_rand_int_range(0, 33),
				 (uint32_t)g_test_rand_int() >> g_test_rand_int_range(0, 32), (uint16_t)g_test_rand_int_range(0, 5),
				 (uint16_t)g_test_rand_int_range(0, SIZE + 2));
		for (unsigned int i = 0; i < SIZE; i++)
			offer(memory, (uint16_t)i, (uint16_t)g_test_rand_int_range(0, SIZE + 1), (uint16_t)g_test_rand_int_range(0, SIZE + 2));
		for (unsigned int i = 0; i < SIZE; i++) {
			struct virtqueue_chain chain;
			uint8_t bytes[64] = { 0 };

			if (!virtqueue_take(&queue, memory, &chain))
				continue;
			n_taken++;
			g_assert_cmpuint(chain.n_read + chain.n_write, <=, VIRTQUEUE_MAX_PIECES);
			(void)virtqueue_read(&chain, memory, bytes, sizeof(bytes));
			/* Not over the rings: those would become chance, too. */
			if (chain.n_write == 1 && chain.pieces[chain.n_read].gpa == DATA_GPA)
				(void)virtqueue_write(&chain, memory, bytes, sizeof(bytes));
			virtqueue_give(&queue, memory, &chain, 1);
		}
	}
	g_assert_cmpuint(n_taken, >, 1000);
	guest_memory_free(memory);
}

static void set(struct virtio_common *common, unsigned int offset, unsigned int len_bytes, uint32_t value)
{
	(void)virtio_common_write(common, offset, len_bytes, value);
}

static uint32_t see(const struct virtio_common *common, unsigned int offset, unsigned int len_bytes)
{
	return virtio_common_read(common, offset, len_bytes);
}

static void agree(struct virtio_common *common, uint64_t features)
{
	set(common, VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	for (uint32_t half = 0; half < 2; half++) {
		set(common, VIRTIO_PCI_COMMON_GFSELECT, 4, half);
		set(common, VIRTIO_PCI_COMMON_GF, 4, (uint32_t)(features >> 32 * half));
	}
	set(common, VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_FEATURES_OK);
}

/* As a driver begins (3.1.1). */
static void test_negotiation(void)
{
	struct virtio_common common;
	const uint64_t version_1 = UINT64_C(1) << VIRTIO_F_VERSION_1;

	virtio_common_init(&common, 1, 1, 64, 2);
	set(&common, VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
	g_assert_cmphex(see(&common, VIRTIO_PCI_COMMON_DF, 4), ==, 1);
	g_assert_cmphex(see(&common, VIRTIO_PCI_COMMON_NUMQ, 2), ==, 1);
	/* Not without version 1, nor with what is not offered. */
	agree(&common, 1);
	g_assert_cmphex(see(&common, VIRTIO_PCI_COMMON_STATUS, 1) & VIRTIO_CONFIG_S_FEATURES_OK, ==, 0);
	g_assert_cmpint(virtio_common_write(&common, VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_DRIVER_OK), ==, VIRTIO_NOTHING);
	g_assert_false(virtio_common_runs(&common));
	agree(&common, version_1 | 2);
	g_assert_cmphex(see(&common, VIRTIO_PCI_COMMON_STATUS, 1) & VIRTIO_CONFIG_S_FEATURES_OK, ==, 0);
	agree(&common, version_1 | 1);
	g_assert_cmphex(see(&common, VIRTIO_PCI_COMMON_STATUS, 1) & VIRTIO_CONFIG_S_FEATURES_OK, ==, VIRTIO_CONFIG_S_FEATURES_OK);
	set(&common, VIRTIO_PCI_COMMON_GF, 4, 0); /* too late */
	g_assert_cmphex(common.driver_features, ==, version_1 | 1);

	set(&common, VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	g_assert_cmphex(see(&common, VIRTIO_PCI_COMMON_Q_SIZE, 2), ==, 0);
	set(&common, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	g_assert_cmphex(see(&common, VIRTIO_PCI_COMMON_Q_SIZE, 2), ==, 64);
	set(&common, VIRTIO_PCI_COMMON_Q_SIZE, 2, 65);
	set(&common, VIRTIO_PCI_COMMON_Q_SIZE, 2, 12);
	g_assert_cmphex(see(&common, VIRTIO_PCI_COMMON_Q_SIZE, 2), ==, 64);
	set(&common, VIRTIO_PCI_COMMON_Q_SIZE, 2, SIZE);
	set(&common, VIRTIO_PCI_COMMON_Q_DESCLO, 4, DESC_GPA + 1);
	set(&common, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	g_assert_cmphex(see(&common, VIRTIO_PCI_COMMON_Q_ENABLE, 2), ==, 0);
	set(&common, VIRTIO_PCI_COMMON_Q_DESCLO, 4, DESC_GPA);
	set(&common, VIRTIO_PCI_COMMON_Q_AVAILLO, 4, AVAIL_GPA);
	set(&common, VIRTIO_PCI_COMMON_Q_USEDHI, 4, 1);
	set(&common, VIRTIO_PCI_COMMON_Q_MSIX, 2, 2); /* there are two */
	g_assert_cmphex(see(&common, VIRTIO_PCI_COMMON_Q_MSIX, 2), ==, VIRTIO_NO_VECTOR);
	set(&common, VIRTIO_PCI_COMMON_Q_MSIX, 2, 1);
	g_assert_cmphex(see(&common, VIRTIO_PCI_COMMON_Q_MSIX, 2), ==, 1);
	set(&common, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	g_assert_cmphex(see(&common, VIRTIO_PCI_COMMON_Q_ENABLE, 2), ==, 1);
	set(&common, VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0x55); /* enabled: it stays */
	g_assert_cmphex(common.queues[0].descriptors_gpa, ==, DESC_GPA);
	g_assert_cmphex(common.queues[0].device_gpa, ==, UINT64_C(1) << 32);
	g_assert_cmpint(virtio_common_write(&common, VIRTIO_PCI_COMMON_STATUS, 1, 0xf), ==, VIRTIO_STARTS);
	g_assert_cmpint(virtio_common_write(&common, VIRTIO_PCI_COMMON_STATUS, 1, 0xf), ==, VIRTIO_NOTHING);
	g_assert_true(virtio_common_runs(&common));
	virtio_common_break(&common);
	g_assert_false(virtio_common_runs(&common));
	g_assert_cmphex(see(&common, VIRTIO_PCI_COMMON_STATUS, 1) & VIRTIO_CONFIG_S_NEEDS_RESET, !=, 0);
	g_assert_cmpint(virtio_common_write(&common, VIRTIO_PCI_COMMON_STATUS, 1, 0), ==, VIRTIO_WAS_RESET);
	g_assert_cmphex(see(&common, VIRTIO_PCI_COMMON_STATUS, 1), ==, 0);
	g_assert_cmphex(see(&common, VIRTIO_PCI_COMMON_Q_ENABLE, 2), ==, 0);
	g_assert_cmphex(see(&common, VIRTIO_PCI_COMMON_Q_MSIX, 2), ==, VIRTIO_NO_VECTOR);
}

static void test_registers_storm(void)
{
	struct virtio_common common;

	virtio_common_init(&common, 1, 2, 64, 3);
	for (unsigned int i = 0; i < 500000; i++) {
		uint64_t offset = (uint64_t)g_test_rand_int_range(0, 80);
		unsigned int len_bytes = 1u << g_test_rand_int_range(0, 4);

		(void)virtio_common_write(&common, offset, len_bytes, (uint32_t)g_test_rand_int() >> g_test_rand_int_range(0, 32));
		(void)virtio_common_read(&common, offset, len_bytes);
		for (unsigned int n = 0; n < 2; n++)
			g_assert_true(!common.queues[n].enabled || virtqueue_is_valid(&common.queues[n]));
		g_assert_true(common.config_vector == VIRTIO_NO_VECTOR || common.config_vector < 3);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/virtio/queue/round-trips", test_round_trips);
	g_test_add_func("/virtio/queue/nonsense", test_nonsense);
	g_test_add_func("/virtio/queue/storm", test_storm);
	g_test_add_func("/virtio/common/negotiation", test_negotiation);
	g_test_add_func("/virtio/common/storm", test_registers_storm);
	return g_test_run();
}
