// SPDX-License-Identifier: MIT
#include "backend/xenbus.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>

#include "backend/xenbus_fsm.h"
#include "vmm/trace.h"
#include "xen/xenstore/xenstore.h"

#define PATH_BYTES         160
#define ATTACH_INTERVAL_US (100 * G_TIME_SPAN_MILLISECOND)

struct xenbus_device {
	struct xenstore *store;
	const struct xenbus_device_ops *ops;
	void *opaque;
	struct xenbus_fsm fsm;
	struct xenstore_watch *watch;
	const struct trace *trace; /* NULL: nobody wants one */
	guint work_source;      /* 0: nothing is due */
	gint64 attach_after_us; /* monotonic */
	char name[64];
	char ours[96], guests[96]; /* folders in the store */
};

static void put_path(char path[PATH_BYTES], const char *folder, const char *key)
{
	g_snprintf(path, PATH_BYTES, "%s/%s", folder, key);
}

G_GNUC_PRINTF(4, 0)
static int write_node(struct xenbus_device *device, const char *folder, const char *key, const char *format, va_list arguments)
{
	char path[PATH_BYTES], value[256];

	put_path(path, folder, key);
	g_vsnprintf(value, sizeof(value), format, arguments);
	return xenstore_write(device->store, path, value, strlen(value));
}

int xenbus_write_ours(struct xenbus_device *device, const char *key, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int rc = write_node(device, device->ours, key, format, arguments);
	va_end(arguments);
	return rc;
}

int xenbus_write_guests(struct xenbus_device *device, const char *key, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int rc = write_node(device, device->guests, key, format, arguments);
	va_end(arguments);
	return rc;
}

int xenbus_expect_quietly(struct xenbus_device *device, const char *key)
{
	char path[PATH_BYTES];
	int rc = xenbus_write_guests(device, key, "%s", "");

	put_path(path, device->guests, key);
	return rc == 0 ? xenstore_set_quiet(device->store, path) : rc;
}

bool xenbus_read_text(const struct xenbus_device *device, const char *key, char *value, size_t room_bytes)
{
	char path[PATH_BYTES];
	size_t len_bytes;
	void *bytes;

	put_path(path, device->guests, key);
	if (xenstore_read(device->store, path, &bytes, &len_bytes) != 0)
		return false;
	bool fits = len_bytes < room_bytes && !memchr(bytes, '\0', len_bytes);
	if (fits)
		memcpy(value, bytes, len_bytes + 1);
	free(bytes);
	return fits;
}

bool xenbus_read_number(const struct xenbus_device *device, const char *key, uint32_t *number)
{
	char text[16];
	guint64 value;

	if (!xenbus_read_text(device, key, text, sizeof(text)) ||
	    !g_ascii_string_to_unsigned(text, 10, 0, UINT32_MAX, &value, NULL))
		return false;
	*number = (uint32_t)value;
	return true;
}

bool xenbus_has_node(const struct xenbus_device *device, const char *key)
{
	char path[PATH_BYTES];
	size_t len_bytes;
	void *bytes;

	put_path(path, device->guests, key);
	if (xenstore_read(device->store, path, &bytes, &len_bytes) != 0)
		return false;
	free(bytes);
	return true;
}

static void publish_state(struct xenbus_device *device)
{
	/* It fails only when memory is out; the guest waits then, and the domain is not what we wait for. */
	(void)xenbus_write_ours(device, "state", "%d", (int)device->fsm.state);
	if (device->trace)
		trace_xenbus(device->trace, device->name, "backend", (unsigned int)device->fsm.state);
}

/* Where Linux's and Xen's tools look for it. */
static void publish_error(struct xenbus_device *device, const char *why)
{
	(void)xenbus_write_ours(device, "error", "%s", why);
}

static void attach(struct xenbus_device *device)
{
	const char *why = device->ops->attach(device->opaque);

	device->attach_after_us = g_get_monotonic_time() + ATTACH_INTERVAL_US;
	xenbus_fsm_attached(&device->fsm, why == NULL);
	if (why)
		publish_error(device, why);
	publish_state(device);
}

/* Folders that nobody looks into any more; the guest's watch on its side tells it. */
static void remove_device(struct xenbus_device *device)
{
	xenstore_unwatch(device->store, device->watch);
	device->watch = NULL;
	(void)xenstore_remove(device->store, device->guests);
	(void)xenstore_remove(device->store, device->ours);
	device->ops->gone(device->opaque);
}

static gboolean on_due(gpointer opaque);

static void make_due(struct xenbus_device *device, gint64 delay_us)
{
	if (device->work_source)
		return;
	device->work_source = delay_us > 0 ? g_timeout_add((guint)(delay_us / 1000 + 1), on_due, device) :
					     g_idle_add_full(G_PRIORITY_DEFAULT, on_due, device, NULL);
}

/* A bounded number of steps: each publishes another state on the way to where the front end is. */
static void work(struct xenbus_device *device)
{
	enum xenbus_action action;

	while ((action = xenbus_fsm_next(&device->fsm)) != XENBUS_WAIT) {
		gint64 delay_us = device->attach_after_us - g_get_monotonic_time();

		if (action == XENBUS_PUBLISH) {
			publish_state(device);
		} else if (action == XENBUS_GONE) {
			remove_device(device);
			return;
		} else if (action == XENBUS_DETACH) {
			device->ops->detach(device->opaque);
		} else if (delay_us > 0) {
			make_due(device, delay_us);
			return;
		} else {
			attach(device);
		}
	}
}

static void read_state(struct xenbus_device *device)
{
	const XenbusState before = device->fsm.frontend;
	char text[4] = "";

	device->fsm.frontend = XenbusStateUnknown;
	if (xenbus_read_text(device, "state", text, sizeof(text)))
		device->fsm.frontend = xenbus_state_parse(text, strlen(text));
	if (device->trace && device->fsm.frontend != before)
		trace_xenbus(device->trace, device->name, "frontend", (unsigned int)device->fsm.frontend);
}

static gboolean on_due(gpointer opaque)
{
	struct xenbus_device *device = opaque;

	device->work_source = 0;
	read_state(device);
	work(device);
	return G_SOURCE_REMOVE;
}

static void on_state(void *opaque, const char *path)
{
	(void)path;
	make_due(opaque, 0);
}

static int make_folder(struct xenstore *store, const char *path, const char *owner, const char *reader)
{
	const char *const perms[] = { owner, reader };
	int rc = xenstore_write(store, path, "", 0);

	return rc == 0 ? xenstore_set_permissions(store, path, perms, G_N_ELEMENTS(perms)) : rc;
}

static struct xenbus_device *make_device(struct xenstore *store, const char *class, uint32_t number,
					 const struct xenbus_device_ops *ops, void *opaque)
{
	struct xenbus_device *device = g_new0(struct xenbus_device, 1);

	device->store = store;
	device->ops = ops;
	device->opaque = opaque;
	g_snprintf(device->name, sizeof(device->name), "device/%s/%u", class, number);
	g_snprintf(device->guests, sizeof(device->guests), "/local/domain/1/%s", device->name);
	g_snprintf(device->ours, sizeof(device->ours), "/local/domain/0/backend/%s/1/%u", class, number);
	xenbus_fsm_init(&device->fsm);
	return device;
}

struct xenbus_device *xenbus_device_new(struct xenstore *store, const char *class, uint32_t number,
					const struct xenbus_device_ops *ops, void *opaque)
{
	struct xenbus_device *device = make_device(store, class, number, ops, opaque);

	if (make_folder(store, device->ours, "n0", "r1") != 0 || make_folder(store, device->guests, "n1", "r0") != 0 ||
	    xenbus_write_ours(device, "frontend", "%s", device->guests) != 0 ||
	    xenbus_write_ours(device, "frontend-id", "1") != 0 || xenbus_write_ours(device, "online", "1") != 0 ||
	    xenbus_write_guests(device, "backend", "%s", device->ours) != 0 ||
	    xenbus_write_guests(device, "backend-id", "0") != 0) {
		xenbus_device_free(device);
		return NULL;
	}
	return device;
}

void xenbus_device_trace(struct xenbus_device *device, const struct trace *trace)
{
	device->trace = trace;
}

static int watch_state(struct xenbus_device *device)
{
	char path[PATH_BYTES];

	put_path(path, device->guests, "state");
	device->watch = xenstore_watch(device->store, path, on_state, device);
	return device->watch ? 0 : ENOMEM;
}

int xenbus_device_start(struct xenbus_device *device)
{
	int rc = xenbus_write_guests(device, "state", "%d", (int)device->fsm.frontend);

	if (rc == 0)
		rc = xenbus_write_ours(device, "state", "%d", (int)device->fsm.state);
	if (rc != 0)
		return rc;
	if (device->trace)
		trace_xenbus(device->trace, device->name, "backend", (unsigned int)device->fsm.state);
	return watch_state(device);
}

struct xenbus_saved xenbus_device_save(const struct xenbus_device *device)
{
	return (struct xenbus_saved){
		.state = (uint8_t)device->fsm.state,
		.frontend = (uint8_t)device->fsm.frontend,
		.attached = device->fsm.attached,
	};
}

struct xenbus_device *xenbus_device_restore(struct xenstore *store, const char *class, uint32_t number,
					    const struct xenbus_device_ops *ops, void *opaque, const struct xenbus_saved *saved)
{
	struct xenbus_device *device = make_device(store, class, number, ops, opaque);

	device->fsm.state = (XenbusState)saved->state;
	device->fsm.frontend = (XenbusState)saved->frontend;
	device->fsm.attached = saved->attached;
	if (watch_state(device) != 0) {
		xenbus_device_free(device);
		return NULL;
	}
	/* What the guest has said since we looked. */
	make_due(device, 0);
	return device;
}

bool xenbus_device_attach_again(struct xenbus_device *device)
{
	const char *why = device->ops->attach(device->opaque);

	if (!why)
		return true;
	xenbus_fsm_attached(&device->fsm, false);
	publish_error(device, why);
	publish_state(device);
	make_due(device, 0);
	return false;
}

void xenbus_device_free(struct xenbus_device *device)
{
	if (!device)
		return;
	if (device->watch)
		xenstore_unwatch(device->store, device->watch);
	if (device->work_source)
		g_source_remove(device->work_source);
	g_free(device);
}

void xenbus_device_fail(struct xenbus_device *device, const char *why)
{
	if (!xenbus_fsm_fail(&device->fsm))
		return;
	publish_error(device, why);
	publish_state(device);
	work(device);
}

void xenbus_device_leave(struct xenbus_device *device)
{
	/* libxl's word for it: what is closed now will not come back. */
	(void)xenbus_write_ours(device, "online", "0");
	xenbus_fsm_leave(&device->fsm);
	read_state(device);
	work(device);
}

int xenbus_device_announce(struct xenbus_device *device)
{
	return device->fsm.state == XenbusStateConnected ? xenbus_write_ours(device, "state", "%d", (int)device->fsm.state) : 0;
}

bool xenbus_device_is_connected(const struct xenbus_device *device)
{
	return device->fsm.attached;
}

void xenbus_device_detached(struct xenbus_device *device)
{
	xenbus_fsm_detached(&device->fsm);
	/* Not from here: who detaches at once is called by work(). */
	make_due(device, 0);
}

const char *xenbus_device_name(const struct xenbus_device *device)
{
	return device->name;
}
