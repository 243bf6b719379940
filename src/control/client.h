// SPDX-License-Identifier: MIT
/*
 * The other end of control.sock, for commands: blocking, one request at a time.
 *
 * What the machine says is not believed to be well-formed: a guest may have broken out into it. Texts are for the
 * person's terminal only after json_text_parse(), and without control characters.
 */
#pragma once

#include "vmm/json_members.h"

struct control_client;
struct domain_folder;

/* timeout_ms: how long any answer may take; 0: no bound. NULL: an error of domain_folder_connect(). */
struct control_client *control_client_new(const struct domain_folder *folder, unsigned int timeout_ms, GError **error);
void control_client_free(struct control_client *client);

/*
 * arguments (may be NULL) is taken over. Returns what "return" holds; it is the caller's. NULL: DOM1_STATUS_USAGE
 * (refused, or the domain ended), DOM1_STATUS_TIMEOUT, DOM1_STATUS_DEFECT (no JSON came).
 * Events that come meanwhile are kept for control_client_event().
 */
json_t *control_client_call(struct control_client *client, const char *command, json_t *arguments, GError **error);

/* The same, and descriptors go with the request; they stay the caller's. */
json_t *control_client_call_with_fds(struct control_client *client, const char *command, json_t *arguments,
				     const int *fds, unsigned int n_fds, GError **error);

/*
 * The next event, as the line that came, g_free(). Waits without a bound. NULL and no error: the domain has ended, or
 * at least its machine has.
 */
char *control_client_event(struct control_client *client, GError **error);

/* The name of the next event that has come, g_free(); waits for nothing. NULL: none has, or the domain has ended. */
char *control_client_poll_event(struct control_client *client);

/* Members of what a machine sent, be it an object or not: what is not there, or of another type, is the default. */
int64_t control_get_int(const json_t *object, const char *name, int64_t otherwise);
/* Without control characters: g_free(). */
char *control_get_text(const json_t *object, const char *name, const char *otherwise);
