// SPDX-License-Identifier: MIT
/*
 * The machine process locks itself in, without privileges, in stages that its start-up calls by name:
 *
 *   launcher   everything is open
 *   between    sandbox_enter_namespaces(): user, network, IPC, UTS, mount and PID namespaces
 *   machine    sandbox_lock_down(): an empty root, Landlock, no capabilities, no new privileges, limits
 *
 * What is missing on a host makes the sandbox weaker, and is told: in the report, by dom1 check. With --sandbox=strict it
 * ends the start.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

struct record;

enum sandbox_mode {
	SANDBOX_ON,     /* what the host allows */
	SANDBOX_OFF,
	SANDBOX_STRICT, /* all of it, or no domain */
};

enum sandbox_layer {
	SANDBOX_USER_NAMESPACE,
	SANDBOX_NETWORK_NAMESPACE,
	SANDBOX_IPC_NAMESPACE,
	SANDBOX_PID_NAMESPACE,
	SANDBOX_EMPTY_ROOT,
	SANDBOX_LANDLOCK,
	SANDBOX_NO_CAPABILITIES,
	SANDBOX_LIMITS,
	SANDBOX_N_LAYERS,
};

extern const char *const SANDBOX_LAYER_NAMES[SANDBOX_N_LAYERS];

/* What the machine is and has: made before the fork, filled on the way. */
struct sandbox {
	enum sandbox_mode mode;
	struct record *record; /* its layers are noted there */
};

/*
 * A process with one thread and nothing to lose: it is the parent of the machine, not the machine, since who makes a PID
 * namespace is not in it.
 */
void sandbox_enter_namespaces(const struct sandbox *sandbox);

/* Folders that stay within reach, for removing what is in them; -1: none. */
struct sandbox_folders {
	int folder_fd; /* its files */
	int parent_fd; /* folders in it */
};

/* The machine, while it has one thread. FALSE and DOM1_STATUS_HOST: with SANDBOX_STRICT, something is missing. */
bool sandbox_lock_down(const struct sandbox *sandbox, const struct sandbox_folders *folders, GError **error);
