// SPDX-License-Identifier: MIT
/*
 * The machine process: one domain, from KVM_CREATE_VM to its end.
 *
 * Everything it needs is open or computed already: it gets descriptors and plans, and opens nothing. Its main thread
 * runs the event loop (console, xenstore, the launcher's wishes); each vCPU has a thread. It talks to the launcher by
 * a socket (a message stops it; end of file means the launcher is dead, and it goes too) and by the record.
 */
#pragma once

#include <termios.h>

#include "backend/block_file.h"
#include "backend/console_device.h"
#include "backend/nic.h"
#include "config/vm_config.h"
#include "lend/lending.h"
#include "sandbox/sandbox.h"
#include "shim/boot_plan.h"
#include "vhost/backend.h"
#include "vmm/layout.h"
#include "vmm/record.h"

/* The PCI device of lend window n, and of vhost-user device n. */
#define MACHINE_PCI_DEVICE(n)       ((n) + 1u)
#define MACHINE_VHOST_PCI_DEVICE(n) MACHINE_PCI_DEVICE(SPACE_MAX_WINDOWS + (n))

struct saved_image;

struct machine_setup {
	const struct vm_config *config;
	struct layout layout;
	const struct boot_plan *plan; /* with restored: of nothing */
	const struct saved_image *restored; /* the domain goes on from here; NULL: it boots. Borrowed */
	uint64_t generation_id[2]; /* random; of a domain that is restored, but as no clone, it stays what it was */
	struct record *record;
	struct sandbox sandbox;
	int kvm_fd;
	int launcher_fd;
	int control_fd;  /* listening sockets in the domain's folder, non-blocking */
	int xenstore_fd;
	int shim_log_fd; /* -1: none */
	int trace_fd;    /* -1: nothing is traced */
	int core_fd;     /* -1: no core of a domain that ends badly is wanted */
	int save_at_fd;  /* an empty file for config->save_at; -1: there is none */
	struct console_files console;
	struct block_file *disks; /* n_disks of them, locked; borrowed */
	size_t n_disks;
	struct lending_config lending; /* n_windows 0: none */
	struct vhost_backend *vhosts; /* n_vhosts of them, connected; the machine's while it runs */
	size_t n_vhosts;
	int lend_to_fd; /* a connection to the borrower; -1: none. The machine's */
	int memory_lent_fd; /* one to the lender of all RAM; -1: it is the domain's own. The machine's */
	struct nic *nics; /* n_nics of them; borrowed */
	size_t n_nics;
	struct channel *channels; /* n_channels of them; borrowed */
	size_t n_channels;
	bool console_patient; /* its reader is worth waiting for when the domain has ended */
	bool sample_memory;

	/* What the machine puts right if the launcher dies: the terminal, and the domain's folder. */
	int tty_fd; /* -1: none */
	struct termios tty_state;
	int folder_fd;        /* -1: none */
	int folder_parent_fd;
	int folder_lock_fd;   /* kept open: the name is taken as long as the machine lives */
	const char *folder_name;
};

/*
 * What the launcher sends: one byte, the enum outcome with which the domain is to end. The machine writes it to the
 * record, unless the domain has ended for good by itself just then; the launcher does when it has to kill the machine.
 * MACHINE_LAST_WORDS: with OUTCOME_TIMEOUT, after the guest has been heard (--timeout-sysrq).
 */
#define MACHINE_LAST_WORDS 0xff
void machine_record_stop(const struct machine_setup *setup, enum outcome outcome);
/* How the guest has ended, by the record, is not the end: the domain starts again. */
bool machine_wants_restart(const struct machine_setup *setup);


/* Whether this host is one on which the domain can go on, as far as /dev/kvm can tell. FALSE: DOM1_STATUS_FILE, _HOST. */
bool machine_check_restore(const struct saved_image *image, int kvm_fd, GError **error);

/* Runs the domain until it ends for good. Returns the machine process's exit status; the record says the rest. */
int machine_main(const struct machine_setup *setup);
