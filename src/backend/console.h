// SPDX-License-Identifier: MIT
/*
 * The PV console: a ring page on the guest's side, descriptors on the host's.
 *
 *   guest writes --> out ring --> log (complete) --> output
 *   guest reads  <-- in ring  <-- input
 *
 * Back-pressure instead of buffers: what the output does not take stays in the ring, and the guest sees a full ring.
 * What is taken from the ring goes to the log first. A console without a reader (null; a pty or socket nobody has
 * opened) takes everything and shows it to nobody.
 *
 * Guest memory is shared: indexes are read once and checked; a guest whose indexes are a lie has no console any more.
 * Thread: the main thread; console_serve() is a vCPU's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

struct backend_port;
struct record;

struct console_files {
	int in_fd;     /* -1: no input. Non-blocking */
	int out_fd;    /* -1: nobody reads. Non-blocking */
	int listen_fd; /* -1, or a listening socket: its client, one at a time, is input and output */
	int attach_fd; /* -1, or a listening socket: who attaches sees what comes and types too, beside the console's own
			  reader. One at a time; what it does not take in time is lost for it, and slows nobody */
	int log_fd;    /* -1: none. A regular file */
	bool hold_input; /* until the guest has written something: see console.c */
	/* NULL, or who is told of all output, under the console's lock: then all of it is the main thread's to move. */
	void (*on_output)(void *opaque, const uint8_t *bytes, size_t len_bytes);
	void *on_output_opaque;
	bool out_is_pty; /* out_fd is a pty's master: nobody reads while no one has opened the other side */
};

struct console;

/*
 * page: the ring, shared with the guest, borrowed like files and what the port stands for. Sources are attached to the
 * thread's default main context. record: of the guest's first console; NULL: it is another.
 */
struct console *console_new(void *page, const struct backend_port *port, const struct console_files *files,
			    struct record *record);

/* Whether the guest has not written anything yet, and input waits for that. */
bool console_holds_input(struct console *console);

/* Passes on what the output takes without waiting. */
void console_pump(struct console *console);

/* From now on what is in the ring stays there, for good: it is in a saved domain, which shows it. What was taken from it is still output. */
void console_leave_ring(struct console *console);

/* The same for who is not the main thread (evtchn_kvm_serve()). FALSE: something is left that only the main thread may do. */
bool console_serve(void *console);

/* As if it came from the input. What a guest without room does not take is lost, and all of it while input is held back. */
void console_type(struct console *console, const uint8_t *bytes, size_t len_bytes);

/*
 * At the end of the domain: passes on what is still in the ring. patient: waits for a slow reader as long as it takes,
 * until interrupt_fd becomes readable; else a second at the most.
 */
void console_drain(struct console *console, bool patient, int interrupt_fd);
void console_free(struct console *console);
