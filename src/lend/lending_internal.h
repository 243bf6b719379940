// SPDX-License-Identifier: MIT
/* Between the memory thread (lending.c) and the vCPUs' side of it (trap.c). */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "lend/lending.h"
#include "lend/mapper_host.h"
#include "lend/mapper_trace.h"
#include "lend/session.h"

#define LENDING_MAX_LENDERS 16u

enum slot_state { SLOT_IDLE, SLOT_REPORTED, SLOT_TAKEN, SLOT_ANSWERED };

/* A vCPU writes its report and then the state; the memory thread the answer and then the state. */
struct slot {
	struct space_report report;
	enum space_answer answer;
	_Atomic int state; /* enum slot_state */
	bool had_machine_check; /* the vCPU's own */
	uint8_t *page_bytes;    /* where RAM is lent: a page for what is copied */
} __attribute__((aligned(64)));

struct lender {
	int fd; /* -1: none, or its end is being settled */
	bool watched;
	_Atomic unsigned int n_senders; /* vCPUs that send to fd without the lock: it is not closed meanwhile */
	uint32_t events; /* that are watched for */
	struct session session;
};

enum lending_order { LENDING_GO_ON, LENDING_RESET, LENDING_END };

struct lending {
	struct vm *vm;
	struct mapper_host *mapper;
	struct mapper_trace tracer; /* in front of it, where that is traced */
	uintptr_t hvas[SPACE_MAX_WINDOWS]; /* for their memslots */
	/*
	 * Of space and lenders: the memory thread's but while it waits. A window's length never changes, its gpa only while no
	 * vCPU is in the guest: so vCPUs look at both without the lock.
	 */
	pthread_mutex_t state_lock;
	struct space space;
	struct lender lenders[LENDING_MAX_LENDERS];
	struct slot slots[SPACE_MAX_VCPUS];
	uint8_t *copies; /* their pages; NULL: RAM is not lent */
	bool answered; /* the memory thread's: a vCPU is to be woken */
	struct lent_files files;
	int epoll_fd, listen_fd, wake_fd;
	int spare_fd; /* given up to refuse a lender when there are no more descriptors */
	struct worker *worker, *own; /* own: NULL, it is the machine's */
	bool started;
	pthread_mutex_t order_lock;
	pthread_cond_t order_done;
	_Atomic int order; /* enum lending_order, set under the lock */
};

/*
 * A vCPU's thread: its slot's report leads to nothing but a request, which is sent at once, from here: so the lender is the
 * next that must wake. FALSE: nothing was done; the memory thread is to have the report.
 */
bool lending_ask(struct lending *lending, unsigned int vcpu);

/* The vCPU's own thread: waits for the answer, which is in its slot then. FALSE: the VM stops first. */
bool lending_report(struct vcpu *vcpu, const struct space_report *report);

/* Any thread: there is something in a slot, or an order. */
void lending_wake(const struct lending *lending);
