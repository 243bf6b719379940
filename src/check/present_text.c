// SPDX-License-Identifier: MIT
/*
 *      ok       host kernel             Linux 6.12.0
 *      missing  Xen shim                none: no readable /usr/lib/xen-*\/boot/xen-shim
 *               remedy: install ...
 *
 *      verdict: this host cannot run PV domains: see Xen shim
 */
#include "check/present.h"

#include "vmm/one_line.h"

enum { STATE_COLUMNS = 9, MEANING_COLUMN = STATE_COLUMNS + 24 };

#define REMEDY "remedy: "

/* Appends text from column on (where the line stands already), further lines indented to it, and ends the line. */
static void append_wrapped(GString *out, const char *text, glong column)
{
	g_autofree char *clean = one_line(text);
	g_auto(GStrv) words = g_strsplit(clean, " ", -1);
	glong at = column;

	for (char **word = words; *word; word++) {
		glong width = g_utf8_strlen(*word, -1);

		if (at > column && at + 1 + width > PRESENT_COLUMNS) {
			g_string_append_printf(out, "\n%*s", (int)column, "");
			at = column;
		}
		g_string_append_printf(out, "%s%s", at > column ? " " : "", *word);
		at += width + (at > column);
	}
	g_string_append_c(out, '\n');
}

char *present_text(const struct findings *findings)
{
	GString *out = g_string_new(NULL);

	for (guint i = 0; i < findings->list->len; i++) {
		const struct finding *finding = &g_array_index(findings->list, struct finding, i);

		g_string_append_printf(out, "%-*s%-*s", STATE_COLUMNS, finding_state_name(finding->state),
				       MEANING_COLUMN - STATE_COLUMNS, finding->title);
		append_wrapped(out, finding->meaning, MEANING_COLUMN);
		if (finding->remedy) {
			g_string_append_printf(out, "%*s" REMEDY, STATE_COLUMNS, "");
			append_wrapped(out, finding->remedy, STATE_COLUMNS + (glong)sizeof(REMEDY) - 1);
		}
	}
	g_string_append(out, "\nverdict: ");
	append_wrapped(out, findings->verdict, STATE_COLUMNS);
	return g_string_free(out, FALSE);
}
