// SPDX-License-Identifier: MIT
/* Operations on event channels in any order, by the guest and by back ends. After each the whole table makes sense. */
#include <glib.h>

#include "bytes.h"
#include "xen/evtchn.h"

#define N_VCPUS 3u
#define N_PORTS 24u

static unsigned int n_reserved(const struct evtchn_table *table)
{
	unsigned int n = 0;

	for (uint32_t port = 0; port < N_PORTS; port++)
		n += table->ports[port].reserved;
	return n;
}

/* Global ones are listed under vCPU 0, wherever their events go. */
static unsigned int n_listed(const struct evtchn_table *table, uint32_t port)
{
	unsigned int n = 0;

	for (unsigned int vcpu = 0; vcpu < EVTCHN_MAX_VCPUS; vcpu++)
		for (unsigned int virq = 0; virq < EVTCHN_N_VIRQS; virq++)
			n += table->virq_port[vcpu][virq] == port;
	return n;
}

static void check(const struct evtchn_table *table, unsigned int reserved)
{
	g_assert_cmpint(table->ports[0].kind, ==, EVTCHN_FREE);
	for (uint32_t port = 0; port < EVTCHN_N_PORTS; port++) {
		const struct evtchn_port *self = &table->ports[port];
		const struct evtchn_view view = evtchn_view(table, port);

		g_assert_true(port < N_PORTS || self->kind == EVTCHN_FREE);
		g_assert_cmpint(evtchn_is_bound(table, port), ==, self->kind != EVTCHN_FREE);
		g_assert_cmpuint(self->vcpu, <, N_VCPUS);
		if (self->kind == EVTCHN_LOOPBACK) {
			const struct evtchn_port *other = &table->ports[self->remote_port];

			g_assert_true(other->kind == EVTCHN_LOOPBACK && other->remote_port == port);
		}
		if (self->kind == EVTCHN_VIRQ)
			g_assert_cmpuint(n_listed(table, port), ==, 1);
		g_assert_true(view.target != EVTCHN_VIEW_PORT || evtchn_is_bound(table, view.port));
	}
	for (unsigned int vcpu = 0; vcpu < EVTCHN_MAX_VCPUS; vcpu++)
		for (unsigned int virq = 0; virq < EVTCHN_N_VIRQS; virq++) {
			const uint32_t port = table->virq_port[vcpu][virq];

			g_assert_true(port == 0 || (table->ports[port].kind == EVTCHN_VIRQ && table->ports[port].virq == virq));
		}
	g_assert_cmpuint(n_reserved(table), ==, reserved);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len_bytes)
{
	struct input input = { bytes, bytes + len_bytes };
	struct evtchn_table *table = g_new0(struct evtchn_table, 1);
	struct evtchn_status status;
	uint32_t port, other;

	evtchn_init(table, N_VCPUS);
	table->n_ports = N_PORTS;
	g_assert_cmpint(evtchn_backend_reserve(table, &port), ==, 0);
	while (input.at < input.end) {
		const uint8_t what = next(&input) % 11;
		const uint32_t a = next(&input) == 255 ? next32(&input) : next(&input) % (N_PORTS + 2u), b = next(&input);
		static const uint32_t domids[] = { DOMID_SELF, GUEST_DOMID, BACKEND_DOMID, 77 };

		switch (what) {
		case 0:
			(void)evtchn_alloc_unbound(table, domids[b & 3], domids[b >> 2 & 3], &port);
			break;
		case 1:
			(void)evtchn_bind_interdomain(table, domids[b & 3], a, &port);
			break;
		case 2:
			(void)evtchn_bind_virq(table, b % 30, a, &port);
			break;
		case 3:
			(void)evtchn_bind_ipi(table, a, &port);
			break;
		case 4:
			(void)evtchn_bind_vcpu(table, a, b);
			break;
		case 5:
			(void)evtchn_get_status(table, a, &status);
			break;
		case 6:
		case 7:
			(void)evtchn_close(table, a, &other);
			break;
		case 8:
			(void)evtchn_send(table, a, &port);
			g_assert_true(port == 0 || evtchn_is_bound(table, port) || port == a);
			break;
		case 9:
			(void)evtchn_backend_bind(table, a);
			break;
		default:
			if (a < EVTCHN_N_PORTS && table->ports[a].kind == EVTCHN_BACKEND && !table->ports[a].reserved)
				evtchn_backend_unbind(table, a);
		}
		check(table, n_reserved(table));
	}
	g_free(table);
	return 0;
}
