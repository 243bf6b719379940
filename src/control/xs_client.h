// SPDX-License-Identifier: MIT
/*
 * A small client of the xenstore's wire protocol, for dom1's own command: blocking, one request at a time.
 *
 * Source: docs/misc/xenstore.txt of Xen and <xen/io/xs_wire.h>.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

struct domain_folder;
struct xs_client;

struct xs_client *xs_client_new(const struct domain_folder *folder, unsigned int timeout_ms, GError **error);
void xs_client_free(struct xs_client *client);

/*
 * All: FALSE or NULL, and an error: DOM1_STATUS_TEST_FAILED when the store refused ("ENOENT" and such are in the line),
 * else as control_client_call().
 */
GBytes *xs_client_read(struct xs_client *client, const char *path, GError **error); /* with a NUL behind its size */
gboolean xs_client_write(struct xs_client *client, const char *path, const char *value, GError **error);
gboolean xs_client_remove(struct xs_client *client, const char *path, GError **error);
/* Sorted, NULL at the end; g_strfreev(). */
char **xs_client_list(struct xs_client *client, const char *path, GError **error);

gboolean xs_client_watch(struct xs_client *client, const char *path, GError **error);
/* The path of the next event, g_free(); waits without a bound. NULL and no error: the domain has ended. */
char *xs_client_event(struct xs_client *client, GError **error);
