// SPDX-License-Identifier: MIT
#include "inject/event_relay.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "inject/inject.h"
#include "vmm/event_source.h"

/* At once it would fall together with the first. */
#define DUPLICATE_AFTER_US 1000u

/* One direction. */
struct lane {
	unsigned int which;
	int in_fd, out_fd;
	struct inject_point *point; /* NULL: no rule is about it */
	guint source;
	GSList *late; /* of struct late * */
};

struct late {
	struct lane *lane;
	guint source;
};

struct event_relay {
	int kernel_from_fd, kernel_to_fd;
	struct lane from_guest, to_guest;
};

static gboolean on_late(gpointer opaque)
{
	struct late *late = opaque;
	struct lane *lane = late->lane;

	lane->late = g_slist_remove(lane->late, late);
	(void)eventfd_write(lane->out_fd, 1);
	g_free(late);
	return G_SOURCE_REMOVE;
}

static void send_later(struct lane *lane, uint64_t delay_us)
{
	struct late *late = g_new0(struct late, 1);

	late->lane = lane;
	late->source = g_timeout_add((guint)((delay_us + 999) / 1000), on_late, late);
	lane->late = g_slist_prepend(lane->late, late);
}

static gboolean on_event(gint fd, GIOCondition condition, gpointer opaque)
{
	struct lane *lane = opaque;
	eventfd_t count;

	(void)condition;
	if (eventfd_read(fd, &count) != 0)
		return G_SOURCE_CONTINUE;
	const struct inject_fate fate = lane->point ? inject_point_pass(lane->point, lane->which) : (struct inject_fate){ 0 };
	if (fate.dropped)
		return G_SOURCE_CONTINUE;
	if (fate.delay_us)
		send_later(lane, fate.delay_us);
	else
		(void)eventfd_write(lane->out_fd, 1);
	if (fate.duplicated)
		send_later(lane, fate.delay_us + DUPLICATE_AFTER_US);
	return G_SOURCE_CONTINUE;
}

static void lane_init(struct lane *lane, const struct inject_plan *plan, uint32_t port, bool is_reserved, unsigned int which)
{
	static const struct inject_abilities abilities = { .drop = true, .duplicate = true, .delay = true,
							   .delay_effect = INJECT_EVENTS_DELAYED };
	g_autofree char *name = g_strdup_printf("port %u %s", port, which == INJECT_TO_GUEST ? "to guest" : "from guest");

	lane->which = which;
	lane->point = inject_point_new(plan, INJECT_EVENT, name, is_reserved ? 1 : 0, &abilities);
}

static void lane_fini(struct lane *lane)
{
	if (lane->source)
		g_source_remove(lane->source);
	while (lane->late) {
		struct late *late = lane->late->data;

		g_source_remove(late->source);
		lane->late = g_slist_remove(lane->late, late);
		g_free(late);
	}
	inject_point_free(lane->point);
}

/* syscalls(main): eventfd2 */
int event_relay_new(const struct inject_plan *plan, uint32_t port, bool is_reserved, int from_guest_fd, int to_guest_fd,
		    struct event_relay **relay)
{
	struct event_relay *fresh = g_new0(struct event_relay, 1);

	*relay = NULL;
	fresh->kernel_from_fd = fresh->kernel_to_fd = -1;
	lane_init(&fresh->from_guest, plan, port, is_reserved, INJECT_FROM_GUEST);
	lane_init(&fresh->to_guest, plan, port, is_reserved, INJECT_TO_GUEST);
	if (!fresh->from_guest.point && !fresh->to_guest.point) {
		event_relay_free(fresh);
		return 0;
	}
	fresh->kernel_from_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fresh->kernel_to_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fresh->kernel_from_fd < 0 || fresh->kernel_to_fd < 0) {
		const int rc = errno;

		event_relay_free(fresh);
		return rc;
	}
	fresh->from_guest.in_fd = fresh->kernel_from_fd;
	fresh->from_guest.out_fd = from_guest_fd;
	fresh->to_guest.in_fd = to_guest_fd;
	fresh->to_guest.out_fd = fresh->kernel_to_fd;
	fresh->from_guest.source = event_source_add(fresh->from_guest.in_fd, G_IO_IN, on_event, &fresh->from_guest);
	fresh->to_guest.source = event_source_add(fresh->to_guest.in_fd, G_IO_IN, on_event, &fresh->to_guest);
	*relay = fresh;
	return 0;
}

void event_relay_free(struct event_relay *relay)
{
	if (!relay)
		return;
	lane_fini(&relay->from_guest);
	lane_fini(&relay->to_guest);
	if (relay->kernel_from_fd >= 0)
		close(relay->kernel_from_fd);
	if (relay->kernel_to_fd >= 0)
		close(relay->kernel_to_fd);
	g_free(relay);
}

int event_relay_kernel_from_fd(const struct event_relay *relay)
{
	return relay->kernel_from_fd;
}

int event_relay_kernel_to_fd(const struct event_relay *relay)
{
	return relay->kernel_to_fd;
}
