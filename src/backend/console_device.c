// SPDX-License-Identifier: MIT
#include "backend/console_device.h"

#include <glib.h>

#include "backend/ring_claims.h"
#include "backend/xenbus.h"
#include "vmm/record.h"

struct console_device {
	const struct channel *channel;
	struct record *record;
	struct xenbus_device *bus;
	struct ring_claims claims;
	struct console *console; /* NULL: the guest does not use it */
	bool was_connected;
};

static const char *attach(void *opaque)
{
	struct console_device *device = opaque;
	const struct backend_port *port = NULL;
	const char *why = NULL;
	uint8_t *page = ring_claims_page(&device->claims, device->bus, "ring-ref", &why);

	if (page)
		port = ring_claims_port(&device->claims, device->bus, "port", &why);
	if (!port) {
		ring_claims_release(&device->claims);
		return why;
	}
	device->console = console_new(page, port, &device->channel->files, NULL);
	if (device->record && !device->was_connected)
		record_phase(device->record, PHASE_DEVICE_CONNECTED, xenbus_device_name(device->bus));
	device->was_connected = true;
	return NULL;
}

/* What the guest has written before it closed is passed on, as far as the reader takes it without our waiting. */
static void let_go(struct console_device *device)
{
	if (device->console)
		console_pump(device->console);
	console_free(device->console);
	device->console = NULL;
	ring_claims_release(&device->claims);
}

static void detach(void *opaque)
{
	struct console_device *device = opaque;

	let_go(device);
	xenbus_device_detached(device->bus);
}

static const struct xenbus_device_ops OPS = { .attach = attach, .detach = detach };

struct console_device *console_device_new(struct xenstore *store, const struct ring_access *access, struct record *record,
					  unsigned int number, const struct channel *channel)
{
	struct console_device *device = g_new0(struct console_device, 1);

	device->channel = channel;
	device->record = record;
	device->claims.access = access;
	device->bus = xenbus_device_new(store, "console", number, &OPS, device);
	if (device->bus)
		xenbus_device_trace(device->bus, access->trace);
	if (device->bus && xenbus_write_guests(device->bus, "name", "%s", channel->name) == 0 &&
	    xenbus_write_guests(device->bus, "output", "%s", channel->kind) == 0 &&
	    xenbus_write_guests(device->bus, "type", "xenconsoled") == 0 &&
	    xenbus_expect_quietly(device->bus, "ring-ref") == 0 && xenbus_expect_quietly(device->bus, "port") == 0 &&
	    xenbus_device_start(device->bus) == 0)
		return device;
	console_device_free(device);
	return NULL;
}

void console_device_drain(struct console_device *device)
{
	if (device->console)
		console_drain(device->console, false, -1);
}

void console_device_free(struct console_device *device)
{
	if (!device)
		return;
	let_go(device);
	xenbus_device_free(device->bus);
	g_free(device);
}
