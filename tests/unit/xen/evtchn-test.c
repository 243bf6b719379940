// SPDX-License-Identifier: MIT
/*
 * evtchn.c against a model written from <xen/event_channel.h>: a list of channels, searched from its beginning for
 * every question. Where a request is wrong in two ways, Xen does not promise which errno it gets: the model knows all
 * that apply, and the answer must be one of them. A request that failed must have changed nothing.
 */
#include <string.h>

#include <glib.h>

#include "xen/evtchn.h"

#define ALL_PORTS EVTCHN_N_PORTS

struct channel {
	unsigned int status; /* EVTCHNSTAT_* */
	gboolean to_guest;   /* unbound and interdomain: the other end is the guest's own */
	uint16_t domid;      /* of the other end, when it is not */
	gboolean reserved;
	uint32_t peer; /* of an interdomain channel within the guest */
	uint32_t virq;
	uint32_t virq_vcpu; /* who bound it: a later bind_vcpu does not change that */
	uint32_t notify_vcpu;
};

enum operation {
	ALLOC_UNBOUND,
	BIND_INTERDOMAIN,
	BIND_VIRQ,
	BIND_IPI,
	BIND_VCPU,
	STATUS,
	CLOSE,
	SEND,
	BACKEND_BIND,
	BACKEND_RESERVE,
	N_OPERATIONS
};

struct model {
	unsigned int n_vcpus;
	struct channel channels[ALL_PORTS];
	guint reached[N_OPERATIONS][256]; /* by errno, 0 included */
};

/* The errnos that apply to a request; empty: it must succeed. */
struct verdict {
	int errors[8];
	unsigned int n;
};

static void blame(struct verdict *verdict, gboolean wrong, int error)
{
	if (wrong)
		verdict->errors[verdict->n++] = error;
}

static uint32_t random_u32(void)
{
	return (uint32_t)g_test_rand_int();
}

static uint32_t random_below(uint32_t n)
{
	return random_u32() % n;
}

/* The model's answers */

static gboolean is_port(uint32_t port)
{
	return port < ALL_PORTS;
}

static gboolean is_open(const struct model *model, uint32_t port)
{
	return is_port(port) && model->channels[port].status != EVTCHNSTAT_closed;
}

static uint32_t lowest_free(const struct model *model)
{
	uint32_t port = 1;

	while (port < ALL_PORTS && model->channels[port].status != EVTCHNSTAT_closed)
		port++;
	return port;
}

static gboolean is_full(const struct model *model)
{
	return lowest_free(model) == ALL_PORTS;
}

static gboolean is_guest(uint32_t domid)
{
	return domid == 1 || domid == DOMID_SELF;
}

/* The list in <xen/xen.h>, its lines with "V.". */
static gboolean is_per_vcpu(uint32_t virq)
{
	return virq == 0 || virq == 1 || virq == 7 || virq == 13;
}

static gboolean virq_is_bound(const struct model *model, uint32_t virq, uint32_t vcpu)
{
	for (uint32_t port = 1; port < ALL_PORTS; port++) {
		const struct channel *channel = &model->channels[port];

		if (channel->status == EVTCHNSTAT_virq && channel->virq == virq && channel->virq_vcpu == vcpu)
			return TRUE;
	}
	return FALSE;
}

/* The table must be the model, as far as it can be seen. */
static void check_port(const struct evtchn_table *table, const struct model *model, uint32_t port)
{
	const struct channel *channel = &model->channels[port];
	struct evtchn_view view = evtchn_view(table, port);
	struct evtchn_status status = {.dom = 77, .port = 88};

	g_assert_true(evtchn_is_bound(table, port) == is_open(model, port));
	g_assert_cmpint(evtchn_get_status(table, port, &status), ==, 0);
	g_assert_cmpuint(status.dom, ==, 77);
	g_assert_cmpuint(status.port, ==, 88);
	g_assert_cmpuint(status.status, ==, channel->status);
	g_assert_true(table->ports[port].reserved == channel->reserved);
	if (channel->status != EVTCHNSTAT_closed)
		g_assert_cmpuint(status.vcpu, ==, channel->notify_vcpu);

	switch (channel->status) {
	case EVTCHNSTAT_unbound:
		g_assert_cmpuint(status.u.unbound.dom, ==, channel->to_guest ? 1 : channel->domid);
		break;
	case EVTCHNSTAT_interdomain:
		g_assert_cmpuint(status.u.interdomain.dom, ==, channel->to_guest ? 1 : 0);
		if (channel->to_guest)
			g_assert_cmpuint(status.u.interdomain.port, ==, channel->peer);
		break;
	case EVTCHNSTAT_virq:
		g_assert_cmpuint(status.u.virq, ==, channel->virq);
		break;
	default:
		break;
	}

	/* Who is told when the guest sends on it. */
	if (channel->status == EVTCHNSTAT_ipi) {
		g_assert_cmpint(view.target, ==, EVTCHN_VIEW_PORT);
		g_assert_true(view.ipi);
		g_assert_cmpuint(view.port, ==, port);
		g_assert_cmpuint(view.vcpu, ==, channel->notify_vcpu);
	} else if (channel->status == EVTCHNSTAT_interdomain && channel->to_guest) {
		const struct channel *peer = &model->channels[channel->peer];

		g_assert_cmpint(view.target, ==, EVTCHN_VIEW_PORT);
		g_assert_false(view.ipi);
		g_assert_cmpuint(view.port, ==, channel->peer);
		g_assert_cmpuint(view.vcpu, ==, peer->notify_vcpu);
		/* The other end is another port, and points back. */
		g_assert_cmpuint(channel->peer, !=, port);
		g_assert_cmpuint(table->ports[channel->peer].remote_port, ==, port);
		g_assert_cmpuint(table->ports[channel->peer].kind, ==, table->ports[port].kind);
	} else if (channel->status == EVTCHNSTAT_interdomain) {
		g_assert_cmpint(view.target, ==, channel->reserved ? EVTCHN_VIEW_SERVED : EVTCHN_VIEW_EVENTFD);
		g_assert_cmpuint(view.vcpu, ==, channel->notify_vcpu);
	} else {
		g_assert_cmpint(view.target, ==, EVTCHN_VIEW_NONE);
	}
}

static void check_virqs(const struct evtchn_table *table)
{
	guint8 n_slots[ALL_PORTS] = {0};

	for (uint32_t vcpu = 0; vcpu < EVTCHN_MAX_VCPUS; vcpu++)
		for (uint32_t virq = 0; virq < EVTCHN_N_VIRQS; virq++) {
			uint32_t port = table->virq_port[vcpu][virq];

			if (!port)
				continue;
			g_assert_cmpuint(table->ports[port].kind, ==, EVTCHN_VIRQ);
			g_assert_cmpuint(table->ports[port].virq, ==, virq);
			if (is_per_vcpu(virq))
				g_assert_cmpuint(table->ports[port].vcpu, ==, vcpu);
			n_slots[port]++;
		}
	for (uint32_t port = 0; port < ALL_PORTS; port++)
		g_assert_cmpuint(n_slots[port], ==, table->ports[port].kind == EVTCHN_VIRQ ? 1 : 0);
}

static void check_all(const struct evtchn_table *table, const struct model *model, uint32_t end)
{
	g_assert_cmpuint(table->ports[0].kind, ==, EVTCHN_FREE);
	for (uint32_t port = 0; port < end; port++)
		check_port(table, model, port);
	check_virqs(table);
}

/* One step: the request to both, and the answers compared. */

static gboolean compare(struct model *model, enum operation operation, const struct verdict *verdict, int rc,
			const struct evtchn_table *table, const struct evtchn_table *before)
{
	gboolean found = verdict->n == 0 && rc == 0;

	for (unsigned int i = 0; i < verdict->n; i++)
		found |= rc == -verdict->errors[i];
	if (!found)
		g_error("operation %d: %d, expected %d or one of %u", operation, rc,
			verdict->n ? -verdict->errors[0] : 0, verdict->n);
	if (rc != 0)
		g_assert_cmpint(memcmp(table, before, sizeof(*table)), ==, 0);
	model->reached[operation][-rc]++;
	return rc == 0;
}

/* The port that is given out is the lowest free one. */
static struct channel *given(struct model *model, uint32_t port, unsigned int status)
{
	struct channel *channel = &model->channels[port];

	g_assert_cmpuint(port, ==, lowest_free(model));
	*channel = (struct channel){.status = status};
	return channel;
}

static uint32_t random_domid(void)
{
	const uint32_t domids[] = {DOMID_SELF, DOMID_SELF,    1,       1,         0, 0, 2, 77,
				   DOMID_IO,   DOMID_INVALID, 0x10001, UINT32_MAX};

	return domids[random_below(G_N_ELEMENTS(domids))];
}

/* Mostly one that means something. */
static uint32_t random_port(const struct model *model)
{
	const uint32_t odd[] = {0, ALL_PORTS - 1, ALL_PORTS, ALL_PORTS + 1, 65536 + 1, UINT32_MAX};
	uint32_t port = random_below(lowest_free(model) + 3);

	if (random_below(16) == 0)
		return odd[random_below(G_N_ELEMENTS(odd))];
	return random_below(64) ? port : random_below(ALL_PORTS);
}

static uint32_t random_vcpu(const struct model *model)
{
	return random_below(8) ? random_below(model->n_vcpus) : random_below(3) ? random_below(64) : random_u32();
}

static void step_alloc_unbound(struct evtchn_table *table, struct model *model, const struct evtchn_table *before)
{
	uint32_t domid = random_below(4) ? DOMID_SELF : random_domid(), remote_domid = random_domid(), port = 0;
	struct verdict verdict = {.n = 0};

	blame(&verdict, !is_guest(domid), XEN_EPERM);
	blame(&verdict, is_full(model), XEN_ENOSPC);
	if (compare(model, ALLOC_UNBOUND, &verdict, evtchn_alloc_unbound(table, domid, remote_domid, &port), table,
		    before)) {
		struct channel *channel = given(model, port, EVTCHNSTAT_unbound);

		/* Nobody looks whether there is such a domain. */
		channel->to_guest = is_guest((uint16_t)remote_domid);
		channel->domid = (uint16_t)remote_domid;
	}
}

static void step_bind_interdomain(struct evtchn_table *table, struct model *model, const struct evtchn_table *before)
{
	uint32_t remote_domid = random_below(4) ? DOMID_SELF : random_domid(), remote_port = random_port(model),
		 port = 0;
	struct channel *remote = is_open(model, remote_port) ? &model->channels[remote_port] : NULL;
	struct verdict verdict = {.n = 0};

	blame(&verdict, !is_guest(remote_domid) && remote_domid != 0, XEN_ESRCH);
	blame(&verdict, !is_guest(remote_domid), XEN_EINVAL); /* domain 0 has no port for us */
	blame(&verdict, is_full(model), XEN_ENOSPC);
	blame(&verdict, !remote || remote->status != EVTCHNSTAT_unbound || !remote->to_guest, XEN_EINVAL);
	if (!is_guest(remote_domid) && remote_domid != 0)
		verdict = (struct verdict){{XEN_ESRCH}, 1};
	if (!compare(model, BIND_INTERDOMAIN, &verdict,
		     evtchn_bind_interdomain(table, remote_domid, remote_port, &port), table, before))
		return;
	struct channel *channel = given(model, port, EVTCHNSTAT_interdomain);
	channel->to_guest = TRUE;
	channel->peer = remote_port;
	remote->status = EVTCHNSTAT_interdomain;
	remote->peer = port;
}

static void step_bind_virq(struct evtchn_table *table, struct model *model, const struct evtchn_table *before)
{
	uint32_t virq = random_below(16) ? random_below(26) : random_u32(), vcpu = random_vcpu(model), port = 0;
	struct verdict verdict = {.n = 0};

	if (!is_per_vcpu(virq) && random_below(4))
		vcpu = 0;
	blame(&verdict, virq >= 24, XEN_EINVAL);
	blame(&verdict, !is_per_vcpu(virq) && vcpu != 0, XEN_EINVAL);
	blame(&verdict, vcpu >= model->n_vcpus, XEN_ENOENT);
	blame(&verdict, virq_is_bound(model, virq, vcpu), XEN_EEXIST);
	blame(&verdict, is_full(model), XEN_ENOSPC);
	if (!compare(model, BIND_VIRQ, &verdict, evtchn_bind_virq(table, virq, vcpu, &port), table, before))
		return;
	struct channel *channel = given(model, port, EVTCHNSTAT_virq);
	channel->virq = virq;
	channel->virq_vcpu = channel->notify_vcpu = vcpu;
}

static void step_bind_ipi(struct evtchn_table *table, struct model *model, const struct evtchn_table *before)
{
	uint32_t vcpu = random_vcpu(model), port = 0;
	struct verdict verdict = {.n = 0};

	blame(&verdict, vcpu >= model->n_vcpus, XEN_ENOENT);
	blame(&verdict, is_full(model), XEN_ENOSPC);
	if (compare(model, BIND_IPI, &verdict, evtchn_bind_ipi(table, vcpu, &port), table, before))
		given(model, port, EVTCHNSTAT_ipi)->notify_vcpu = vcpu;
}

static void step_bind_vcpu(struct evtchn_table *table, struct model *model, const struct evtchn_table *before)
{
	uint32_t port = random_port(model), vcpu = random_vcpu(model);
	struct channel *channel = is_open(model, port) ? &model->channels[port] : NULL;
	struct verdict verdict = {.n = 0};

	blame(&verdict, vcpu >= model->n_vcpus, XEN_ENOENT);
	blame(&verdict, !channel, XEN_EINVAL);
	blame(&verdict, channel && channel->status == EVTCHNSTAT_ipi, XEN_EINVAL);
	blame(&verdict, channel && channel->status == EVTCHNSTAT_virq && is_per_vcpu(channel->virq), XEN_EINVAL);
	if (compare(model, BIND_VCPU, &verdict, evtchn_bind_vcpu(table, port, vcpu), table, before))
		channel->notify_vcpu = vcpu;
}

static void step_status(struct evtchn_table *table, struct model *model, const struct evtchn_table *before)
{
	uint32_t port = random_port(model);
	struct evtchn_status status = {.dom = DOMID_SELF};
	struct verdict verdict = {.n = 0};

	blame(&verdict, !is_port(port), XEN_EINVAL);
	if (compare(model, STATUS, &verdict, evtchn_get_status(table, port, &status), table, before))
		check_port(table, model, port);
}

static void step_close(struct evtchn_table *table, struct model *model, const struct evtchn_table *before)
{
	uint32_t port = random_port(model), other = 12345;
	struct verdict verdict = {.n = 0};

	blame(&verdict, !is_open(model, port), XEN_EINVAL);
	if (!compare(model, CLOSE, &verdict, evtchn_close(table, port, &other), table, before)) {
		g_assert_cmpuint(other, ==, 0);
		return;
	}
	struct channel *channel = &model->channels[port];
	if (channel->status == EVTCHNSTAT_interdomain && channel->to_guest) {
		g_assert_cmpuint(other, ==, channel->peer);
		/* "the remote end is placed in the unbound state, awaiting a new connection" */
		model->channels[channel->peer].status = EVTCHNSTAT_unbound;
	} else {
		g_assert_cmpuint(other, ==, 0);
	}
	*channel = (struct channel){.status = EVTCHNSTAT_closed};
}

static void step_send(struct evtchn_table *table, struct model *model, const struct evtchn_table *before)
{
	uint32_t port = random_port(model), deliver = 12345;
	const struct channel *channel = is_open(model, port) ? &model->channels[port] : NULL;
	struct evtchn_view view = evtchn_view(table, port);
	struct verdict verdict = {.n = 0};

	blame(&verdict, !channel || channel->status == EVTCHNSTAT_virq, XEN_EINVAL);
	(void)compare(model, SEND, &verdict, evtchn_send(table, port, &deliver), table, before);
	/* What KVM would do, and what we do when KVM does not, is the same. */
	g_assert_cmpuint(deliver, ==, view.target == EVTCHN_VIEW_PORT ? view.port : 0);
	g_assert_cmpint(memcmp(table, before, sizeof(*table)), ==, 0);
}

static void step_backend_bind(struct evtchn_table *table, struct model *model, const struct evtchn_table *before)
{
	uint32_t port = random_port(model);
	struct channel *channel = is_open(model, port) ? &model->channels[port] : NULL;
	struct verdict verdict = {.n = 0};

	blame(&verdict, !channel || channel->status != EVTCHNSTAT_unbound || channel->to_guest || channel->domid != 0, XEN_EINVAL);
	if (compare(model, BACKEND_BIND, &verdict, evtchn_backend_bind(table, port), table, before))
		channel->status = EVTCHNSTAT_interdomain;
}

static void step_backend_reserve(struct evtchn_table *table, struct model *model, const struct evtchn_table *before)
{
	struct verdict verdict = {.n = 0};
	uint32_t port = 0;

	blame(&verdict, is_full(model), XEN_ENOSPC);
	if (compare(model, BACKEND_RESERVE, &verdict, evtchn_backend_reserve(table, &port), table, before)) {
		struct channel *channel = given(model, port, EVTCHNSTAT_interdomain);

		channel->reserved = TRUE;
	}
}

static void (*const steps[N_OPERATIONS])(struct evtchn_table *, struct model *, const struct evtchn_table *) = {
	[ALLOC_UNBOUND] = step_alloc_unbound,
	[BIND_INTERDOMAIN] = step_bind_interdomain,
	[BIND_VIRQ] = step_bind_virq,
	[BIND_IPI] = step_bind_ipi,
	[BIND_VCPU] = step_bind_vcpu,
	[STATUS] = step_status,
	[CLOSE] = step_close,
	[SEND] = step_send,
	[BACKEND_BIND] = step_backend_bind,
	[BACKEND_RESERVE] = step_backend_reserve,
};

struct pair {
	struct evtchn_table *table, *before;
	struct model *model;
};

static struct pair pair_new(unsigned int n_vcpus)
{
	struct pair pair = {g_new(struct evtchn_table, 1), g_new(struct evtchn_table, 1), g_new0(struct model, 1)};

	memset(pair.table, 0xa5, sizeof(*pair.table));
	evtchn_init(pair.table, n_vcpus);
	pair.model->n_vcpus = n_vcpus;
	check_all(pair.table, pair.model, ALL_PORTS);
	return pair;
}

static void pair_free(struct pair *pair)
{
	g_free(pair->table);
	g_free(pair->before);
	g_free(pair->model);
}

static void pair_step(struct pair *pair, enum operation operation)
{
	memcpy(pair->before, pair->table, sizeof(*pair->table));
	steps[operation](pair->table, pair->model, pair->before);
}

/* Sums up what was reached, so that no errno stays untested for want of luck. */
static void add_reached(guint total[N_OPERATIONS][256], const struct model *model)
{
	for (unsigned int i = 0; i < N_OPERATIONS; i++)
		for (unsigned int j = 0; j < 256; j++)
			total[i][j] += model->reached[i][j];
}

static guint total_reached[N_OPERATIONS][256];

static void test_model(void)
{
	const unsigned int n_vcpus[] = {1, 2, 5, 32};

	for (size_t i = 0; i < G_N_ELEMENTS(n_vcpus); i++)
		for (unsigned int round = 0; round < 5; round++) {
			struct pair pair = pair_new(n_vcpus[i]);

			for (unsigned int step = 0; step < 1500; step++) {
				pair_step(&pair, (enum operation)random_below(N_OPERATIONS));
				check_all(pair.table, pair.model, step % 128 ? MIN(ALL_PORTS, 300) : ALL_PORTS);
			}
			add_reached(total_reached, pair.model);
			pair_free(&pair);
		}
}

/* No virtual interrupts: thousands of ports would bind them all, and none be left to be refused for want of a port. */
static void fill(struct pair *pair)
{
	static const enum operation makers[] = {ALLOC_UNBOUND, BIND_INTERDOMAIN, BIND_IPI, BACKEND_RESERVE};

	while (!is_full(pair->model))
		pair_step(pair, makers[random_below(G_N_ELEMENTS(makers))]);
}

static void test_full_table(void)
{
	struct pair pair = pair_new(4);

	fill(&pair);
	check_all(pair.table, pair.model, ALL_PORTS);
	for (unsigned int round = 0; round < 100; round++) {
		for (unsigned int i = 0; i < 20; i++)
			pair_step(&pair, (enum operation)random_below(N_OPERATIONS));
		fill(&pair);
		check_all(pair.table, pair.model, round % 10 ? 64 : ALL_PORTS);
	}
	add_reached(total_reached, pair.model);
	pair_free(&pair);
}

/* Runs after the two above. */
static void test_every_errno_was_reached(void)
{
	static const struct {
		enum operation operation;
		int errors[5]; /* ends with 0, which is reached by all */
	} expected[] = {
		{ALLOC_UNBOUND, {XEN_EPERM, XEN_ENOSPC}},
		{BIND_INTERDOMAIN, {XEN_EINVAL, XEN_ESRCH, XEN_ENOSPC}},
		{BIND_VIRQ, {XEN_EINVAL, XEN_ENOENT, XEN_EEXIST, XEN_ENOSPC}},
		{BIND_IPI, {XEN_ENOENT, XEN_ENOSPC}},
		{BIND_VCPU, {XEN_ENOENT, XEN_EINVAL}},
		{STATUS, {XEN_EINVAL}},
		{CLOSE, {XEN_EINVAL}},
		{SEND, {XEN_EINVAL}},
		{BACKEND_BIND, {XEN_EINVAL}},
		{BACKEND_RESERVE, {XEN_ENOSPC}},
	};

	if (total_reached[CLOSE][0] == 0) {
		g_test_skip("runs with the model tests only");
		return;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(expected); i++)
		for (size_t j = 0; j == 0 || expected[i].errors[j - 1]; j++)
			if (total_reached[expected[i].operation][expected[i].errors[j]] == 0)
				g_error("operation %u: errno %d was not reached", expected[i].operation,
					expected[i].errors[j]);
}

/* A global virtual interrupt is bound by vCPU 0 and moved to another one; when it is closed, it can be bound again. */
static void test_moved_virq_can_be_bound_again(void)
{
	for (uint32_t virq = 0; virq < EVTCHN_N_VIRQS; virq++) {
		struct pair pair = pair_new(4);
		uint32_t port, other;

		g_assert_cmpint(evtchn_bind_virq(pair.table, virq, 0, &port), ==, 0);
		g_assert_cmpint(evtchn_bind_vcpu(pair.table, port, 3), ==, is_per_vcpu(virq) ? -XEN_EINVAL : 0);
		g_assert_cmpint(evtchn_bind_virq(pair.table, virq, 0, &other), ==, -XEN_EEXIST);
		g_assert_cmpint(evtchn_close(pair.table, port, &other), ==, 0);
		check_virqs(pair.table);
		g_assert_cmpint(evtchn_bind_virq(pair.table, virq, 0, &port), ==, 0);
		pair_free(&pair);
	}
}

/* A PV guest of 32 bits reaches no port above 1023, and each closed port comes back before a fresh one. */
static void test_lowest_port_first(void)
{
	struct pair pair = pair_new(1);
	uint32_t port, other;

	for (uint32_t expected = 1; expected < ALL_PORTS; expected++) {
		g_assert_cmpint(evtchn_bind_ipi(pair.table, 0, &port), ==, 0);
		g_assert_cmpuint(port, ==, expected);
	}
	g_assert_cmpint(evtchn_bind_ipi(pair.table, 0, &port), ==, -XEN_ENOSPC);
	for (unsigned int i = 0; i < 200; i++) {
		uint32_t a = 1 + random_below(ALL_PORTS - 1), b = 1 + random_below(ALL_PORTS - 1);

		if (a == b)
			continue;
		g_assert_cmpint(evtchn_close(pair.table, a, &other), ==, 0);
		g_assert_cmpint(evtchn_close(pair.table, b, &other), ==, 0);
		g_assert_cmpint(evtchn_bind_ipi(pair.table, 0, &port), ==, 0);
		g_assert_cmpuint(port, ==, MIN(a, b));
		g_assert_cmpint(evtchn_bind_ipi(pair.table, 0, &port), ==, 0);
		g_assert_cmpuint(port, ==, MAX(a, b));
	}
	pair_free(&pair);
}

/* A back end that lets go of a port leaves it waiting for domain 0, so that it can be taken again; console and xenstore stay. */
static void test_backend_unbind(void)
{
	struct pair pair = pair_new(1);
	uint32_t port, reserved, ignored;

	g_assert_cmpint(evtchn_backend_reserve(pair.table, &reserved), ==, 0);
	g_assert_cmpint(evtchn_alloc_unbound(pair.table, DOMID_SELF, 0, &port), ==, 0);
	for (int i = 0; i < 2; i++) {
		g_assert_cmpint(evtchn_backend_bind(pair.table, port), ==, 0);
		g_assert_cmpint(evtchn_view(pair.table, port).target, ==, EVTCHN_VIEW_EVENTFD);
		evtchn_backend_unbind(pair.table, port);
		g_assert_cmpint(evtchn_view(pair.table, port).target, ==, EVTCHN_VIEW_NONE);
	}
	evtchn_backend_unbind(pair.table, reserved);
	g_assert_cmpint(evtchn_view(pair.table, reserved).target, ==, EVTCHN_VIEW_SERVED);
	/* What is none of a back end's stays as it is. */
	g_assert_cmpint(evtchn_close(pair.table, port, &ignored), ==, 0);
	evtchn_backend_unbind(pair.table, port);
	g_assert_cmpint(evtchn_bind_ipi(pair.table, 0, &port), ==, 0);
	evtchn_backend_unbind(pair.table, port);
	evtchn_backend_unbind(pair.table, UINT32_MAX);
	g_assert_cmpint(evtchn_view(pair.table, port).target, ==, EVTCHN_VIEW_PORT);
	pair_free(&pair);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/evtchn/moved-virq-can-be-bound-again", test_moved_virq_can_be_bound_again);
	g_test_add_func("/evtchn/lowest-port-first", test_lowest_port_first);
	g_test_add_func("/evtchn/backend-unbind", test_backend_unbind);
	g_test_add_func("/evtchn/model", test_model);
	g_test_add_func("/evtchn/full-table", test_full_table);
	g_test_add_func("/evtchn/every-errno-was-reached", test_every_errno_was_reached);
	return g_test_run();
}
