// SPDX-License-Identifier: MIT
/*
 * Events that are lost, come twice or come late. Where a rule is about a port, its two eventfds do not meet KVM's: the
 * relay stands between, in the main thread's event loop, and passes on what it lets pass.
 *
 *   guest --> KVM --> kernel_from_fd --> relay --> from_guest_fd --> back end
 *   back end --> to_guest_fd --> relay --> kernel_to_fd (irqfd) --> KVM --> guest
 *
 * Neither the back end nor KVM knows of it. As with an eventfd, events that come before one was passed on are one event.
 * Thread: made and freed where the table of event channels is changed for a back end, which is the main thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct event_relay;
struct inject_plan;

/*
 * The back end's descriptors are borrowed, until it is freed. is_reserved: the port is the console's or the xenstore's.
 * *relay NULL: no rule is about this port. 0 or a positive errno.
 */
int event_relay_new(const struct inject_plan *plan, uint32_t port, bool is_reserved, int from_guest_fd, int to_guest_fd,
		    struct event_relay **relay);
void event_relay_free(struct event_relay *relay); /* what is late is lost; NULL is fine */

/* KVM's ends: what it signals, and its irqfd. */
int event_relay_kernel_from_fd(const struct event_relay *relay);
int event_relay_kernel_to_fd(const struct event_relay *relay);
