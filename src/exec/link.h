// SPDX-License-Identifier: MIT
/*
 * The host's end of dom1 exec's hvc1: standard input goes to the guest, standard output and error come from it, and the
 * command's status at the end (wire.h). Nothing waits for the guest but who reads from us.
 *
 * Thread: the one of the main context.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct exec_link;

/* Once: the command has ended, or (in_order FALSE) the guest has sent what is no frame. */
typedef void (*exec_link_ended)(bool in_order, void *opaque);

/* socket_path: where dom1 run will listen, soon. */
struct exec_link *exec_link_new(const char *socket_path, exec_link_ended ended, void *opaque);

/* dom1 run has ended: takes what is still on its way. TRUE: the command had this status. */
bool exec_link_finish(struct exec_link *link, uint8_t *status);
void exec_link_free(struct exec_link *link);
