// SPDX-License-Identifier: MIT
/*
 * A key is set once, unless its value was empty: that asks for the default, in xl too. A key that is refused or ignored
 * is so whatever its value is.
 */
#include "config/xl_cfg_spec.h"

#include <string.h>

gboolean spec_fail(struct spec *spec, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	g_autofree char *text = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	return config_fail(spec->error, spec->origin, "%s: %s", spec->what, text);
}

void spec_warn(struct spec *spec, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	g_autofree char *text = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	config_warn(spec->warnings, spec->origin, "%s: %s", spec->what, text);
}

static size_t find_key(const struct spec *spec, const char *key)
{
	size_t i = 0;

	while (i < spec->n_keys && strcmp(spec->keys[i].key, key) != 0)
		i++;
	return i;
}

/* "format, vdev and access", for who mistyped one of them. */
static char *list_of_keys(const struct spec *spec)
{
	GString *list = g_string_new(NULL);

	for (size_t i = 0; i < spec->n_keys; i++)
		if (spec->keys[i].set)
			g_string_append_printf(list, "%s%s", list->len ? ", " : "", spec->keys[i].key);
	return g_string_free(list, FALSE);
}

gboolean spec_set(struct spec *spec, const char *key, const char *value)
{
	size_t i = find_key(spec, key);

	g_assert(spec->n_keys <= 64);
	if (i == spec->n_keys) {
		g_autofree char *known = list_of_keys(spec);
		return spec_fail(spec, "%.60s: no such word: give one of %s", key, known);
	}
	const struct spec_key *entry = &spec->keys[i];
	if (entry->refused)
		return spec_fail(spec, "%s: %s", key, entry->refused);
	if (entry->ignored) {
		spec_warn(spec, "%s: ignored: %s", key, entry->ignored);
		return TRUE;
	}
	/* An empty value asks for the default, and may be followed by one that is not empty: as in xl. */
	if (*value == '\0')
		return TRUE;
	if ((spec->seen >> i & 1) && !entry->may_repeat)
		return spec_fail(spec, "%s: given twice: leave one out", key);
	spec->seen |= UINT64_C(1) << i;
	return entry->set(spec, value);
}

gboolean spec_set_all(struct spec *spec, const char *text)
{
	g_auto(GStrv) words = g_strsplit(text, ",", -1);

	for (unsigned int i = 0; words[i]; i++) {
		char *word = g_strstrip(words[i]), *equals = strchr(word, '=');

		if (*word == '\0')
			continue;
		if (equals)
			*equals = '\0';
		if (!spec_set(spec, g_strchomp(word), equals ? g_strchug(equals + 1) : ""))
			return FALSE;
	}
	return TRUE;
}

gboolean spec_word(struct spec *spec, const char *key, const char *value, const char *const *words, unsigned int *index)
{
	g_autoptr(GString) list = g_string_new(NULL);

	for (unsigned int i = 0; words[i]; i++) {
		if (strcmp(words[i], value) == 0) {
			*index = i;
			return TRUE;
		}
		if (*words[i])
			g_string_append_printf(list, "%s%s", list->len ? ", " : "", words[i]);
	}
	return spec_fail(spec, "%s=%.60s: no such value: give one of %s", key, value, list->str);
}

gboolean spec_backend(struct spec *spec, const char *value)
{
	if (strcmp(value, "0") == 0 || g_ascii_strcasecmp(value, "Domain-0") == 0)
		return TRUE;
	return spec_fail(spec, "backend=%.60s: there is no driver domain: the back ends are dom1's own, leave it out",
			 value);
}
