// SPDX-License-Identifier: MIT
/*
 * What a person asked for, checked and with its defaults filled in: numbers in range, no two options that contradict
 * each other. Nothing is opened here; that is the launcher's.
 */
#pragma once

#include <stdint.h>

#include <glib.h>

#include "sandbox/sandbox.h"
#include "shim/boot_plan.h"
#include "vmm/memory_backing.h"

#define VM_CONFIG_NAME_MAX 32

enum console_kind { CONSOLE_STDIO, CONSOLE_FILE, CONSOLE_PTY, CONSOLE_SOCKET, CONSOLE_NULL };

enum end_policy { END_STOP, END_RESTART };

/* pv: the kernel runs in the Xen PV shim. pvh: it runs on dom1 itself, by its PVH entry. */
enum guest_type { GUEST_PV, GUEST_PVH };

struct inject_plan;
struct save_at;

struct vm_config {
	char *help; /* --help was given: the text, and nothing else is set */
	char *name; /* NULL with restore_path: as it was saved, and of a clone made of that */
	char *uuid; /* NULL: a new one */
	GPtrArray *warnings; /* of char *, about the guest's file; NULL or lines to be shown */
	char *restore_path; /* a saved domain, which says all that is about its machine; NULL: it boots */
	gboolean as_clone; /* of restore_path: another domain than that, with a UUID of its own */
	char *kernel_path;
	char *initrd_path; /* NULL: none */
	char *guest_command_line;
	char *shim_path; /* NULL: shim_find() decides */
	char *shim_append;
	enum guest_type type;
	enum boot_entry entry; /* of the shim */
	uint64_t memory_bytes;
	enum memory_backing_kind memory_backing;
	uint64_t low_memory_bytes; /* RAM below 4 GiB ends here at the latest */
	unsigned int n_vcpus;     /* online at start */
	unsigned int max_vcpus;   /* the machine has so many; at least n_vcpus */
	unsigned int max_event_channels; /* ports a guest may have; 0: as many as the ABI has */
	unsigned int max_grant_frames;
	enum console_kind console;
	char *console_path;
	GPtrArray *disks; /* of struct disk_config *, each with its vdev; never NULL */
	GPtrArray *vifs;  /* of struct vif_config *, each with its kind and MAC; never NULL */
	GArray *lend_windows; /* of struct lending_window; never NULL */
	char *lend_to_path;   /* the borrower's lend.sock; NULL: none */
	char *memory_lent_path; /* where the lender of all RAM listens; NULL: it is the domain's own */
	GPtrArray *vhosts;    /* of struct vhost_option *; never NULL */
	GPtrArray *channels; /* of struct channel_config *, each with its name; never NULL */
	char *console_log_path;
	char *shim_log_path;
	char *report_path;
	char *symbols_path; /* System.map or vmlinux of the guest; NULL: none */
	unsigned int trace_kinds; /* of enum trace_kind */
	char *trace_log_path;     /* NULL: standard error */
	uint32_t xen_version; /* major << 16 | minor */
	unsigned int timeout_s; /* 0: none */
	struct save_at *save_at; /* NULL: only when somebody says so */
	struct inject_plan *inject; /* NULL: no faults on purpose */
	char *core_path; /* where a core of the guest goes that ends badly; NULL: none */
	char *timeout_sysrq; /* SysRq keys that it gets before a timeout ends it; NULL or empty: none */
	char *dump_dtb_path; /* NULL: none. Else what was understood goes there, and nothing is started */
	gboolean dry_run;
	gboolean no_memory_samples; /* the report says nothing of the memory that dom1 takes */
	gboolean no_auto_append; /* the guest's command line is the person's, and nothing else */
	enum sandbox_mode sandbox;
	enum end_policy on_poweroff, on_reboot, on_crash;
};

extern const char *const VM_CONFIG_SANDBOX_NAMES[]; /* by enum sandbox_mode */

/*
 * argv[0] is the name of the command. On success what *config owns is freed by vm_config_clear(). FALSE and
 * DOM1_STATUS_USAGE with a line that names the option.
 */
gboolean vm_config_parse(struct vm_config *config, int argc, char **argv, GError **error);
void vm_config_clear(struct vm_config *config);

/* "512", "512M", "4G", "65536K": bytes; a bare number is MiB. FALSE: not a size, or 2^63 bytes and more. */
gboolean vm_config_parse_size(const char *text, uint64_t *bytes);

/* For a domain that nobody has named, from what it is made of: a path's last part, or a name. g_free() */
char *vm_config_default_name(const char *kernel_path);
