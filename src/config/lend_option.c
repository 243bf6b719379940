// SPDX-License-Identifier: MIT
#include "config/lend_option.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/vm_config.h"
#include "lend/lending.h"
#include "vmm/error.h"

#define GRAIN_BYTES (UINT64_C(2) << 20)

static gboolean refuse(GError **error, const char *text, const char *why)
{
	g_autofree char *quoted = g_strdup(text);

	for (char *c = quoted; *c; c++)
		if (g_ascii_iscntrl(*c))
			*c = '?';
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "--lend-window=%s: %s", quoted, why);
	return FALSE;
}

static gboolean parse_gpa(const char *text, uint64_t *gpa)
{
	char *end;

	if (!g_ascii_isdigit(text[0]))
		return FALSE;
	errno = 0;
	*gpa = g_ascii_strtoull(text, &end, 0);
	return *end == '\0' && errno == 0 && *gpa > 0 && *gpa % GRAIN_BYTES == 0;
}

static gboolean parse_on_fail(const char *text, enum lend_action *action)
{
	static const struct {
		const char *word;
		enum lend_action action;
	} actions[] = { { "zero", LEND_ACTION_ZERO }, { "fault", LEND_ACTION_FAULT }, { "stop", LEND_ACTION_STOP } };

	for (size_t i = 0; i < G_N_ELEMENTS(actions); i++)
		if (strcmp(text, actions[i].word) == 0) {
			*action = actions[i].action;
			return TRUE;
		}
	return FALSE;
}

static gboolean parse_place(const char *text, enum lending_place *place)
{
	static const struct {
		const char *word;
		enum lending_place place;
	} places[] = { { "address", LENDING_AT_ADDRESS }, { "pci", LENDING_AT_PCI }, { "pmem", LENDING_AT_PMEM } };

	for (size_t i = 0; i < G_N_ELEMENTS(places); i++)
		if (strcmp(text, places[i].word) == 0) {
			*place = places[i].place;
			return TRUE;
		}
	return FALSE;
}

/* What the words say together. */
static gboolean check(const struct lending_window *window, const char *text, GError **error)
{
	if (window->place == LENDING_AT_ADDRESS)
		return TRUE;
	if (window->gpa != 0)
		return refuse(error, text, "gpa: the guest itself places a PCI device: leave it out, or place=");
	/* What a BAR can be. */
	if ((window->len_bytes & (window->len_bytes - 1)) != 0)
		return refuse(error, text, "place=pci and place=pmem: the size must be a power of two");
	return TRUE;
}

static gboolean parse_one(struct lending_window *window, const char *text, GError **error)
{
	g_auto(GStrv) words = g_strsplit(text, ",", -1);

	*window = (struct lending_window){ .on_fail = LEND_ACTION_ZERO };
	if (!words[0] || !vm_config_parse_size(words[0], &window->len_bytes) || window->len_bytes == 0 ||
	    window->len_bytes % GRAIN_BYTES != 0)
		return refuse(error, text, "begins with a size: a multiple of 2 MiB, as 512, 512M or 4G");
	for (char **word = words + 1; *word; word++) {
		if (g_str_has_prefix(*word, "gpa=")) {
			if (!parse_gpa(*word + strlen("gpa="), &window->gpa))
				return refuse(error, text, "gpa: must be a multiple of 2 MiB, as 0x200000000");
		} else if (g_str_has_prefix(*word, "place=")) {
			if (!parse_place(*word + strlen("place="), &window->place))
				return refuse(error, text, "place: must be address, pci or pmem");
		} else if (g_str_has_prefix(*word, "on-fail=")) {
			if (!parse_on_fail(*word + strlen("on-fail="), &window->on_fail))
				return refuse(error, text, "on-fail: must be zero, fault or stop");
		} else {
			return refuse(error, text, "must be SIZE[,place=address|pci|pmem][,gpa=ADDRESS][,on-fail=zero|fault|stop]");
		}
	}
	return check(window, text, error);
}

gboolean lend_options_parse(GArray *windows, char **words, GError **error)
{
	for (char **word = words; word && *word; word++) {
		struct lending_window window;

		if (windows->len == SPACE_MAX_WINDOWS) {
			g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "--lend-window: a domain has at most %u", SPACE_MAX_WINDOWS);
			return FALSE;
		}
		if (!parse_one(&window, *word, error))
			return FALSE;
		g_array_append_val(windows, window);
	}
	return TRUE;
}
