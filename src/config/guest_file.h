// SPDX-License-Identifier: MIT
/*
 * A guest described by a file: xl.cfg, or a device tree (.dtb, or a .dts that dtc compiles). What it says is what
 * options would say; options on the command line win.
 */
#pragma once

#include <glib.h>

#include "config/vm_config.h"

/* What a file may set, as the words of the options. NULL: it does not. g_free() each. */
struct guest_file {
	char *name, *uuid, *kernel, *initrd, *append, *type, *memory, *vcpus;
	char *max_vcpus, *max_event_channels, *max_grant_frames;
	char *shim, *shim_append, *on_poweroff, *on_reboot, *on_crash;
	/* Of struct disk_config *, of struct vif_config *; never NULL after a success. */
	GPtrArray *disks, *vifs, *channels;
};

/*
 * DOM1_STATUS_FILE: missing, malformed, or it asks for what dom1 does not have; the line names the place in the file.
 * warnings: of char *, one line each.
 */
gboolean guest_file_read(struct guest_file *file, const char *path, GPtrArray *warnings, GError **error);
void guest_file_clear(struct guest_file *file);

/*
 * The device tree that guest_file_read() would make the same guest of. What concerns this host and not the guest
 * (console, logs, timeout, low memory, shim's entry) is not in it. NULL and DOM1_STATUS_USAGE.
 */
GBytes *guest_file_dump(const struct vm_config *config, GError **error);
