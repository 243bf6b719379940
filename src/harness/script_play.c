// SPDX-License-Identifier: MIT
#include "harness/script_play.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "control/client.h"
#include "control/folders.h"
#include "control/xs_client.h"
#include "harness/console_lines.h"
#include "vmm/event_source.h"

#define LOOK_MS        100
#define ANSWER_MS      1000u
/* Lines since the last match; of more the oldest go. */
#define BACKLOG_LINES  4096u

struct script_play {
	const struct script *script;
	GMainContext *context;
	const char *domain;
	int input_fd;
	script_over over;
	void *opaque;

	guint at; /* of script->steps */
	enum script_state state;
	char *detail;
	struct console_lines lines;
	GQueue backlog; /* char * */
	bool prompt_matched; /* the unfinished line did: what it becomes is no news */
	size_t sent_bytes; /* of the step */
	GQueue events; /* of names that came, char * */
	bool wants_events;
	struct control_client *control;
	struct xs_client *store;
	guint limit_source, look_source, input_source;
};

static void advance(struct script_play *play);

static const struct script_step *current(const struct script_play *play)
{
	return play->at < play->script->steps->len ? play->script->steps->pdata[play->at] : NULL;
}

static void finish(struct script_play *play, enum script_state state, const char *why)
{
	const struct script_step *step = current(play);

	if (play->state != SCRIPT_RUNNING)
		return;
	play->state = state;
	if (step)
		play->detail = g_strdup_printf("%s:%u: %s: %s", play->script->path, step->line, step->text, why);
	event_source_remove(play->context, &play->limit_source);
	event_source_remove(play->context, &play->look_source);
	event_source_remove(play->context, &play->input_source);
	play->over(play->opaque);
}

static void end_step(struct script_play *play)
{
	event_source_remove(play->context, &play->limit_source);
	play->sent_bytes = 0;
	play->at++;
}

/* Sockets */

/* FALSE: they are not there yet, or not any more; the step's limit tells. */
static bool connect_sockets(struct script_play *play)
{
	struct domain_folder folder;

	if (play->store && (play->control || !play->wants_events))
		return true;
	if (!domain_folder_open(&folder, play->domain, NULL))
		return false;
	if (!play->store)
		play->store = xs_client_new(&folder, ANSWER_MS, NULL);
	if (!play->control && play->wants_events)
		play->control = control_client_new(&folder, ANSWER_MS, NULL);
	domain_folder_close(&folder);
	return play->store && (play->control || !play->wants_events);
}

static void collect_events(struct script_play *play)
{
	char *name;

	while (play->control && (name = control_client_poll_event(play->control)))
		g_queue_push_tail(&play->events, name);
}

static bool has_event(struct script_play *play, const char *name)
{
	char *event;
	bool found = false;

	while (!found && (event = g_queue_pop_head(&play->events))) {
		found = strcmp(event, name) == 0;
		g_free(event);
	}
	return found;
}

static bool has_node(struct script_play *play, const struct script_step *step)
{
	g_autoptr(GBytes) value = xs_client_read(play->store, step->name, NULL);
	gsize len_bytes;
	const void *bytes = value ? g_bytes_get_data(value, &len_bytes) : NULL;

	return value && (!step->value || (len_bytes == step->value->len && memcmp(bytes, step->value->str, len_bytes) == 0));
}

static bool write_node(struct script_play *play, const struct script_step *step)
{
	g_autoptr(GError) error = NULL;

	if (xs_client_write(play->store, step->name, step->value->str, &error))
		return true;
	finish(play, SCRIPT_FAILED, error->message);
	return false;
}

static gboolean on_look(gpointer opaque)
{
	struct script_play *play = opaque;

	advance(play);
	return play->look_source ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

/* Console */

static bool backlog_matches(struct script_play *play, GRegex *regex)
{
	char *line;
	bool found = false;

	while (!found && (line = g_queue_pop_head(&play->backlog))) {
		found = g_regex_match(regex, line, 0, NULL);
		g_free(line);
	}
	return found;
}

static gboolean on_input_ready(gint fd, GIOCondition condition, gpointer opaque)
{
	struct script_play *play = opaque;

	(void)fd, (void)condition;
	play->input_source = 0;
	advance(play);
	return G_SOURCE_REMOVE;
}

static bool type_text(struct script_play *play, const struct script_step *step)
{
	while (play->sent_bytes < step->value->len) {
		ssize_t written = write(play->input_fd, step->value->str + play->sent_bytes, step->value->len - play->sent_bytes);

		if (written > 0) {
			play->sent_bytes += (size_t)written;
		} else if (errno == EAGAIN) {
			if (!play->input_source)
				play->input_source = event_source_add_to(play->context, play->input_fd, G_IO_OUT, on_input_ready, play);
			return false;
		} else if (errno != EINTR) {
			/* The guest is ending, and how it does will be told. */
			return false;
		}
	}
	return true;
}

/* Whether the step is done; if not, what will tell is under way. */
static bool try_step(struct script_play *play, const struct script_step *step)
{
	if (step->kind == SCRIPT_EXPECT)
		return backlog_matches(play, step->regex);
	if (step->kind == SCRIPT_SEND)
		return type_text(play, step);
	if (!connect_sockets(play))
		return false;
	collect_events(play);
	switch (step->kind) {
	case SCRIPT_WRITE:
		return write_node(play, step);
	case SCRIPT_EVENT:
		return has_event(play, step->name);
	default:
		return has_node(play, step);
	}
}

static gboolean on_limit(gpointer opaque)
{
	struct script_play *play = opaque;
	g_autofree char *why = g_strdup_printf("did not come in %u s", current(play)->timeout_s);

	play->limit_source = 0;
	finish(play, SCRIPT_FAILED, why);
	return G_SOURCE_REMOVE;
}

static void advance(struct script_play *play)
{
	const struct script_step *step = current(play);

	while (play->state == SCRIPT_RUNNING && step && try_step(play, step)) {
		end_step(play);
		step = current(play);
	}
	if (play->state != SCRIPT_RUNNING)
		return;
	if (!step) {
		finish(play, SCRIPT_DONE, "");
		return;
	}
	if (!play->limit_source)
		play->limit_source = event_source_add_timeout(play->context, step->timeout_s * 1000, on_limit, play);
	bool looks = play->wants_events || (step->kind != SCRIPT_EXPECT && step->kind != SCRIPT_SEND);
	if (looks && !play->look_source)
		play->look_source = event_source_add_timeout(play->context, LOOK_MS, on_look, play);
	else if (!looks)
		event_source_remove(play->context, &play->look_source);
}

static gboolean on_start(gpointer opaque)
{
	struct script_play *play = opaque;

	play->look_source = 0;
	advance(play);
	return G_SOURCE_REMOVE;
}

static void on_line(void *opaque, const char *line)
{
	struct script_play *play = opaque;

	if (!play->prompt_matched)
		g_queue_push_tail(&play->backlog, g_strdup(line));
	play->prompt_matched = false;
	if (g_queue_get_length(&play->backlog) > BACKLOG_LINES)
		g_free(g_queue_pop_head(&play->backlog));
}

void script_play_feed(struct script_play *play, const void *bytes, size_t len_bytes)
{
	console_lines_feed(&play->lines, bytes, len_bytes, on_line, play);
	advance(play);
}

void script_play_quiet(struct script_play *play)
{
	const struct script_step *step = current(play);
	const char *prompt = console_lines_unfinished(&play->lines);

	if (play->state != SCRIPT_RUNNING || play->prompt_matched || step->kind != SCRIPT_EXPECT || prompt[0] == '\0' ||
	    !g_regex_match(step->regex, prompt, 0, NULL))
		return;
	play->prompt_matched = true;
	end_step(play);
	advance(play);
}

struct script_play *script_play_new(const struct script *script, GMainContext *context, const char *domain, int input_fd, script_over over,
				    void *opaque)
{
	struct script_play *play = g_new0(struct script_play, 1);

	play->script = script;
	play->context = context;
	play->domain = domain;
	play->input_fd = input_fd;
	play->over = over;
	play->opaque = opaque;
	play->state = SCRIPT_RUNNING;
	g_queue_init(&play->backlog);
	g_queue_init(&play->events);
	for (guint i = 0; i < script->steps->len; i++)
		play->wants_events |= ((const struct script_step *)script->steps->pdata[i])->kind == SCRIPT_EVENT;
	play->look_source = event_source_add_idle(play->context, on_start, play);
	return play;
}

void script_play_free(struct script_play *play)
{
	if (!play)
		return;
	event_source_remove(play->context, &play->limit_source);
	event_source_remove(play->context, &play->look_source);
	event_source_remove(play->context, &play->input_source);
	g_queue_clear_full(&play->backlog, g_free);
	g_queue_clear_full(&play->events, g_free);
	control_client_free(play->control);
	xs_client_free(play->store);
	g_free(play->detail);
	g_free(play);
}

enum script_state script_play_state(const struct script_play *play)
{
	return play->state;
}

const char *script_play_detail(struct script_play *play)
{
	const struct script_step *step = current(play);

	if (!play->detail && step)
		play->detail = g_strdup_printf("%s:%u: %s: had not come when the guest ended", play->script->path, step->line, step->text);
	return play->detail ? play->detail : "";
}
