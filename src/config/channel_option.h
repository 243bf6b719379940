// SPDX-License-Identifier: MIT
/* The channels of a domain, its consoles hvc1, hvc2 and so on: those of its file, then those of --channel. */
#pragma once

#include <glib.h>

#include "config/guest_config.h"

/* The last digit of the device's name is its number for Linux; 0 is the console. */
#define CHANNELS_MAX 9u

/* Appends struct channel_config *, one for each of texts (NULL-terminated). DOM1_STATUS_USAGE. */
gboolean channel_options_parse(GPtrArray *channels, char **texts, GPtrArray *warnings, GError **error);

/* Each gets a name, that of its console if it has none; more than CHANNELS_MAX are refused. */
gboolean channels_settle(GPtrArray *channels, GError **error);

/* "pty", "socket PATH", "file PATH": to be freed */
char *channel_where(const struct channel_config *channel);
