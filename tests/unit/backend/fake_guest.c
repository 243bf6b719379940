// SPDX-License-Identifier: MIT
#include "backend/fake_guest.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "xen/xenstore/xenstore.h"

static struct fake_guest *guest_of(struct fake *fake)
{
	return (struct fake_guest *)(void *)fake;
}

static const struct fake_guest *const_guest_of(const struct fake *fake)
{
	return (const struct fake_guest *)(const void *)fake;
}

static bool bind_port(void *opaque, uint32_t number, struct backend_port *port)
{
	struct fake_guest *guest = opaque;

	if (number >= FAKE_PORTS || !guest->ports[number].waits)
		return false;
	struct fake_port *own = &guest->ports[number];
	own->waits = false;
	own->from_guest_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	own->to_guest_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	guest->n_bound++;
	*port = (struct backend_port){ (const void *)own, own->from_guest_fd, own->to_guest_fd };
	return true;
}

static void unbind_port(void *opaque, struct backend_port *port)
{
	struct fake_guest *guest = opaque;
	struct fake_port *own = (struct fake_port *)(uintptr_t)port->backend;

	close(own->from_guest_fd);
	close(own->to_guest_fd);
	*own = (struct fake_port){ .waits = true };
	guest->n_bound--;
}

static const struct backend_port_ops PORTS = { bind_port, unbind_port };

void fake_guest_init(struct fake_guest *guest, bool use_uring, const char *class, unsigned int number)
{
	struct layout layout;
	GError *error = NULL;

	g_assert_true(layout_init(&layout, 64 << 20, LAYOUT_LOW_RAM_DEFAULT, &error));
	guest->memory = guest_memory_new(&layout, &error);
	guest->store = xenstore_new(NULL);
	guest->grant_frames = aligned_alloc(FAKE_PAGE, FAKE_FRAMES * FAKE_PAGE);
	memset(guest->grant_frames, 0, FAKE_FRAMES * FAKE_PAGE);
	g_assert_true(grant_table_init(&guest->grants, guest->grant_frames, NULL, FAKE_FRAMES, 1));
	g_assert_true(grant_table_grow(&guest->grants, FAKE_FRAMES));
	pthread_mutex_init(&guest->lock, NULL);
	guest->io = io_thread_new(use_uring, NULL, &error);
	g_assert_no_error(error);
	g_assert_true(io_thread_await(guest->io, NULL));
	for (unsigned int i = 1; i < FAKE_PORTS; i++)
		guest->ports[i].waits = true;
	guest->access = (struct ring_access){ guest->memory, &guest->grants, &guest->lock, &PORTS, guest };
	guest->front = g_strdup_printf("/local/domain/1/device/%s/%u/", class, number);
	guest->back = g_strdup_printf("/local/domain/0/backend/%s/1/%u/", class, number);
	fake_guest_recycle(guest);
}

void fake_guest_recycle(struct fake_guest *guest)
{
	guest->next_gfn = 256;
	guest->next_ref = 8;
}

void fake_guest_fini(struct fake_guest *guest)
{
	g_assert_cmpuint(guest->n_bound, ==, 0);
	for (uint32_t ref = 0; ref < FAKE_ENTRIES; ref++)
		g_assert_cmpuint(((grant_entry_v1_t *)guest->grant_frames)[ref].flags & (GTF_reading | GTF_writing), ==, 0);
	io_thread_free(guest->io);
	grant_table_fini(&guest->grants);
	free(guest->grant_frames);
	xenstore_free(guest->store);
	guest_memory_free(guest->memory);
	g_free(guest->front);
	g_free(guest->back);
}

uint8_t *fake_page(struct fake *fake, uint32_t *gfn)
{
	*gfn = guest_of(fake)->next_gfn++;
	return guest_memory_span(guest_of(fake)->memory, (uint64_t)*gfn * FAKE_PAGE, FAKE_PAGE);
}

uint32_t fake_grant(struct fake *fake, uint32_t gfn, uint16_t flags)
{
	uint32_t ref = guest_of(fake)->next_ref++;
	grant_entry_v1_t *entry = (grant_entry_v1_t *)guest_of(fake)->grant_frames + ref;

	g_assert_cmpuint(ref, <, FAKE_ENTRIES);
	entry->frame = gfn;
	entry->domid = 0;
	__atomic_store_n(&entry->flags, flags, __ATOMIC_SEQ_CST);
	return ref;
}

uint8_t *fake_granted_page(struct fake *fake, uint32_t *ref)
{
	uint32_t gfn;
	uint8_t *page = fake_page(fake, &gfn);

	*ref = fake_grant(fake, gfn, GTF_permit_access);
	return page;
}

uint16_t fake_grant_flags(const struct fake *fake, uint32_t ref)
{
	return __atomic_load_n(&((grant_entry_v1_t *)const_guest_of(fake)->grant_frames + ref)->flags, __ATOMIC_SEQ_CST);
}

void fake_write(struct fake *fake, const char *key, const char *format, ...)
{
	g_autofree char *path = g_strconcat(guest_of(fake)->front, key, NULL);
	va_list arguments;

	va_start(arguments, format);
	g_autofree char *value = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_assert_cmpint(xenstore_write(guest_of(fake)->store, path, value, strlen(value)), ==, 0);
}

void fake_set_state(struct fake *fake, int state)
{
	fake_write(fake, "state", "%d", state);
}

char *fake_back_node(const struct fake *fake, const char *key)
{
	g_autofree char *path = g_strconcat(const_guest_of(fake)->back, key, NULL);
	size_t len_bytes;
	void *value;

	if (xenstore_read(const_guest_of(fake)->store, path, &value, &len_bytes) != 0)
		return NULL;
	char *copy = g_strdup(value);
	free(value);
	return copy;
}

int fake_back_state(const struct fake *fake)
{
	g_autofree char *text = fake_back_node(fake, "state");

	return text ? atoi(text) : 0;
}

void fake_wait_state(struct fake *fake, int state)
{
	gint64 until_us = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;

	while (fake_back_state(fake) != state) {
		if (!g_main_context_iteration(NULL, FALSE))
			g_usleep(200);
		g_assert_cmpint(g_get_monotonic_time(), <, until_us);
	}
}

void fake_run_for(unsigned int ms)
{
	gint64 until_us = g_get_monotonic_time() + ms * G_TIME_SPAN_MILLISECOND;

	while (g_get_monotonic_time() < until_us)
		if (!g_main_context_iteration(NULL, FALSE))
			g_usleep(200);
}
