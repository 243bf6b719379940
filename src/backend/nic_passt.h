// SPDX-License-Identifier: MIT
/*
 * User networking by passt, a process of its own that sandboxes itself: it is started by the launcher, says that it is
 * ready by going to the background, and ends when the other end of its socket is closed.
 */
#pragma once

#include <glib.h>

struct vif_config;

/* Our end of the socket, non-blocking; -1 and DOM1_STATUS_HOST: it is not installed, or does not start. */
int nic_passt_start(const struct vif_config *vif, GError **error);
