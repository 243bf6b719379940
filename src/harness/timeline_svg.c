// SPDX-License-Identifier: MIT
/* A row for each phase of each run; the bar of a phase begins where the one before it ended. */
#include "harness/timeline.h"

#define WIDTH       960
#define LABEL_WIDTH 300
#define TIME_WIDTH  90
#define ROW         20
#define MS_NS       1e6

static const char *const COLOURS[] = { "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377" };

static uint64_t longest(const GPtrArray *timelines)
{
	uint64_t end_ns = 1;

	for (guint i = 0; i < timelines->len; i++) {
		const struct timeline *timeline = timelines->pdata[i];

		for (guint j = 0; j < timeline->phases->len; j++)
			end_ns = MAX(end_ns, ((const struct timeline_phase *)timeline->phases->pdata[j])->t_ns);
	}
	return end_ns;
}

static guint count_rows(const GPtrArray *timelines)
{
	guint n = 0;

	for (guint i = 0; i < timelines->len; i++)
		n += ((const struct timeline *)timelines->pdata[i])->phases->len + 2;
	return n;
}

/* Numbers with a point, whatever the locale. */
static void append_number(GString *out, const char *attribute, double number)
{
	char text[G_ASCII_DTOSTR_BUF_SIZE];

	g_string_append_printf(out, " %s=\"%s\"", attribute, g_ascii_formatd(text, sizeof(text), "%.1f", number));
}

static void append_text(GString *out, double x, double y, const char *text)
{
	g_autofree char *escaped = g_markup_escape_text(text, -1);

	g_string_append(out, "<text");
	append_number(out, "x", x);
	append_number(out, "y", y);
	g_string_append_printf(out, ">%s</text>\n", escaped);
}

static void append_phase(GString *out, const struct timeline_phase *phase, uint64_t before_ns, uint64_t end_ns, double y, const char *colour)
{
	const double scale = (double)(WIDTH - LABEL_WIDTH - TIME_WIDTH) / (double)end_ns;
	char text[G_ASCII_DTOSTR_BUF_SIZE];
	g_autofree char *time = g_strconcat(g_ascii_formatd(text, sizeof(text), "%.1f", (double)phase->t_ns / MS_NS), " ms", NULL);

	append_text(out, 8, y + ROW * 0.7, phase->label);
	append_text(out, LABEL_WIDTH, y + ROW * 0.7, time);
	g_string_append(out, "<rect");
	append_number(out, "x", LABEL_WIDTH + TIME_WIDTH + (double)before_ns * scale);
	append_number(out, "y", y + 3);
	append_number(out, "width", MAX((double)(phase->t_ns - before_ns) * scale, 1.0));
	append_number(out, "height", ROW - 6);
	g_string_append_printf(out, " fill=\"%s\"/>\n", colour);
}

char *timeline_svg(const GPtrArray *timelines)
{
	const uint64_t end_ns = longest(timelines);
	GString *out = g_string_new(NULL);
	double y = 0;

	g_string_append_printf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%u\" "
			       "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
			       WIDTH, count_rows(timelines) * ROW);
	for (guint i = 0; i < timelines->len; i++) {
		const struct timeline *timeline = timelines->pdata[i];
		g_autofree char *title = g_strdup_printf("%s: %s, status %d", timeline->name, timeline->outcome, timeline->status);
		uint64_t before_ns = 0;

		append_text(out, 8, y + ROW * 0.7, title);
		y += ROW;
		for (guint j = 0; j < timeline->phases->len; j++, y += ROW) {
			const struct timeline_phase *phase = timeline->phases->pdata[j];

			append_phase(out, phase, before_ns, end_ns, y, COLOURS[i % G_N_ELEMENTS(COLOURS)]);
			before_ns = phase->t_ns;
		}
		y += ROW;
	}
	g_string_append(out, "</svg>\n");
	return g_string_free(out, FALSE);
}
