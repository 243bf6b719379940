// SPDX-License-Identifier: MIT
/* What the record says is copied once and clamped: the machine that wrote it may have been taken over by its guest. */
#include "vmm/report.h"

#include <errno.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "control/json_text.h"
#include "vmm/error.h"
#include "vmm/evidence_print.h"
#include "vmm/json_members.h"
#include "vmm/launcher.h"
#include "vmm/machine.h"
#include "vmm/write_whole.h"

#define REPORT_VERSION 1

static void add_host(json_t *report)
{
	json_t *host = json_add_object(report, "host");
	struct utsname uts;

	if (uname(&uts) == 0) {
		json_add_string(host, "kernel", uts.release);
		json_add_string(host, "architecture", uts.machine);
	}
	json_add_count(host, "cpus", (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
}

/* The layers that hold; none without a sandbox. */
static void add_sandbox(json_t *machine, const struct record *record)
{
	const uint32_t layers = atomic_load(&record->sandbox_layers);
	json_t *sandbox = json_add_array(machine, "sandbox");

	for (unsigned int layer = 0; layer < SANDBOX_N_LAYERS; layer++)
		if (layers & UINT32_C(1) << layer)
			json_array_append_new(sandbox, json_string(SANDBOX_LAYER_NAMES[layer]));
}

static void add_machine(json_t *report, const struct machine_setup *setup)
{
	const struct vm_config *config = setup->config;
	json_t *machine = json_add_object(report, "machine");

	json_add_string(machine, "kernel", config->kernel_path);
	if (config->initrd_path)
		json_add_string(machine, "initrd", config->initrd_path);
	json_add_string(machine, "append", config->guest_command_line);
	json_add_string(machine, "type", config->type == GUEST_PVH ? "pvh" : "pv");
	if (config->type == GUEST_PV) {
		json_add_string(machine, "shim", config->shim_path);
		json_add_string(machine, "shim_entry", config->entry == BOOT_ENTRY_PVH ? "pvh" : "multiboot");
	}
	json_add_count(machine, "memory_kib", setup->layout.ram_bytes / 1024);
	json_add_count(machine, "vcpus", config->n_vcpus);
	add_sandbox(machine, setup->record);
}

static void add_phases(json_t *report, struct record *record)
{
	uint32_t n_events = MIN(atomic_load(&record->n_events), (uint32_t)RECORD_MAX_EVENTS);
	json_t *phases = json_add_array(report, "phases");

	for (uint32_t i = 0; i < n_events; i++) {
		struct record_event event = record->events[i];

		if (event.phase == 0 || event.phase > N_PHASES)
			continue;
		event.text[sizeof(event.text) - 1] = '\0';
		json_t *phase = json_append_object(phases);
		json_add_string(phase, "phase", PHASE_NAMES[event.phase - 1]);
		json_add_count(phase, "t_ns", event.t_ns);
		if (event.generation > 0)
			json_add_count(phase, "restart", event.generation);
		if (event.private_kib > 0)
			json_add_count(phase, "private_kib", event.private_kib);
		if (event.text[0] != '\0')
			json_add_string(phase, event.phase - 1 == PHASE_MARK ? "text" : "path", event.text);
	}
}

static void add_counters(json_t *report, struct record *record)
{
	json_t *counters = json_add_object(report, "counters");
	json_t *exits = json_add_object(counters, "exits"), *hypercalls = json_add_object(counters, "hypercalls");

	for (unsigned int i = 0; i < N_EXIT_KINDS; i++)
		json_add_count(exits, EXIT_KIND_NAMES[i], atomic_load(&record->exits[i]));
	for (unsigned int i = 0; i < RECORD_N_HYPERCALLS; i++) {
		uint64_t count = atomic_load(&record->hypercalls[i]);
		g_autofree char *number = g_strdup_printf("%u", i);

		if (count > 0)
			json_add_count(hypercalls, number, count);
	}
	json_add_count(counters, "restarts", atomic_load(&record->generation));
}

/* A number of 64 bits as text: JSON's have fewer. */
static void add_inject(json_t *report, const struct inject_plan *plan, struct record *record)
{
	json_t *inject = json_add_object(report, "inject");
	json_t *faults = json_add_array(inject, "faults"), *counts = json_add_object(inject, "counts");

	for (size_t i = 0; i < plan->n_rules; i++) {
		g_autofree char *seed = g_strdup_printf("%" G_GUINT64_FORMAT, plan->rules[i].seed);
		json_t *fault = json_append_object(faults);

		json_add_string(fault, "fault", plan->rules[i].text);
		if (plan->rules[i].is_random)
			json_add_string(fault, "seed", seed);
	}
	for (unsigned int i = 0; i < INJECT_N_EFFECTS; i++)
		json_add_count(counts, INJECT_EFFECT_NAMES[i], atomic_load(&record->injected[i]));
}

static void add_memory(json_t *report, const struct machine_setup *setup)
{
	json_t *memory = json_add_object(report, "memory");

	json_add_count(memory, "peak_private_kib", atomic_load(&setup->record->peak_private_kib));
	json_add_string(memory, "backing", MEMORY_BACKING_NAMES[setup->config->memory_backing]);
	json_add_boolean(memory, "direct_map_removed", atomic_load(&setup->record->direct_map_removed));
}

static json_t *build(const struct machine_setup *setup, const struct launcher_end *end, const struct symbols *symbols)
{
	struct record *record = setup->record;
	const enum outcome outcome = record_outcome(record);
	g_autofree char *detail = record_detail(record);
	json_t *report = json_object();

	json_add_count(report, "version", REPORT_VERSION);
	json_add_string(report, "name", setup->config->name);
	json_add_string(report, "outcome", OUTCOME_NAMES[outcome]);
	json_add_count(report, "status", (uint64_t)end->status);
	if (detail)
		json_add_string(report, "detail", detail);
	add_host(report);
	add_machine(report, setup);
	add_phases(report, record);
	add_counters(report, record);
	if (setup->config->inject)
		add_inject(report, setup->config->inject, record);
	add_memory(report, setup);
	if (outcome != OUTCOME_POWEROFF && outcome != OUTCOME_REBOOT && outcome != OUTCOME_DESTROYED &&
	    outcome != OUTCOME_SAVED)
		evidence_add_json(report, record, symbols);
	return report;
}

gboolean report_write(int fd, const char *path, const struct machine_setup *setup, const struct launcher_end *end,
		      const struct symbols *symbols, GError **error)
{
	g_autofree char *text = json_text_pretty(build(setup, end, symbols));
	int rc = write_whole(fd, text, strlen(text));

	if (rc != 0)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "%s: cannot write the report: %s", path, g_strerror(rc));
	return rc == 0;
}
