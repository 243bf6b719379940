// SPDX-License-Identifier: MIT
#include "check/finding.h"

#include "vmm/error.h"

const char *finding_state_name(enum finding_state state)
{
	static const char *const names[] = {
		[FINDING_OK] = "ok",           [FINDING_MISSING] = "missing", [FINDING_BAD] = "bad",
		[FINDING_WARNING] = "warning", [FINDING_INFO] = "info",       [FINDING_UNKNOWN] = "unknown",
	};

	return names[state];
}

static int status_of(enum finding_state state)
{
	switch (state) {
	case FINDING_MISSING:
		return DOM1_STATUS_HOST;
	case FINDING_BAD:
		return DOM1_STATUS_FILE;
	default:
		return DOM1_STATUS_OK;
	}
}

void findings_add(struct findings *findings, const char *key, const char *title, enum finding_state state,
		  char *meaning, char *remedy)
{
	struct finding finding = {
		.state = state,
		.meaning = meaning,
		.remedy = remedy,
		.status = status_of(state),
	};

	g_strlcpy(finding.key, key, sizeof(finding.key));
	g_strlcpy(finding.title, title, sizeof(finding.title));
	g_array_append_val(findings->list, finding);
}

static void clear_finding(gpointer data)
{
	struct finding *finding = data;

	g_free(finding->meaning);
	g_free(finding->remedy);
}

const struct finding *findings_find(const struct findings *findings, const char *key)
{
	for (guint i = 0; i < findings->list->len; i++) {
		const struct finding *finding = &g_array_index(findings->list, struct finding, i);

		if (g_str_equal(finding->key, key))
			return finding;
	}
	return NULL;
}

/* "/dev/kvm, Xen shim": the titles of what has this status. A detail is named by the line that it belongs to. */
static char *titles_with(const struct findings *findings, int status)
{
	GString *titles = g_string_new(NULL);

	for (guint i = 0; i < findings->list->len; i++) {
		const struct finding *finding = &g_array_index(findings->list, struct finding, i);

		if (finding->status == status && finding->title[0] != ' ')
			g_string_append_printf(titles, "%s%s", titles->len ? ", " : "", finding->title);
	}
	return g_string_free(titles, FALSE);
}

static char *verdict_of(const struct findings *findings, const struct host_facts *facts)
{
	g_autofree char *lacking = titles_with(findings, DOM1_STATUS_HOST);
	g_autofree char *bad = titles_with(findings, DOM1_STATUS_FILE);

	if (*lacking && *bad)
		return g_strdup_printf("this host cannot run PV domains: see %s; and see %s", lacking, bad);
	if (*lacking)
		return g_strdup_printf("this host cannot run PV domains: see %s", lacking);
	if (*bad)
		return g_strdup_printf("this host can run PV domains, but not with what was named: see %s", bad);
	if (facts->kernel.path && findings_find(findings, "kernel")->state == FINDING_OK)
		return g_strdup("this host can run PV domains, and this kernel");
	return g_strdup("this host can run PV domains");
}

struct findings *findings_new(const struct host_facts *facts)
{
	struct findings *findings = g_new0(struct findings, 1);

	findings->list = g_array_new(FALSE, FALSE, sizeof(struct finding));
	g_array_set_clear_func(findings->list, clear_finding);
	findings_add_kvm(findings, facts);
	findings_add_images(findings, facts);
	findings_add_optional(findings, facts);

	findings->status = DOM1_STATUS_OK;
	for (guint i = 0; i < findings->list->len; i++) {
		int status = g_array_index(findings->list, struct finding, i).status;

		if (status == DOM1_STATUS_HOST || findings->status == DOM1_STATUS_OK)
			findings->status = status;
	}
	findings->verdict = verdict_of(findings, facts);
	return findings;
}

void findings_free(struct findings *findings)
{
	g_array_unref(findings->list);
	g_free(findings->verdict);
	g_free(findings);
}
