// SPDX-License-Identifier: MIT
/*
 * For tests of sockets: listening sockets in a folder of the test's own, clients in the same process, and a main loop
 * that is turned by hand. Nothing waits for time: a turn without anything to do is the end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <glib.h>

#include "control/ops.h"

/* A non-blocking listening socket, by folder_listen(). */
int harness_listen(const char *folder, const char *name);
/* Non-blocking. */
int harness_connect(const char *folder, const char *name);
char *harness_make_folder(void);
void harness_remove_folder(char *folder);
unsigned int harness_count_fds(void);

/* Until no source of the default context is ready. */
void harness_settle(void);

/* Sends all of it; turns the loop while the socket is full. FALSE: the other end is gone. */
bool harness_send(int fd, const void *bytes, size_t len_bytes);
/* What is there, with a NUL behind. *ended: the other end is gone. */
GString *harness_receive(int fd, bool *ended);

/* A machine that does what it is told, and remembers it. */
struct fake_machine {
	enum control_state state;
	struct xenstore *store;
	GString *log; /* "pause;trigger nmi 0;" */
	unsigned int max_vcpus;
	const char *refusal; /* what the next operation fails with */
	struct control_server *server;
	unsigned int events_in_pause; /* sent from inside the operation */
	void (*on_destroy)(void);     /* instead of remembering */
};
extern const struct control_ops FAKE_OPS;
void fake_machine_init(struct fake_machine *machine);
void fake_machine_clear(struct fake_machine *machine);

/* A value as text; "(none)": no such node. g_free() */
char *harness_read_node(struct xenstore *store, const char *path);

/*
 * A domain in a process of its own: folder, lock, pid, control.sock, xenstore.sock, and a console.sock that says
 * "hello\n" and echoes. It ends by destroy, or by SIGTERM like a launcher (its folder is removed).
 */
enum harness_manner {
	HARNESS_SERVES,
	HARNESS_HANGS,    /* nothing is served; SIGTERM does nothing */
	HARNESS_ORPHANED, /* the launcher is dead, a machine that hangs holds the lock */
};
pid_t harness_start_domain(const char *name, enum harness_manner manner);
/* By SIGKILL, if it runs still; returns wait()'s status. */
int harness_stop_domain(pid_t pid);
