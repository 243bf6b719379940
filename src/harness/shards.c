// SPDX-License-Identifier: MIT
#include "harness/shards.h"

#include "harness/targets.h"
#include "vmm/error.h"
#include "vmm/one_line.h"

/* Of a list that is meant for people. */
#define RANGES_MOST 20

struct shards {
	/* The path of each, char *; as many as there are shards, 0 before the first came. */
	GPtrArray *paths;
};

struct shards *shards_new(void)
{
	struct shards *shards = g_new0(struct shards, 1);

	shards->paths = g_ptr_array_new_with_free_func(g_free);
	return shards;
}

void shards_free(struct shards *shards)
{
	g_ptr_array_unref(shards->paths);
	g_free(shards);
}

bool shards_add(struct shards *shards, const char *text, const char *path, GError **error)
{
	struct shard shard;

	if (!shard_parse(text, &shard, NULL))
		return true;
	if (shards->paths->len == 0)
		g_ptr_array_set_size(shards->paths, (gint)shard.count);
	if (shards->paths->len != shard.count) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
			    "it is shard %u of %u, and others are of %u: merge the shards of one set", shard.index, shard.count,
			    shards->paths->len);
		return false;
	}
	char **place = (char **)&shards->paths->pdata[shard.index - 1];
	if (*place) {
		g_autofree char *before = one_line(*place);

		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE, "it is shard %u of %u, and so is %s: give one of them", shard.index,
			    shard.count, before);
		return false;
	}
	*place = g_strdup(path);
	return true;
}

char *shards_missing(const struct shards *shards)
{
	GString *text = g_string_new(NULL);
	unsigned int n_ranges = 0;

	for (guint i = 0; i < shards->paths->len; i++) {
		guint first = i;

		if (shards->paths->pdata[i])
			continue;
		while (i + 1 < shards->paths->len && !shards->paths->pdata[i + 1])
			i++;
		if (++n_ranges > RANGES_MOST) {
			g_string_append(text, " and more");
			break;
		}
		g_string_append_printf(text, "%s%u", text->len > 0 ? ", " : "", first + 1);
		if (i > first)
			g_string_append_printf(text, " to %u", i + 1);
	}
	if (text->len > 0)
		g_string_append_printf(text, " of %u", shards->paths->len);
	return g_string_free(text, text->len == 0);
}
