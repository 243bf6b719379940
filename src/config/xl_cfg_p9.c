// SPDX-License-Identifier: MIT
/*
 * The specifications of shared folders (9p) and of channels, after xl.cfg(5).
 */
#include "config/xl_cfg.h"

#include "config/xl_cfg_spec.h"

static gboolean set_p9_tag(struct spec *spec, const char *value)
{
	((struct p9_config *)spec->device)->tag = g_strdup(value);
	return TRUE;
}

static gboolean set_p9_path(struct spec *spec, const char *value)
{
	((struct p9_config *)spec->device)->path = g_strdup(value);
	return TRUE;
}

static gboolean set_p9_security_model(struct spec *spec, const char *value)
{
	static const char *const words[] = { "none", NULL };
	unsigned int index;

	return spec_word(spec, "security_model", value, words, &index);
}

static const struct spec_key P9_KEYS[] = {
	{ "tag", set_p9_tag },
	{ "path", set_p9_path },
	{ "security_model", set_p9_security_model },
	{ "backend", spec_backend },
	{ "type", .ignored = "there is one back end, dom1's own" },
};

struct p9_config *xl_p9_parse(const char *text, const struct config_origin *origin, GPtrArray *warnings, GError **error)
{
	struct p9_config *p9 = g_new0(struct p9_config, 1);
	struct spec spec = { .what = "p9",
			     .keys = P9_KEYS,
			     .n_keys = G_N_ELEMENTS(P9_KEYS),
			     .origin = origin,
			     .warnings = warnings,
			     .error = error,
			     .device = p9 };

	p9->origin = *origin;
	p9->raw = g_strdup(text);
	if (spec_set_all(&spec, text)) {
		if (p9->tag && p9->path)
			return p9;
		spec_fail(&spec, "\"%.60s\" has no %s: give tag= and path=", text, p9->tag ? "path" : "tag");
	}
	p9_config_free(p9);
	return NULL;
}

char *xl_p9_to_text(const struct p9_config *p9)
{
	return g_strdup_printf("tag=%s,path=%s,security_model=none", p9->tag, p9->path);
}

static gboolean set_channel_name(struct spec *spec, const char *value)
{
	((struct channel_config *)spec->device)->name = g_strdup(value);
	return TRUE;
}

static gboolean set_channel_path(struct spec *spec, const char *value)
{
	((struct channel_config *)spec->device)->path = g_strdup(value);
	return TRUE;
}

/* "file" is ours. */
static const char *const CONNECTIONS[] = { "pty", "socket", "file", NULL };

static gboolean set_channel_connection(struct spec *spec, const char *value)
{
	unsigned int index;

	if (!spec_word(spec, "connection", value, CONNECTIONS, &index))
		return FALSE;
	((struct channel_config *)spec->device)->connection = (enum channel_connection)index;
	return TRUE;
}

static const struct spec_key CHANNEL_KEYS[] = {
	{ "connection", set_channel_connection },
	{ "name", set_channel_name },
	{ "path", set_channel_path },
	{ "backend", spec_backend },
};

static gboolean finish_channel(struct spec *spec, struct channel_config *channel)
{
	if (!(spec->seen & 1))
		return spec_fail(spec, "\"%.60s\" has no connection: give connection=pty or connection=socket",
				 channel->raw);
	if (!channel->name)
		return spec_fail(spec, "\"%.60s\" has no name: give name=, the guest finds the channel by it",
				 channel->raw);
	if (channel->connection != CHANNEL_PTY && !channel->path)
		return spec_fail(spec, "connection=%s: it has no path: give path=", CONNECTIONS[channel->connection]);
	if (channel->connection == CHANNEL_PTY && channel->path) {
		spec_warn(spec, "path: ignored: the path of a pty is the kernel's choice; leave it out");
		g_clear_pointer(&channel->path, g_free);
	}
	return TRUE;
}

struct channel_config *xl_channel_parse(const char *text, const struct config_origin *origin, GPtrArray *warnings,
					GError **error)
{
	struct channel_config *channel = g_new0(struct channel_config, 1);
	struct spec spec = { .what = "channel",
			     .keys = CHANNEL_KEYS,
			     .n_keys = G_N_ELEMENTS(CHANNEL_KEYS),
			     .origin = origin,
			     .warnings = warnings,
			     .error = error,
			     .device = channel };

	channel->origin = *origin;
	channel->raw = g_strdup(text);
	if (spec_set_all(&spec, text) && finish_channel(&spec, channel))
		return channel;
	channel_config_free(channel);
	return NULL;
}

char *xl_channel_to_text(const struct channel_config *channel)
{
	return g_strdup_printf("connection=%s,name=%s%s%s", CONNECTIONS[channel->connection], channel->name,
			       channel->path ? ",path=" : "", channel->path ? channel->path : "");
}
