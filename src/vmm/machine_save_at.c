// SPDX-License-Identifier: MIT
/*
 * --save-at: a domain is saved by itself when it has come so far. Main thread. What is heard is heard under the locks of the console
 * or the store; the save comes by the event loop, when nobody holds any.
 */
#include "backend/console.h"
#include "config/save_at.h"
#include "harness/console_lines.h"
#include "vmm/machine_state.h"

static gboolean on_moment(gpointer opaque)
{
	struct machine *machine = opaque;
	const struct machine_setup *setup = machine->setup;
	g_autoptr(GError) error = NULL;
	uint64_t stored_bytes;

	machine->save_at_source = 0;
	/* Once: a guest that comes there again and again would have us write again and again. */
	machine->save_at_tried = true;
	if (!machine_save(machine, false, setup->save_at_fd, &stored_bytes, &error))
		machine_say(machine, "--save-at=%s: %s; it goes on", setup->config->save_at->path, error->message);
	return G_SOURCE_REMOVE;
}

static void save_soon(struct machine *machine)
{
	if (!machine->save_at_source && !machine->save_at_tried)
		machine->save_at_source = g_idle_add_full(G_PRIORITY_HIGH, on_moment, machine, NULL);
}

static void on_line(void *opaque, const char *line)
{
	struct machine *machine = opaque;

	if (save_at_is_line(machine->setup->config->save_at, line, true))
		save_soon(machine);
}

static void on_output(void *opaque, const uint8_t *bytes, size_t len_bytes)
{
	struct machine *machine = opaque;

	console_lines_feed(machine->save_at_lines, bytes, len_bytes, on_line, machine);
	if (save_at_is_line(machine->setup->config->save_at, console_lines_unfinished(machine->save_at_lines), false))
		save_soon(machine);
}

void machine_listen_save_at(struct machine *machine, struct console_files *files)
{
	const struct machine_setup *setup = machine->setup;

	g_clear_pointer(&machine->save_at_lines, g_free);
	if (setup->save_at_fd < 0 || !setup->config->save_at->pattern)
		return;
	machine->save_at_lines = g_new0(struct console_lines, 1);
	files->on_output = on_output;
	files->on_output_opaque = machine;
}

void machine_save_at_mark(struct machine *machine, const char *mark)
{
	/* Before it runs, the mark is one that a saved domain was saved with. */
	if (machine->running && machine->setup->save_at_fd >= 0 && save_at_is_mark(machine->setup->config->save_at, mark))
		save_soon(machine);
}
