// SPDX-License-Identifier: MIT
/*
 * What a Linux says before --timeout ends it: it gets the SysRq keys of --timeout-sysrq one by one, and is heard until it is
 * silent. Main thread.
 *
 * There are two ways to its ears. control/sysrq in the xenstore comes first: Linux empties the node when it has taken the key.
 * But it is xenwatch that does so, the thread that also connects devices, and a guest hangs just there when a disk does not answer.
 * So a key that is not taken in time, and all keys when nobody watches the node, are typed on the console: for Linux' hvc
 * (drivers/tty/hvc/hvc_console.c) a ^O says that the next byte is a SysRq key.
 */
#include "backend/console.h"
#include "control/domain_ops.h"
#include "vmm/machine_state.h"

#define LOOK_MS         100
#define LOOKS_MAX       60
#define QUIET_LOOKS_MAX 10
#define TAKE_LOOKS_MAX  10
#define SYSRQ_BYTE      0x0f

static gboolean end_of_last_words(struct machine *machine)
{
	machine->last_words.source = 0;
	machine->told_to_stop = OUTCOME_TIMEOUT;
	machine_record_stop(machine->setup, OUTCOME_TIMEOUT);
	g_main_loop_quit(machine->loop);
	return G_SOURCE_REMOVE;
}

/* From now on keys are typed; the one in the node is not to come a second time. */
static void turn_to_console(struct machine *machine)
{
	machine->last_words.is_typing = true;
	domain_withdraw_sysrq(machine->store);
}

static void send_key(struct machine *machine, char key)
{
	const uint8_t typed[] = { SYSRQ_BYTE, (uint8_t)key };
	bool heeded = false;

	if (!machine->last_words.is_typing && (!domain_ask_sysrq(machine->store, key, &heeded, NULL) || !heeded))
		turn_to_console(machine);
	if (machine->last_words.is_typing)
		console_type(machine->console, typed, sizeof(typed));
}

static gboolean on_look(gpointer opaque)
{
	struct machine *machine = opaque;
	struct last_words *words = &machine->last_words;
	const uint32_t bytes = atomic_load(&machine->vm.record->evidence.console.total_bytes);

	if (++words->n_looks >= LOOKS_MAX)
		return end_of_last_words(machine);
	words->n_quiet_looks = bytes == words->heard_bytes ? words->n_quiet_looks + 1 : 0;
	words->heard_bytes = bytes;
	if (!words->is_typing && domain_sysrq_waits(machine->store)) {
		if (++words->n_waited_looks < TAKE_LOOKS_MAX)
			return G_SOURCE_CONTINUE;
		turn_to_console(machine);
		words->keys_left--;
	}
	if (*words->keys_left == '\0')
		return words->n_quiet_looks >= QUIET_LOOKS_MAX ? end_of_last_words(machine) : G_SOURCE_CONTINUE;
	send_key(machine, *words->keys_left++);
	words->n_quiet_looks = words->n_waited_looks = 0;
	return G_SOURCE_CONTINUE;
}

void machine_hear_last_words(struct machine *machine)
{
	if (machine->last_words.source || !machine->running)
		return;
	machine->last_words = (struct last_words){
		.keys_left = machine->setup->config->timeout_sysrq,
		.heard_bytes = atomic_load(&machine->vm.record->evidence.console.total_bytes),
		.source = g_timeout_add(LOOK_MS, on_look, machine),
	};
}
