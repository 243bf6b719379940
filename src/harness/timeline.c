// SPDX-License-Identifier: MIT
#include "harness/timeline.h"

#include <string.h>

#include "control/json_text.h"
#include "vmm/error.h"
#include "vmm/one_line.h"

#define MAX_PHASES   512
#define LABEL_BYTES  60
#define MS_NS        1e6
#define MIN_BAR      10
/* What differs by less is noise: both must be exceeded. */
#define CHANGE_RATIO 0.1
#define CHANGE_NS    1000000

static void phase_free(gpointer opaque)
{
	struct timeline_phase *phase = opaque;

	g_free(phase->label);
	g_free(phase);
}

void timeline_free(struct timeline *timeline)
{
	if (!timeline)
		return;
	g_free(timeline->name);
	g_free(timeline->outcome);
	g_ptr_array_unref(timeline->phases);
	g_free(timeline);
}

static const struct timeline_phase *find_phase(const struct timeline *timeline, const char *label)
{
	for (guint i = 0; i < timeline->phases->len; i++) {
		const struct timeline_phase *phase = timeline->phases->pdata[i];

		if (strcmp(phase->label, label) == 0)
			return phase;
	}
	return NULL;
}

static const char *text_of(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_string(value) ? json_string_value(value) : "";
}

/* 0: there is none. */
static int64_t number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* A restart goes through the phases again: their labels are numbered. */
static char *label_of(const struct timeline *timeline, const json_t *object)
{
	const char *what = text_of(object, "path")[0] ? text_of(object, "path") : text_of(object, "text");
	g_autofree char *words = g_strdup_printf("%s%s%.*s", text_of(object, "phase"), what[0] ? " " : "", LABEL_BYTES, what);
	g_autofree char *line = one_line(words);
	char *label = g_strdup(line);

	for (unsigned int n = 2; find_phase(timeline, label); n++) {
		g_free(label);
		label = g_strdup_printf("%s #%u", line, n);
	}
	return label;
}

static gint by_time(gconstpointer a, gconstpointer b)
{
	const struct timeline_phase *first = *(const struct timeline_phase *const *)a;
	const struct timeline_phase *second = *(const struct timeline_phase *const *)b;

	return first->t_ns < second->t_ns ? -1 : first->t_ns > second->t_ns;
}

static void read_phases(struct timeline *timeline, const json_t *array)
{
	size_t n = MIN(json_array_size(array), (size_t)MAX_PHASES);

	for (size_t i = 0; i < n; i++) {
		const json_t *object = json_array_get(array, i);

		if (!json_is_object(object))
			continue;
		struct timeline_phase *phase = g_new0(struct timeline_phase, 1);

		phase->label = label_of(timeline, object);
		phase->t_ns = (uint64_t)MAX(number_of(object, "t_ns"), 0);
		g_ptr_array_add(timeline->phases, phase);
	}
	g_ptr_array_sort(timeline->phases, by_time);
}

static struct timeline *no_report(const char *path, const char *why, GError **error)
{
	g_autofree char *line = one_line(path);

	g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE, "%s: not a report of dom1 run: %s", line, why);
	return NULL;
}

struct timeline *timeline_parse(const char *text, size_t len_bytes, const char *path, GError **error)
{
	g_autoptr(GError) problem = NULL;
	g_autoptr(json_t) object = json_text_parse(text, len_bytes, &problem);
	const json_t *phases = json_object_get(object, "phases");

	if (!object)
		return no_report(path, problem->message, error);
	if (!json_is_array(phases))
		return no_report(path, "there are no phases in it", error);
	struct timeline *timeline = g_new0(struct timeline, 1);
	timeline->name = one_line(text_of(object, "name"));
	timeline->outcome = one_line(text_of(object, "outcome"));
	timeline->status = (int)CLAMP(number_of(object, "status"), 0, 255);
	timeline->phases = g_ptr_array_new_with_free_func(phase_free);
	read_phases(timeline, phases);
	return timeline;
}

static int label_width(const GPtrArray *timelines)
{
	int width = 0;

	for (guint i = 0; i < timelines->len; i++) {
		const struct timeline *timeline = timelines->pdata[i];

		for (guint j = 0; j < timeline->phases->len; j++) {
			const struct timeline_phase *phase = timeline->phases->pdata[j];

			width = MAX(width, (int)g_utf8_strlen(phase->label, -1));
		}
	}
	return width;
}

/* printf() pads by bytes. */
static void append_padded(GString *out, const char *text, int width)
{
	g_string_append(out, text);
	for (int n = (int)g_utf8_strlen(text, -1); n < width; n++)
		g_string_append_c(out, ' ');
}

static uint64_t end_of(const struct timeline *timeline)
{
	guint n = timeline->phases->len;

	return n ? ((const struct timeline_phase *)timeline->phases->pdata[n - 1])->t_ns : 0;
}

char *timeline_text(const struct timeline *timeline, unsigned int columns)
{
	struct timeline *const one[] = { (struct timeline *)(uintptr_t)timeline };
	const GPtrArray list = { (gpointer *)(uintptr_t)one, 1 };
	const int width = label_width(&list);
	const int room = MAX((int)columns - width - 26, MIN_BAR);
	const uint64_t end_ns = MAX(end_of(timeline), (uint64_t)1);
	GString *out = g_string_new(NULL);
	uint64_t before_ns = 0;

	g_string_append_printf(out, "%s: %s, status %d\n", timeline->name, timeline->outcome, timeline->status);
	for (guint i = 0; i < timeline->phases->len; i++) {
		const struct timeline_phase *phase = timeline->phases->pdata[i];
		int from = (int)((double)before_ns / (double)end_ns * room), to = (int)((double)phase->t_ns / (double)end_ns * room);

		append_padded(out, phase->label, width);
		g_string_append_printf(out, " %10.1f ms %+9.1f ", (double)phase->t_ns / MS_NS, (double)(phase->t_ns - before_ns) / MS_NS);
		g_string_append_printf(out, "%*s", from, "");
		for (int j = from; j < MAX(to, from + 1); j++)
			g_string_append_c(out, '=');
		g_string_append_c(out, '\n');
		before_ns = phase->t_ns;
	}
	return g_string_free(out, FALSE);
}

/* How long after the phase before it this one came in its run: what changes by itself, not by what came earlier. */
static bool step_of(const struct timeline *timeline, const char *label, uint64_t *step_ns)
{
	uint64_t before_ns = 0;

	for (guint i = 0; i < timeline->phases->len; i++) {
		const struct timeline_phase *phase = timeline->phases->pdata[i];

		*step_ns = phase->t_ns - before_ns;
		if (strcmp(phase->label, label) == 0)
			return true;
		before_ns = phase->t_ns;
	}
	return false;
}

static void append_change(GString *out, const GPtrArray *timelines, const char *label)
{
	uint64_t first_ns, last_ns;
	bool in_first = step_of(timelines->pdata[0], label, &first_ns);
	bool in_last = step_of(timelines->pdata[timelines->len - 1], label, &last_ns);

	if (in_first != in_last) {
		g_string_append(out, in_first ? "  gone" : "  new");
		return;
	}
	double change_ns = in_first ? (double)last_ns - (double)first_ns : 0;
	if (change_ns < CHANGE_NS && -change_ns < CHANGE_NS)
		return;
	double ratio = change_ns / MAX((double)first_ns, 1.0);
	if (ratio < CHANGE_RATIO && -ratio < CHANGE_RATIO)
		return;
	g_string_append_printf(out, "  %+.1f ms (%+.0f %%) since the phase before", change_ns / MS_NS, ratio * 100);
}

/* Labels of all, those of the first in its order, then what only others have. */
static GPtrArray *all_labels(const GPtrArray *timelines)
{
	GPtrArray *labels = g_ptr_array_new();

	for (guint i = 0; i < timelines->len; i++) {
		const struct timeline *timeline = timelines->pdata[i];

		for (guint j = 0; j < timeline->phases->len; j++) {
			const struct timeline_phase *phase = timeline->phases->pdata[j];

			if (!g_ptr_array_find_with_equal_func(labels, phase->label, g_str_equal, NULL))
				g_ptr_array_add(labels, phase->label);
		}
	}
	return labels;
}

char *timeline_compare(const GPtrArray *timelines)
{
	GPtrArray *labels = all_labels(timelines);
	const int width = MAX(label_width(timelines), (int)strlen("outcome"));
	GString *out = g_string_new(NULL);

	for (guint i = 0; i < timelines->len; i++) {
		const struct timeline *timeline = timelines->pdata[i];

		g_string_append_printf(out, "[%u] %s: %s, status %d\n", i + 1, timeline->name, timeline->outcome, timeline->status);
	}
	append_padded(out, "ms", width);
	for (guint i = 0; i < timelines->len; i++)
		g_string_append_printf(out, " %8s%u]", "[", i + 1);
	g_string_append_c(out, '\n');
	for (guint j = 0; j < labels->len; j++) {
		append_padded(out, labels->pdata[j], width);
		for (guint i = 0; i < timelines->len; i++) {
			const struct timeline_phase *phase = find_phase(timelines->pdata[i], labels->pdata[j]);

			if (phase)
				g_string_append_printf(out, " %10.1f", (double)phase->t_ns / MS_NS);
			else
				g_string_append_printf(out, " %10s", "-");
		}
		append_change(out, timelines, labels->pdata[j]);
		g_string_append_c(out, '\n');
	}
	g_ptr_array_unref(labels);
	return g_string_free(out, FALSE);
}
