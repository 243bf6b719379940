// SPDX-License-Identifier: MIT
/* The network interfaces of a domain: those of its file, then those of --net, each with its address settled. */
#pragma once

#include <glib.h>

#include "config/guest_config.h"

/* Appends struct vif_config *, one for each of texts (NULL-terminated). DOM1_STATUS_USAGE. */
gboolean net_options_parse(GPtrArray *vifs, char **texts, GPtrArray *warnings, GError **error);

/*
 * "none" goes, and what was not said gets a value: the kind (user for --net, xl's bridge xenbr0 for a file) and the MAC,
 * always the same for the same domain name and place in the list. What contradicts itself and what dom1 does not have yet
 * is refused: DOM1_STATUS_USAGE for --net, DOM1_STATUS_FILE for a file.
 */
gboolean nets_settle(GPtrArray *vifs, const char *domain_name, GPtrArray *warnings, GError **error);

/* "user (passt)", "tap tap0", "bridge br0", "socket PATH" */
char *net_where(const struct vif_config *vif);

/* A forward of user networking: "tcp:127.0.0.1:2222-:22". */
struct net_forward {
	gboolean udp;
	char *host_address; /* NULL: any */
	unsigned int host_port, guest_port;
};
/* FALSE: it is none. host_address is the caller's. */
gboolean net_forward_parse(const char *text, struct net_forward *forward);
