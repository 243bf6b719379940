// SPDX-License-Identifier: MIT
/* --vhost-user SOCKET,type=WORD[,queues=N]: a virtio device that another process is. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#define VHOST_MAX_DEVICES 4u

struct vhost_option {
	char *path;
	char *type;             /* as it was given */
	uint16_t virtio_id;     /* <linux/virtio_ids.h> */
	uint32_t class_code;
	unsigned int n_queues;  /* 1 to VIRTIO_MAX_QUEUES */
};

void vhost_option_free(struct vhost_option *option);
/* Of struct vhost_option *, appended to options. words: ended by NULL, or NULL. DOM1_STATUS_USAGE. */
bool vhost_options_parse(GPtrArray *options, char **words, GError **error);
