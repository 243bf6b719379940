// SPDX-License-Identifier: MIT
/* Between the memory thread (lending.c) and the vCPUs' side of it (trap.c). */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "lend/lending.h"
#include "lend/mapper_host.h"
#include "lend/session.h"

#define LENDING_MAX_LENDERS 16u

enum slot_state { SLOT_IDLE, SLOT_REPORTED, SLOT_TAKEN, SLOT_ANSWERED };

/* A vCPU writes its report and then the state; the memory thread the answer and then the state. */
struct slot {
	struct space_report report;
	enum space_answer answer;
	_Atomic int state; /* enum slot_state */
	bool had_machine_check; /* the vCPU's own */
} __attribute__((aligned(64)));

struct lender {
	int fd; /* -1: none, or its end is being settled */
	bool watched;
	uint32_t events; /* that are watched for */
	struct session session;
};

enum lending_order { LENDING_GO_ON, LENDING_RESET, LENDING_END };

struct lending {
	struct vm *vm;
	struct mapper_host *mapper;
	struct space space; /* the memory thread's, from its start on; gpa and length of windows never change */
	struct lender lenders[LENDING_MAX_LENDERS];
	struct slot slots[SPACE_MAX_VCPUS];
	struct lent_files files;
	int epoll_fd, listen_fd, wake_fd;
	int spare_fd; /* given up to refuse a lender when there are no more descriptors */
	pthread_t thread;
	bool started;
	pthread_mutex_t order_lock;
	pthread_cond_t order_done;
	_Atomic int order; /* enum lending_order, set under the lock */
};

/* Any thread: there is something in a slot, or an order. */
void lending_wake(const struct lending *lending);
