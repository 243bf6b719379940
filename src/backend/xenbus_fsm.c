// SPDX-License-Identifier: MIT
#include "backend/xenbus_fsm.h"

void xenbus_fsm_init(struct xenbus_fsm *fsm)
{
	*fsm = (struct xenbus_fsm){ .state = XenbusStateInitWait, .frontend = XenbusStateInitialising };
}

static enum xenbus_action publish(struct xenbus_fsm *fsm, XenbusState state)
{
	fsm->state = state;
	return XENBUS_PUBLISH;
}

static enum xenbus_action detach(struct xenbus_fsm *fsm)
{
	fsm->detaching = true;
	return XENBUS_DETACH;
}

static bool may_attach(const struct xenbus_fsm *fsm)
{
	return fsm->state == XenbusStateInitWait || fsm->state == XenbusStateClosed;
}

enum xenbus_action xenbus_fsm_next(struct xenbus_fsm *fsm)
{
	bool closing = fsm->state == XenbusStateClosing || fsm->state == XenbusStateClosed;

	if (fsm->leaving && !fsm->attached && fsm->state == XenbusStateClosed)
		return XENBUS_GONE;
	if (fsm->leaving && !closing)
		return publish(fsm, XenbusStateClosing);
	/* What failed is let go of at once, whatever the front end says. */
	if (!fsm->detaching && fsm->attached && closing && !fsm->leaving)
		return detach(fsm);
	switch (fsm->frontend) {
	case XenbusStateInitialising:
		if (fsm->attached)
			return fsm->detaching ? XENBUS_WAIT : detach(fsm);
		if (fsm->state == XenbusStateInitWait)
			return XENBUS_WAIT;
		/* Nobody uses it, or a kernel that starts again has forgotten it. */
		return publish(fsm, fsm->state == XenbusStateClosed ? XenbusStateInitWait : XenbusStateClosed);
	case XenbusStateInitialised:
	case XenbusStateConnected:
		return may_attach(fsm) && !fsm->detaching ? XENBUS_ATTACH : XENBUS_WAIT;
	case XenbusStateClosing:
		return closing ? XENBUS_WAIT : publish(fsm, XenbusStateClosing);
	case XenbusStateUnknown:
	case XenbusStateClosed:
		if (fsm->attached)
			return fsm->detaching ? XENBUS_WAIT : detach(fsm);
		return fsm->state == XenbusStateClosed ? XENBUS_WAIT : publish(fsm, XenbusStateClosed);
	default:
		return XENBUS_WAIT;
	}
}

void xenbus_fsm_attached(struct xenbus_fsm *fsm, bool ok)
{
	fsm->attached = ok;
	fsm->state = ok ? XenbusStateConnected : XenbusStateClosing;
}

void xenbus_fsm_detached(struct xenbus_fsm *fsm)
{
	fsm->attached = fsm->detaching = false;
	/* The front end closed, or never said that it did: either way the rings are nobody's. */
	if (fsm->state == XenbusStateConnected)
		fsm->state = XenbusStateClosing;
}

void xenbus_fsm_leave(struct xenbus_fsm *fsm)
{
	fsm->leaving = true;
}

bool xenbus_fsm_fail(struct xenbus_fsm *fsm)
{
	if (fsm->state != XenbusStateConnected)
		return false;
	fsm->state = XenbusStateClosing;
	return true;
}

XenbusState xenbus_state_parse(const char *text, unsigned long len_bytes)
{
	if (len_bytes != 1 || text[0] < '1' || text[0] > '8')
		return XenbusStateUnknown;
	return (XenbusState)(text[0] - '0');
}
