// SPDX-License-Identifier: MIT
/*
 * A network interface as the launcher has opened it, before there is a machine: its link, and what the guest is told.
 *
 * Opening may create a tap, put it into a bridge, or start passt, which ends when the interface is closed.
 */
#pragma once

#include <stdint.h>

#include <glib.h>

#include "backend/net_link.h"

#define NIC_MAC_BYTES 6u

struct vif_config;

struct nic {
	uint32_t number;
	uint8_t mac[NIC_MAC_BYTES];
	char *where;           /* "tap dom1-0", "user (passt)": for a line about it */
	struct net_link link;
	char *socket_path;     /* NULL, or to be removed */
};

/*
 * All of a domain's; on failure none is open, and nothing runs. configs: of struct vif_config *, settled. DOM1_STATUS_USAGE,
 * DOM1_STATUS_FILE: no such interface, no right to it, nobody listens. DOM1_STATUS_HOST: no tap here, no passt here.
 * n_queues: as many as a tap is asked for.
 */
gboolean nics_open(struct nic **nics, size_t *n_nics, const GPtrArray *configs, unsigned int n_queues, GError **error);
/* A socket that was made is removed. */
void nics_close(struct nic *nics, size_t n_nics);
