// SPDX-License-Identifier: MIT
/* A listening socket that was given to us: takes clients in, one a turn of the loop. */
#pragma once

struct listener;

/* on_client owns the new descriptor, which is non-blocking. listen_fd is borrowed. Main context's thread. */
struct listener *listener_new(int listen_fd, void (*on_client)(void *opaque, int client_fd), void *opaque);
void listener_free(struct listener *listener);
