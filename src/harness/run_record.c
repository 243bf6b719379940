// SPDX-License-Identifier: MIT
#include "harness/run_record.h"

#include <string.h>

#include <glib.h>

#define STATUS_MARK "status="
#define MAX_STATUS  255

/* What a guest says of itself: it writes "status=N" to its xenstore's data/mark. The last one counts; -1: none. */
static int status_of_marks(const struct record *record)
{
	const uint32_t n_events = MIN(atomic_load(&record->n_events), (uint32_t)RECORD_MAX_EVENTS);
	int status = -1;

	for (uint32_t i = 0; i < n_events; i++) {
		struct record_event event = record->events[i];
		guint64 number;

		event.text[sizeof(event.text) - 1] = '\0';
		if (event.phase == PHASE_MARK + 1 && g_str_has_prefix(event.text, STATUS_MARK) &&
		    g_ascii_string_to_unsigned(event.text + strlen(STATUS_MARK), 10, 0, MAX_STATUS, &number, NULL))
			status = (int)number;
	}
	return status;
}

/* Its last phase is the launcher's own, when it knows how the machine ended. */
void run_record_read(struct run_record *run, const struct record *record)
{
	*run = (struct run_record){ .outcome = OUTCOME_NONE, .guest_status = -1 };
	if (!record_phase_seen(record, PHASE_EXIT))
		return;
	/* A machine that told nobody why it ended: as its report says. */
	run->outcome = record_outcome(record);
	if (run->outcome == OUTCOME_NONE)
		run->outcome = OUTCOME_HOST_ERROR;
	run->guest_status = status_of_marks(record);
	run->detail = record_detail(record);
}

void run_record_clear(struct run_record *run)
{
	g_clear_pointer(&run->detail, g_free);
}
