// SPDX-License-Identifier: MIT
/* What the record says is copied once and clamped: the machine that wrote it may have been taken over by its guest. */
#include "vmm/report.h"

#include <errno.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "vmm/error.h"
#include "vmm/evidence_print.h"
#include "vmm/json_members.h"
#include "vmm/launcher.h"
#include "vmm/machine.h"

#define REPORT_VERSION 1

static void add_host(JsonBuilder *json)
{
	struct utsname uts;

	json_begin_object(json, "host");
	if (uname(&uts) == 0) {
		json_add_string(json, "kernel", uts.release);
		json_add_string(json, "architecture", uts.machine);
	}
	json_add_count(json, "cpus", (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
	json_builder_end_object(json);
}

/* The layers that hold; none without a sandbox. */
static void add_sandbox(JsonBuilder *json, const struct record *record)
{
	const uint32_t layers = atomic_load(&record->sandbox_layers);

	json_builder_set_member_name(json, "sandbox");
	json_builder_begin_array(json);
	for (unsigned int layer = 0; layer < SANDBOX_N_LAYERS; layer++)
		if (layers & UINT32_C(1) << layer)
			json_builder_add_string_value(json, SANDBOX_LAYER_NAMES[layer]);
	json_builder_end_array(json);
}

static void add_machine(JsonBuilder *json, const struct machine_setup *setup)
{
	const struct vm_config *config = setup->config;

	json_begin_object(json, "machine");
	json_add_string(json, "kernel", config->kernel_path);
	if (config->initrd_path)
		json_add_string(json, "initrd", config->initrd_path);
	json_add_string(json, "append", config->guest_command_line);
	json_add_string(json, "type", config->type == GUEST_PVH ? "pvh" : "pv");
	if (config->type == GUEST_PV) {
		json_add_string(json, "shim", config->shim_path);
		json_add_string(json, "shim_entry", config->entry == BOOT_ENTRY_PVH ? "pvh" : "multiboot");
	}
	json_add_count(json, "memory_kib", setup->layout.ram_bytes / 1024);
	json_add_count(json, "vcpus", config->n_vcpus);
	add_sandbox(json, setup->record);
	json_builder_end_object(json);
}

static void add_phases(JsonBuilder *json, struct record *record)
{
	uint32_t n_events = MIN(atomic_load(&record->n_events), (uint32_t)RECORD_MAX_EVENTS);

	json_builder_set_member_name(json, "phases");
	json_builder_begin_array(json);
	for (uint32_t i = 0; i < n_events; i++) {
		struct record_event event = record->events[i];

		if (event.phase == 0 || event.phase > N_PHASES)
			continue;
		event.text[sizeof(event.text) - 1] = '\0';
		json_builder_begin_object(json);
		json_add_string(json, "phase", PHASE_NAMES[event.phase - 1]);
		json_add_count(json, "t_ns", event.t_ns);
		if (event.generation > 0)
			json_add_count(json, "restart", event.generation);
		if (event.private_kib > 0)
			json_add_count(json, "private_kib", event.private_kib);
		if (event.text[0] != '\0')
			json_add_string(json, event.phase - 1 == PHASE_MARK ? "text" : "path", event.text);
		json_builder_end_object(json);
	}
	json_builder_end_array(json);
}

static void add_counters(JsonBuilder *json, struct record *record)
{
	json_begin_object(json, "counters");
	json_begin_object(json, "exits");
	for (unsigned int i = 0; i < N_EXIT_KINDS; i++)
		json_add_count(json, EXIT_KIND_NAMES[i], atomic_load(&record->exits[i]));
	json_builder_end_object(json);
	json_begin_object(json, "hypercalls");
	for (unsigned int i = 0; i < RECORD_N_HYPERCALLS; i++) {
		uint64_t count = atomic_load(&record->hypercalls[i]);
		g_autofree char *number = g_strdup_printf("%u", i);

		if (count > 0)
			json_add_count(json, number, count);
	}
	json_builder_end_object(json);
	json_add_count(json, "restarts", atomic_load(&record->generation));
	json_builder_end_object(json);
}

/* A number of 64 bits as text: JSON's have fewer. */
static void add_inject(JsonBuilder *json, const struct inject_plan *plan, struct record *record)
{
	json_begin_object(json, "inject");
	json_builder_set_member_name(json, "faults");
	json_builder_begin_array(json);
	for (size_t i = 0; i < plan->n_rules; i++) {
		g_autofree char *seed = g_strdup_printf("%" G_GUINT64_FORMAT, plan->rules[i].seed);

		json_builder_begin_object(json);
		json_add_string(json, "fault", plan->rules[i].text);
		if (plan->rules[i].is_random)
			json_add_string(json, "seed", seed);
		json_builder_end_object(json);
	}
	json_builder_end_array(json);
	json_begin_object(json, "counts");
	for (unsigned int i = 0; i < INJECT_N_EFFECTS; i++)
		json_add_count(json, INJECT_EFFECT_NAMES[i], atomic_load(&record->injected[i]));
	json_builder_end_object(json);
	json_builder_end_object(json);
}

static JsonNode *build(const struct machine_setup *setup, const struct launcher_end *end, const struct symbols *symbols)
{
	struct record *record = setup->record;
	uint32_t outcome = atomic_load(&record->outcome);
	char detail[sizeof(record->detail)];
	g_autoptr(JsonBuilder) json = json_builder_new();

	memcpy(detail, record->detail, sizeof(detail));
	detail[sizeof(detail) - 1] = '\0';
	json_builder_begin_object(json);
	json_add_count(json, "version", REPORT_VERSION);
	json_add_string(json, "name", setup->config->name);
	json_add_string(json, "outcome", OUTCOME_NAMES[outcome < N_OUTCOMES ? outcome : OUTCOME_HOST_ERROR]);
	json_add_count(json, "status", (uint64_t)end->status);
	if (detail[0] != '\0' && atomic_load(&record->detail_ready))
		json_add_string(json, "detail", detail);
	add_host(json);
	add_machine(json, setup);
	add_phases(json, record);
	add_counters(json, record);
	if (setup->config->inject)
		add_inject(json, setup->config->inject, record);
	json_begin_object(json, "memory");
	json_add_count(json, "peak_private_kib", atomic_load(&record->peak_private_kib));
	json_add_string(json, "backing", MEMORY_BACKING_NAMES[setup->config->memory_backing]);
	json_add_boolean(json, "direct_map_removed", atomic_load(&record->direct_map_removed));
	json_builder_end_object(json);
	if (outcome != OUTCOME_POWEROFF && outcome != OUTCOME_REBOOT && outcome != OUTCOME_DESTROYED)
		evidence_add_json(json, record, symbols);
	json_builder_end_object(json);
	return json_builder_get_root(json);
}

gboolean report_write(int fd, const char *path, const struct machine_setup *setup, const struct launcher_end *end,
		      const struct symbols *symbols, GError **error)
{
	g_autoptr(JsonNode) root = build(setup, end, symbols);
	g_autofree char *text = json_to_string(root, TRUE);
	g_autofree char *line = g_strconcat(text, "\n", NULL);
	size_t len_bytes = strlen(line);

	for (size_t done = 0; done < len_bytes;) {
		ssize_t written = write(fd, line + done, len_bytes - done);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0) {
			g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "%s: cannot write the report: %s", path, g_strerror(errno));
			return FALSE;
		}
		done += (size_t)written;
	}
	return TRUE;
}
