// SPDX-License-Identifier: MIT
/*
 * The states of one device's back end, as a pure core: the front end's state goes in, what to do comes out.
 *
 *      front end   Initialising ---------> Initialised/Connected ----> Closing ----> Closed ----> Initialising
 *      back end        InitWait  --attach-->  Connected  --detach-->   Closing --->  Closed  --->     InitWait
 *
 * Only the front end's latest state counts: what it wrote in between is gone, so there is never more than one thing to
 * do. Detaching takes time (I/O in flight); until it is over nothing else happens. A device whose guest broke the
 * protocol stays in Closing until the guest closes it too. A front end may skip states, go back to Initialising without
 * closing (a crash kernel), or vanish. Linux, at boot, walks an old device through Closing, Closed and Initialising and
 * waits 5 s for each answer (xenbus_probe_frontend.c): each must come. Source: <xen/io/xenbus.h>, <xen/io/blkif.h>.
 */
#pragma once

#include <stdbool.h>

#include "xen/abi.h"
#include <xen/io/xenbus.h>

struct xenbus_fsm {
	XenbusState state;    /* ours, as published */
	XenbusState frontend; /* what it said last; Unknown: nothing, or nothing sensible */
	bool attached;        /* its rings are in use */
	bool detaching;
	bool leaving;   /* the device is to go: the front end is asked to close it, and nothing attaches any more */
};

enum xenbus_action {
	XENBUS_WAIT,    /* for the next event */
	XENBUS_PUBLISH, /* state changed: write it to the store, and ask again */
	XENBUS_ATTACH,  /* use the rings it has published, then call xenbus_fsm_attached() and ask again */
	XENBUS_DETACH,  /* let go of them; when that is over: xenbus_fsm_detached(), and ask again */
	XENBUS_GONE,    /* it was leaving, and the front end has let it: nobody needs its nodes any more */
};

void xenbus_fsm_init(struct xenbus_fsm *fsm); /* InitWait, which is to be published */
enum xenbus_action xenbus_fsm_next(struct xenbus_fsm *fsm);
void xenbus_fsm_attached(struct xenbus_fsm *fsm, bool ok); /* state changed: publish */
void xenbus_fsm_detached(struct xenbus_fsm *fsm);

/*
 * The device is to go. A front end that uses it is told by Closing and served until it has closed; Linux does so at once,
 * one that is in the middle of something may take its time, or refuse. What to do next, next() says.
 */
void xenbus_fsm_leave(struct xenbus_fsm *fsm);

/* The guest broke the protocol. TRUE: state changed, publish it; what to do next, next() says. */
bool xenbus_fsm_fail(struct xenbus_fsm *fsm);

/* The value of a state node: a decimal number and nothing else; anything else is Unknown. */
XenbusState xenbus_state_parse(const char *text, unsigned long len_bytes);
