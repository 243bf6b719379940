// SPDX-License-Identifier: MIT
#include "backend/ring_claims.h"

#include <stddef.h>

#include "backend/xenbus.h"
#include "vmm/guest_memory.h"
#include "xen/domid.h"
#include "xen/grant.h"

#define PAGE_BYTES 4096u

static uint8_t *claim(struct ring_claims *claims, uint32_t ref)
{
	const struct ring_access *access = claims->access;
	struct grant_page page;

	pthread_mutex_lock(access->grants_lock);
	int16_t status = grant_acquire(access->grants, ref, BACKEND_DOMID, false, true, &page);
	pthread_mutex_unlock(access->grants_lock);
	if (status != GNTST_okay)
		return NULL;
	claims->refs[claims->n_refs++] = ref;
	if (page.gfn > UINT64_MAX / PAGE_BYTES - 1)
		return NULL;
	return guest_memory_span(access->memory, page.gfn * PAGE_BYTES, PAGE_BYTES);
}

uint8_t *ring_claims_page(struct ring_claims *claims, const struct xenbus_device *bus, const char *key, const char **why)
{
	uint8_t *page = NULL;
	uint32_t ref;

	if (claims->n_refs == RING_CLAIMS_PAGES_MAX)
		*why = "there are too many ring pages";
	else if (!xenbus_read_number(bus, key, &ref))
		*why = "a ring-ref is missing, or not a number";
	else if (!(page = claim(claims, ref)))
		*why = "a ring-ref is not a grant of a page of RAM to domain 0";
	return page;
}

const struct backend_port *ring_claims_port(struct ring_claims *claims, const struct xenbus_device *bus, const char *key,
					    const char **why)
{
	const struct ring_access *access = claims->access;
	struct backend_port *port = &claims->ports[claims->n_ports];
	uint32_t number;

	if (claims->n_ports == RING_CLAIMS_PORTS_MAX)
		*why = "there are too many event channels";
	else if (!xenbus_read_number(bus, key, &number))
		*why = "an event-channel is missing, or not a number";
	else if (!access->ports->bind(access->ports_opaque, number, port))
		*why = "an event-channel does not wait for domain 0";
	else
		return &claims->ports[claims->n_ports++];
	return NULL;
}

void ring_claims_release(struct ring_claims *claims)
{
	const struct ring_access *access = claims->access;

	while (claims->n_ports > 0)
		access->ports->unbind(access->ports_opaque, &claims->ports[--claims->n_ports]);
	pthread_mutex_lock(access->grants_lock);
	while (claims->n_refs > 0)
		grant_release(access->grants, claims->refs[--claims->n_refs], false);
	pthread_mutex_unlock(access->grants_lock);
}
