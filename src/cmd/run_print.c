// SPDX-License-Identifier: MIT
/* dom1 run --dry-run: what would be started. */
#include "cmd/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "config/channel_option.h"
#include "config/net_option.h"
#include "inject/inject.h"

static void print_faults(const struct inject_plan *plan)
{
	for (size_t i = 0; plan && i < plan->n_rules; i++)
		printf("inject: %s\n", plan->rules[i].text);
}

static void print_devices(const struct vm_config *config)
{
	for (guint i = 0; i < config->disks->len; i++) {
		const struct disk_config *disk = config->disks->pdata[i];

		printf("disk %s: %s%s\n", disk->vdev, disk->target,
		       disk->label ? " (a copy, read-only)" : disk->readonly ? " (read-only)" : disk->snapshot ? " (snapshot: what is written is thrown away)" : "");
	}
	for (guint i = 0; i < config->lend_windows->len; i++) {
		const struct lending_window *window = &g_array_index(config->lend_windows, struct lending_window, i);

		printf("lend window %u: %" PRIu64 " MiB at 0x%" PRIx64, i, window->len_bytes >> 20, window->gpa);
		if (window->place == LENDING_AT_RAM)
			printf(", all RAM, of %s", config->memory_lent_path);
		else if (window->place == LENDING_AT_VHOST)
			printf(" at first, of a vhost-user device");
		else if (window->place != LENDING_AT_ADDRESS)
			printf(" at first, BAR %u of PCI device %02x", window->place == LENDING_AT_PMEM ? 2 : 0,
			       MACHINE_PCI_DEVICE(i));
		putchar('\n');
	}
	for (guint i = 0; i < config->vhosts->len; i++) {
		const struct vhost_option *vhost = config->vhosts->pdata[i];

		printf("vhost-user %u: %s, %s, %u queues, PCI device %02x\n", i, vhost->type, vhost->path, vhost->n_queues,
		       MACHINE_VHOST_PCI_DEVICE(i));
	}
	for (guint i = 0; i < config->vifs->len; i++) {
		const struct vif_config *vif = config->vifs->pdata[i];
		g_autofree char *where = net_where(vif);

		printf("network %u: %s, %02x:%02x:%02x:%02x:%02x:%02x\n", i, where, vif->mac[0], vif->mac[1], vif->mac[2], vif->mac[3],
		       vif->mac[4], vif->mac[5]);
	}
	for (guint i = 0; i < config->channels->len; i++) {
		g_autofree char *where = channel_where(config->channels->pdata[i]);

		printf("hvc%u: %s\n", i + 1, where);
	}
}

void run_print_plan(const struct run *run)
{
	static const char *const types[] = { [MEMORY_MAP_RAM] = "RAM", [MEMORY_MAP_RESERVED] = "reserved",
					     [MEMORY_MAP_ACPI] = "ACPI" };
	const struct vm_config *config = &run->config;
	const struct layout *layout = &run->setup.layout;

	printf("name: %s\n", config->name);
	printf("kernel: %s (%s, %zu KiB)\n", config->kernel_path,
	       run->kernel.cached ? "unpacked, from the cache" : run->kernel.unpacked ? "unpacked" : "as it is",
	       run->kernel.len_bytes / 1024);
	printf("initrd: %s\n", config->initrd_path ? config->initrd_path : "none");
	if (config->type == GUEST_PV) {
		printf("shim: %s (entry %s)\n", config->shim_path, config->entry == BOOT_ENTRY_PVH ? "pvh" : "multiboot");
		printf("shim's command line: %s\n", run->shim_command_line);
	}
	printf("guest's command line: %s\n", run->guest_command_line);
	print_devices(config);
	print_faults(config->inject);
	printf("vcpus: %u", config->n_vcpus);
	if (config->max_vcpus > config->n_vcpus)
		printf(", up to %u by dom1 vcpu-set", config->max_vcpus);
	printf("\n");
	if (config->max_event_channels)
		printf("event channels: at most %u\n", config->max_event_channels);
	printf("grant frames: at most %u\n", config->max_grant_frames);
	printf("memory: %" PRIu64 " MiB", layout->ram_bytes >> 20);
	/* Measured: the shim keeps 15 MiB and 1 % of the memory, a little more where there is a hole in it. */
	if (config->type == GUEST_PV)
		printf(", about %" PRIu64 " MiB of it for the guest",
		       (layout->ram_bytes - layout->ram_bytes / 100 - (UINT64_C(15) << 20)) >> 20);
	if (config->memory_backing != MEMORY_ANONYMOUS)
		printf("; a %s", MEMORY_BACKING_NAMES[config->memory_backing]);
	printf("\n");
	for (size_t i = 0; i < layout->n_map; i++)
		printf("  %012" PRIx64 "-%012" PRIx64 " %s\n", layout->map[i].gpa, layout->map[i].gpa + layout->map[i].len_bytes,
		       types[layout->map[i].type]);
	printf("loaded at:\n");
	for (size_t i = 0; i < run->plan->n_segments; i++)
		printf("  %012" PRIx64 "-%012" PRIx64 " %s\n", run->plan->segments[i].gpa,
		       run->plan->segments[i].gpa + run->plan->segments[i].mem_bytes,
		       /* The plan knows only of what it starts; for PVH that is the kernel. */
		       config->type == GUEST_PVH && strcmp(run->plan->segments[i].what, "shim") == 0 ?
			       "kernel" : run->plan->segments[i].what);
}
