// SPDX-License-Identifier: MIT
/* Opens taps: those that are there, and, with the right to, new ones, which go with the domain. */
#pragma once

#include <glib.h>

#include "backend/net_link.h"

/*
 * ifname: NULL, the kernel finds one. bridge: NULL, or where the tap is put. n_queues: as many as are wanted; a tap that
 * was made with one has one. DOM1_STATUS_HOST: no taps on this host. DOM1_STATUS_FILE: this one cannot be used.
 */
gboolean nic_tap_open(struct net_link *link, const char *ifname, const char *bridge, unsigned int n_queues, GError **error);
