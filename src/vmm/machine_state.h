// SPDX-License-Identifier: MIT
/* What the machine's main thread has in hand; shared by machine.c and machine_control.c. */
#pragma once

#include <stdio.h>

#include <glib.h>

#include "backend/block.h"
#include "backend/net.h"
#include "control/ops.h"
#include "control/server.h"
#include "control/xenstore_socket.h"
#include "vmm/machine.h"
#include "vmm/vm.h"

struct console_files;
struct console_lines;
struct xs_conn;

struct machine {
	const struct machine_setup *setup;
	GMainLoop *loop;
	struct kvm_cpuid2 *supported_cpuid;
	struct control_server *control; /* lives through restarts */
	bool save_at_tried;
	GPtrArray *disks; /* of struct machine_disk; lives through restarts, too */
	char *uuid;
	struct io_thread *io; /* of devices; lives through restarts, too */
	bool says_to_terminal; /* standard error is one: asked once, by who may */
	struct vm_workers workers;
	FILE *smaps; /* of this process, opened while there was /proc; NULL: memory is not sampled */
	guint stop_source;
	bool launcher_gone;
	enum outcome told_to_stop; /* by the launcher, or OUTCOME_NONE: nothing is worth waiting for any more */

	/* Of this start of the domain. */
	struct vm vm;
	bool running; /* between start and stop */
	char *pause_reason; /* NULL: somebody wanted it, or it is not paused */
	uint64_t started_ns;
	struct halt_watch *halt_watch;
	struct memory_loader *loader; /* NULL: all was there from the start */
	struct xenstore *store;
	struct xenstore_watch *mark_watch;
	struct xenstore_ring *store_ring;
	struct xenstore_socket *xenstore_socket;
	struct console *console;
	struct block_env block_env;
	struct net_env net_env;
	struct net_device **nets; /* as many as setup->n_nics */
	struct ring_access channel_access;
	struct console_device **channels; /* as many as setup->n_channels */
	struct pci_window *pci_windows; /* as many as there are lend windows; NULL: there is no PCI */
	struct vhost_device *vhosts[VM_MAX_VHOSTS];
	int vhost_lend_fds[VM_MAX_VHOSTS]; /* connections of theirs as lenders, until they have them; -1 */
	struct last_words {
		guint source; /* 0: the guest is not being heard before its end */
		const char *keys_left; /* SysRq keys that it has not got yet */
		bool is_typing; /* on the console, not by the xenstore */
		uint32_t heard_bytes; /* of its console, at the last look */
		unsigned int n_looks, n_quiet_looks, n_waited_looks;
	} last_words;
	struct console_lines *save_at_lines; /* what was said on the console; NULL: nobody waits for that */
	guint save_at_source; /* 0: the moment of --save-at has not come */
	GPtrArray *faults; /* of struct timed_fault *, in machine_inject.c; NULL: none */
};

extern const struct control_ops MACHINE_CONTROL_OPS; /* opaque: the struct machine */

/* The store with what a guest finds in it, and who is served from it. DOM1_STATUS_HOST. */
bool machine_start_store(struct machine *machine, GError **error);
/* As it was at the start, but for the balloon's target; the guest's connection knows nothing of before. */
bool machine_reset_store(struct machine *machine, GError **error);
/* Who watches "@releaseDomain" on the host hears it. */
void machine_stop_store(struct machine *machine);

/* NULL: nobody wants the states of devices. */
static inline const struct trace *machine_xenbus_trace(const struct machine *machine)
{
	return trace_wants(&machine->vm.trace, TRACE_XENBUS) ? &machine->vm.trace : NULL;
}

void machine_start_vcpus(struct vm *vm);
void machine_stop_vcpus(struct vm *vm);

/* From now on vm_end() and vm_soft_reset() end the main loop. */
void machine_watch_stop(struct machine *machine);

/* After the main loop: a soft reset, if it ended for one. FALSE: it did not; with error: it cannot be done. */
bool machine_soft_reset(struct machine *machine, GError **error);

/* Devices and their I/O thread: before the first vCPU runs and after the last. DOM1_STATUS_HOST. */
bool machine_start_devices(struct machine *machine, GError **error);
/* Everything that is in flight comes to its end. */
void machine_stop_devices(struct machine *machine);
/* Once, before the first start: the disks that the launcher has opened. */
void machine_take_disks(struct machine *machine);
/* Once, when the machine is locked in but for this: all of its threads, each with its filter. DOM1_STATUS_HOST. */
bool machine_make_threads(struct machine *machine, GError **error);
bool machine_start_disks(struct machine *machine, GError **error);
void machine_stop_disks(struct machine *machine);
bool machine_start_nets(struct machine *machine, GError **error);
void machine_stop_nets(struct machine *machine);
bool machine_start_channels(struct machine *machine, GError **error);
void machine_stop_channels(struct machine *machine);
/* The PCI host bridge with a function for each lend window that wants one, after the windows. */
bool machine_start_lending(struct machine *machine, GError **error);
bool machine_start_pci(struct machine *machine, GError **error);
/* Lent RAM, when it is there: what the plan wants in it. DOM1_STATUS_HOST. */
bool machine_load_lent(struct machine *machine, GError **error);
/* While no vCPU runs: as at the start. */
void machine_reset_pci(struct machine *machine);
void machine_stop_pci(struct machine *machine);
/* The guest's first console, from now on at this port. */
void machine_start_console(struct machine *machine);
/* What was kept for lack of room is tried again. */
void machine_retry_disks(struct machine *machine);

/* For saving, in machine_save_disks.c. FALSE: DOM1_STATUS_USAGE. */
bool machine_check_disks(const struct machine *machine, GError **error);
/* While the guest does not run. FALSE: none is suspended. */
bool machine_suspend_disks(struct machine *machine, GError **error);
void machine_resume_disks(struct machine *machine);
/* While they are suspended, and their images written: of struct saved_disk *. NULL: DOM1_STATUS_HOST. */
GPtrArray *machine_describe_saved_disks(const struct machine *machine, GError **error);
/* What was written to them, into the file from offset_bytes on; sums: of each that has data. 0 or a positive errno. */
int machine_write_disks(const struct machine *machine, const GPtrArray *disks, int fd, uint64_t offset_bytes, uint64_t *sums,
			uint64_t *stored_bytes);

/* Those of struct control_ops. */
bool machine_attach_disk(void *opaque, const char *text, int *fds, unsigned int n_fds, GError **error);
bool machine_detach_disk(void *opaque, const char *vdev, GError **error);
bool machine_eject_disk(void *opaque, const char *vdev, GError **error);
bool machine_resize_disk(void *opaque, const char *vdev, uint64_t *bytes, GError **error);
bool machine_describe_disk(void *opaque, unsigned int index, struct control_disk *description);

/* What keeps the domain from being saved. FALSE: DOM1_STATUS_USAGE. */
bool machine_check_save(const struct machine *machine, GError **error);

/* --save-at: the first console tells its output, the store the guest's marks; at the right one the domain is saved. */
void machine_listen_save_at(struct machine *machine, struct console_files *files);
void machine_save_at_mark(struct machine *machine, const char *mark);

/* Of struct control_ops too. */
bool machine_save(void *opaque, bool leave_running, int fd, uint64_t *stored_bytes, GError **error);

/*
 * The parts of start_vm() for a domain that was saved, setup->restored. The last starts the vCPUs. DOM1_STATUS_HOST, or DOM1_STATUS_FILE
 * where this host cannot do what the file needs.
 */
bool machine_restore_memory(struct machine *machine, GError **error);
bool machine_restore_cpuid(struct machine *machine, GError **error);
bool machine_restore_xen(struct machine *machine, GError **error);
/* machine->store, and the guest's connection to it. */
bool machine_restore_store(struct machine *machine, struct xs_conn **conn, GError **error);
bool machine_restore_vcpus(struct machine *machine, GError **error);

/* A line on standard error while the domain runs. Any thread. */
void machine_say(const struct machine *machine, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Pauses the domain for a reason of the host's, and says so: on standard error, as event PAUSE, in dom1 info. */
void machine_pause_for(struct machine *machine, const char *why);

/* The domain's time is over: a Linux gets the SysRq keys of --timeout-sysrq first, and what it says to them is waited for. */
void machine_hear_last_words(struct machine *machine);

/* Faults that come at their time: --inject. */
void machine_start_faults(struct machine *machine);
void machine_stop_faults(struct machine *machine);
/* As if it were pulled out, whatever the guest has to write. FALSE: there is no such disk. */
bool machine_vanish_disk(struct machine *machine, uint32_t number);

/* Tells the control clients how this start of the domain ended. */
void machine_control_tell_end(struct machine *machine);
