// SPDX-License-Identifier: MIT
/*
 * One lender's connection: bytes and descriptors in, bytes out, and what they do to the domain's windows. No socket is
 * touched here. A request that takes long is a job, done in steps; until it is done no other of this lender begins.
 *
 * A lender that breaks the protocol, or does not read what it is sent, is dead; so is one whose connection ended. The
 * dead one's windows are revoked, in steps too, and free then.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lend/lent_file.h"
#include "lend/space.h"
#include "lend/wire.h"

#define SESSION_IN_BYTES  (sizeof(struct lend_header) + sizeof(struct lend_ranges))
#define SESSION_OUT_BYTES 16384u
#define SESSION_DOMID     1u

enum session_job { SESSION_IDLE, SESSION_ASKS, SESSION_WAITS, SESSION_REVOKES, SESSION_RELEASES, SESSION_DIES, SESSION_DEAD };

struct session {
	struct space *space;
	unsigned int lender; /* its number */
	bool greeted;
	uint8_t in[SESSION_IN_BYTES];
	size_t in_bytes;
	int fd; /* that came with the message; -1: none */
	uint8_t out[SESSION_OUT_BYTES];
	size_t out_bytes;

	enum session_job job;
	struct lent_files *files; /* borrowed: of all sessions */
	struct lent_question *question; /* SESSION_ASKS */
	int wake_fd; /* told of its answer; -1: nobody is */
	struct lend_ranges ranges; /* of a revoke: those to come */
	uint32_t next_range;
	uint32_t answers; /* the request that the job answers */
	struct space_revoke revoke;
	bool revoking;
	uint64_t began_ns, began_kernel_ns; /* of the job */
	bool widened;
	struct space_revoke held[SPACE_MAX_WINDOWS]; /* between BEGIN and END */
	bool holds[SPACE_MAX_WINDOWS];
};

/* files: what is known of file systems; wake_fd: an eventfd, or -1. Both borrowed. */
void session_init(struct session *session, struct space *space, unsigned int lender, struct lent_files *files, int wake_fd);

/* How many bytes the next read may bring; 0: none now. A read must not bring bytes of the next message. */
size_t session_wants(const struct session *session);
/* n_bytes were read to session->in + session->in_bytes. fd: one that came with them, or -1; taken over. */
void session_received(struct session *session, size_t n_bytes, int fd);
/* Two descriptors came at once, or the connection ended. */
void session_kill(struct session *session);

/* One step of the job. FALSE: there is none. */
bool session_work(struct session *session, size_t max_pages);

/*
 * SESSION_WAITS, which is no job for session_work(): a revoke of RAM begins now, while no vCPU runs, and is done. is_in_use():
 * a page of the range cannot be missed; then nothing is done, and the lender gets EBUSY.
 */
void session_go_on(struct session *session, size_t max_pages,
		   bool (*is_in_use)(void *opaque, unsigned int window, size_t page, size_t n_pages), void *opaque);

/* n_bytes of session->out were sent. */
void session_sent(struct session *session, size_t n_bytes);

/* Whole messages that were taken from session->out, and could not be sent by who took them. */
void session_put(struct session *session, const void *bytes, size_t len_bytes);

void session_need(struct session *session, const struct space_need *need);
void session_widened(struct session *session, unsigned int window, uint64_t seq);
void session_gone(struct session *session);
