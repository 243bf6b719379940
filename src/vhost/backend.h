// SPDX-License-Identifier: MIT
/*
 * A vhost-user back end as a domain gets it: connected, and asked for all that must be known before the guest's addresses are
 * laid out. The launcher's part; vhost/device.h goes on with it in the machine.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "config/vhost_option.h"
#include "vhost/link.h"

struct vhost_backend {
	const struct vhost_option *option;
	struct vhost_link link;
	uint64_t features;  /* of the device, that its driver may use */
	uint64_t reserved_features; /* that only we know of: to be set with the driver's */
	bool has_shmem;
	uint8_t shmid;
	uint64_t shmem_bytes; /* a power of two, 2 MiB or more */
	unsigned int window;  /* of the domain's, for it; who lays them out says which */
	uint8_t config[VHOST_CONFIG_BYTES];
	uint32_t config_bytes; /* of them the back end's */
	bool config_is_old; /* the back end has said so */
};

/* Waits for the back end's answers. FALSE: DOM1_STATUS_USAGE, it is none that can be used; nothing is open then. */
bool vhost_backend_open(struct vhost_backend *backend, const struct vhost_option *option, GError **error);
void vhost_backend_close(struct vhost_backend *backend);
