// SPDX-License-Identifier: MIT
#include "config/channel_option.h"

#include <string.h>

#include "config/xl_cfg.h"

static const struct config_origin OPTION = { "--channel", 0, 0 };

static const struct {
	const char *word;
	enum channel_connection connection;
} KINDS[] = {
	{ "pty", CHANNEL_PTY },
	{ "socket:", CHANNEL_SOCKET },
	{ "file:", CHANNEL_FILE },
};

/* The words of --console. NULL: it is none of them. */
static struct channel_config *parse_where(const char *text)
{
	for (size_t i = 0; i < G_N_ELEMENTS(KINDS); i++) {
		const size_t word_bytes = strlen(KINDS[i].word);
		const gboolean has_path = KINDS[i].word[word_bytes - 1] == ':';

		if (has_path ? !g_str_has_prefix(text, KINDS[i].word) || text[word_bytes] == '\0' : strcmp(text, KINDS[i].word) != 0)
			continue;
		struct channel_config *channel = g_new0(struct channel_config, 1);
		channel->origin = OPTION;
		channel->raw = g_strdup(text);
		channel->connection = KINDS[i].connection;
		channel->path = has_path ? g_strdup(text + word_bytes) : NULL;
		return channel;
	}
	return NULL;
}

gboolean channel_options_parse(GPtrArray *channels, char **texts, GPtrArray *warnings, GError **error)
{
	for (; texts && *texts; texts++) {
		struct channel_config *channel = parse_where(*texts);

		if (!channel && strstr(*texts, "connection="))
			channel = xl_channel_parse(*texts, &OPTION, warnings, error);
		else if (!channel)
			config_fail(error, &OPTION, "%.60s: must be file:PATH, pty or socket:PATH", *texts);
		if (!channel)
			return FALSE;
		g_ptr_array_add(channels, channel);
	}
	return TRUE;
}

gboolean channels_settle(GPtrArray *channels, GError **error)
{
	for (guint i = 0; i < channels->len; i++) {
		struct channel_config *channel = channels->pdata[i];

		if (i == CHANNELS_MAX)
			return config_fail(error, &channel->origin, "channel: %.60s: there are too many: a guest has hvc1 to hvc%u",
					   channel->raw, CHANNELS_MAX);
		if (!channel->name)
			channel->name = g_strdup_printf("hvc%u", i + 1);
	}
	return TRUE;
}

char *channel_where(const struct channel_config *channel)
{
	switch (channel->connection) {
	case CHANNEL_SOCKET:
		return g_strdup_printf("socket %s", channel->path);
	case CHANNEL_FILE:
		return g_strdup_printf("file %s", channel->path);
	default:
		return g_strdup("pty");
	}
}
