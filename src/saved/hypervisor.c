// SPDX-License-Identifier: MIT
#include "saved/hypervisor.h"

#include "vmm/layout.h"

#define ABSENT_MAX_BYTES (UINT32_C(1) << 25)

static void write_events(GByteArray *to, const struct evtchn_table *events)
{
	uint32_t n = 0;

	for (uint32_t port = 1; port < EVTCHN_N_PORTS; port++)
		n += events->ports[port].kind != EVTCHN_FREE;
	saved_put_u32(to, events->n_ports);
	saved_put_u32(to, n);
	for (uint32_t port = 1; port < EVTCHN_N_PORTS; port++) {
		const struct evtchn_port *entry = &events->ports[port];

		if (entry->kind == EVTCHN_FREE)
			continue;
		saved_put_u32(to, port);
		saved_put_u8(to, entry->kind);
		saved_put_u8(to, entry->reserved);
		saved_put_number(to, entry->remote_domid, 2);
		saved_put_number(to, entry->virq, 2);
		saved_put_number(to, entry->vcpu, 2);
		saved_put_u32(to, entry->remote_port);
	}
}

/* The table checks what they mean. */
static bool read_events(struct saved_cursor *from, struct evtchn_table *events, unsigned int n_vcpus)
{
	evtchn_init(events, n_vcpus);
	events->n_ports = saved_get_count(from, EVTCHN_N_PORTS);
	uint32_t n = saved_get_count(from, EVTCHN_N_PORTS);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t port = saved_get_count(from, EVTCHN_N_PORTS - 1);
		struct evtchn_port *entry = &events->ports[port];

		entry->kind = saved_get_u8(from);
		entry->reserved = saved_get_flag(from);
		entry->remote_domid = (uint16_t)saved_get_number(from, 2);
		entry->virq = (uint16_t)saved_get_number(from, 2);
		entry->vcpu = (uint16_t)saved_get_number(from, 2);
		entry->remote_port = saved_get_u32(from);
	}
	return !from->failed && evtchn_take_over(events);
}

static void write_timers(GByteArray *to, const struct saved_timers *timers)
{
	for (unsigned int i = 0; i < EVTCHN_MAX_VCPUS; i++) {
		saved_put_u64(to, timers->singleshot_ns[i]);
		saved_put_u64(to, timers->periodic_ns[i]);
		saved_put_u64(to, timers->period_ns[i]);
	}
	for (unsigned int i = 0; i < TIMERS_N_WATCHDOGS; i++)
		saved_put_u64(to, timers->watchdog_ns[i]);
}

static void read_timers(struct saved_cursor *from, struct saved_timers *timers)
{
	for (unsigned int i = 0; i < EVTCHN_MAX_VCPUS; i++) {
		timers->singleshot_ns[i] = saved_get_u64(from);
		timers->periodic_ns[i] = saved_get_u64(from);
		timers->period_ns[i] = saved_get_u64(from);
		/* One without a period would be due again at once, for ever. */
		from->failed |= timers->periodic_ns[i] != UINT64_MAX && timers->period_ns[i] == 0;
	}
	for (unsigned int i = 0; i < TIMERS_N_WATCHDOGS; i++)
		timers->watchdog_ns[i] = saved_get_u64(from);
}

void saved_hypervisor_write(GByteArray *to, const struct saved_hypervisor *hypervisor, unsigned int n_pages)
{
	saved_put_u8(to, hypervisor->is_64bit);
	saved_put_u8(to, hypervisor->upcall_vector);
	saved_put_u8(to, hypervisor->has_runstate_flag);
	saved_put_u32(to, hypervisor->xenstore_port);
	saved_put_u32(to, hypervisor->console_port);
	saved_put_u64(to, hypervisor->shim_pages);
	write_events(to, &hypervisor->events);
	saved_put_u32(to, hypervisor->n_grant_frames);
	saved_put_u32(to, hypervisor->grant_version);
	for (unsigned int i = 0; i < n_pages; i++)
		saved_put_u64(to, hypervisor->page_gfns[i]);
	saved_put_u32(to, HVM_NR_PARAMS);
	for (unsigned int i = 0; i < HVM_NR_PARAMS; i++)
		saved_put_u64(to, hypervisor->params[i]);
	write_timers(to, &hypervisor->timers);
	saved_put_block(to, hypervisor->pages, n_pages * LAYOUT_PAGE_BYTES);
	saved_put_block(to, hypervisor->absent, hypervisor->absent_bytes);
}

bool saved_hypervisor_read(struct saved_hypervisor *hypervisor, struct saved_cursor from, const struct saved_domain *domain)
{
	const unsigned int n_pages = pages_number(domain->max_grant_frames);
	size_t pages_bytes;

	*hypervisor = (struct saved_hypervisor){ .is_64bit = saved_get_flag(&from) };
	hypervisor->upcall_vector = saved_get_u8(&from);
	hypervisor->has_runstate_flag = saved_get_flag(&from);
	hypervisor->xenstore_port = saved_get_count(&from, EVTCHN_N_PORTS - 1);
	hypervisor->console_port = saved_get_count(&from, EVTCHN_N_PORTS - 1);
	hypervisor->shim_pages = saved_get_u64(&from);
	if (!read_events(&from, &hypervisor->events, domain->max_vcpus))
		return false;
	hypervisor->n_grant_frames = saved_get_count(&from, domain->max_grant_frames);
	hypervisor->grant_version = saved_get_count(&from, domain->has_shim ? 1 : 2);
	for (unsigned int i = 0; i < PAGES_MAX; i++)
		hypervisor->page_gfns[i] = i < n_pages ? saved_get_u64(&from) : PAGES_NOWHERE;
	from.failed |= saved_get_u32(&from) != HVM_NR_PARAMS;
	for (unsigned int i = 0; i < HVM_NR_PARAMS; i++)
		hypervisor->params[i] = saved_get_u64(&from);
	read_timers(&from, &hypervisor->timers);
	hypervisor->pages = saved_get_block(&from, PAGES_MAX * LAYOUT_PAGE_BYTES, &pages_bytes);
	hypervisor->absent = saved_get_block(&from, ABSENT_MAX_BYTES, &hypervisor->absent_bytes);
	const struct evtchn_port *ports = hypervisor->events.ports;
	return !saved_is_wrong(&from) && pages_bytes == n_pages * LAYOUT_PAGE_BYTES && hypervisor->n_grant_frames > 0 &&
	       hypervisor->grant_version > 0 && hypervisor->xenstore_port != hypervisor->console_port &&
	       ports[hypervisor->xenstore_port].reserved && ports[hypervisor->console_port].reserved;
}
