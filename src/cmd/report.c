// SPDX-License-Identifier: MIT
/* dom1 report: timelines of runs, alone or compared, and the results of shards as one. */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/domain_command.h"
#include "harness/merge.h"
#include "harness/timeline.h"
#include "vmm/error.h"
#include "vmm/mapped_file.h"

#define DEFAULT_COLUMNS 100

struct report_options {
	char *svg_path, *output_path;
	gboolean merge;
};

static unsigned int terminal_columns(void)
{
	struct winsize size = { 0 };

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : DEFAULT_COLUMNS;
}

static bool write_text(const char *path, const char *text, GError **error)
{
	g_autoptr(GError) write_error = NULL;

	if (g_file_set_contents(path, text, -1, &write_error))
		return true;
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "cannot write: %s", write_error->message);
	return false;
}

static bool add_timeline(GPtrArray *timelines, const char *path, GError **error)
{
	struct mapped_file file;

	if (!mapped_file_open(&file, path, "report", error))
		return false;
	struct timeline *timeline = timeline_parse((const char *)file.bytes, file.len_bytes, path, error);
	mapped_file_close(&file);
	if (timeline)
		g_ptr_array_add(timelines, timeline);
	return timeline != NULL;
}

static bool draw(const struct report_options *options, char **paths, GError **error)
{
	GPtrArray *timelines = g_ptr_array_new_with_free_func((GDestroyNotify)timeline_free);
	bool ok = true;

	for (; ok && *paths; paths++)
		ok = add_timeline(timelines, *paths, error);
	if (ok) {
		g_autofree char *text = timelines->len == 1 ? timeline_text(timelines->pdata[0], terminal_columns()) :
							      timeline_compare(timelines);
		g_autofree char *svg = timeline_svg(timelines);

		fputs(text, stdout);
		ok = !options->svg_path || write_text(options->svg_path, svg, error);
	}
	g_ptr_array_unref(timelines);
	return ok;
}

static bool merge_files(const struct report_options *options, char **paths, int *status, GError **error)
{
	struct merge *merge = merge_new();
	bool ok = true;

	for (; ok && *paths; paths++) {
		struct mapped_file file;

		ok = mapped_file_open(&file, *paths, "results", error);
		if (!ok)
			break;
		ok = merge_add(merge, (const char *)file.bytes, file.len_bytes, *paths, error);
		mapped_file_close(&file);
	}
	if (ok) {
		g_autofree char *missing = merge_missing(merge), *text = merge_text(merge);

		*status = merge_status(merge);
		if (missing)
			fprintf(stderr, "dom1: report: shards are missing: %s: what they have tested is not known\n", missing);
		if (options->output_path)
			ok = write_text(options->output_path, text, error);
		else
			fputs(text, stdout);
	}
	merge_free(merge);
	return ok;
}

int cmd_report(int argc, char **argv, uint64_t exec_ns)
{
	struct report_options options = { 0 };
	const GOptionEntry entries[] = {
		{ "svg", 0, 0, G_OPTION_ARG_FILENAME, &options.svg_path, "also draw it into FILE", "FILE" },
		{ "merge", 0, 0, G_OPTION_ARG_NONE, &options.merge, "the FILEs are junit.xml or results.json of shards: make one of them", NULL },
		{ "output", 'o', 0, G_OPTION_ARG_FILENAME, &options.output_path, "with --merge: write it to FILE (default: standard output)", "FILE" },
		{ NULL, 0, 0, 0, NULL, NULL, NULL },
	};
	const struct command_syntax syntax = {
		.parameters = "FILE...",
		.summary = "Draws the timeline of a report that dom1 run --report wrote. Of several it shows each phase's time side by\n"
			   "side, and what changed from the first to the last.\n"
			   "With --merge the exit status is the worst of the results; shards that are missing are an error.",
		.entries = entries,
		.min = 1,
		.max = G_MAXINT,
	};
	g_autoptr(GError) error = NULL;
	int status = DOM1_STATUS_OK;

	(void)exec_ns;
	bool ok = command_parse(&syntax, &argc, &argv, &error);
	if (ok && (options.merge ? options.svg_path : options.output_path)) {
		g_set_error(&error, DOM1_ERROR, DOM1_STATUS_USAGE, "%s", options.merge ? "--merge draws nothing: leave out --svg" :
											 "--output needs --merge");
		ok = false;
	}
	if (ok)
		ok = options.merge ? merge_files(&options, argv + 1, &status, &error) : draw(&options, argv + 1, &error);
	if (!ok)
		status = command_error("report", error);
	g_free(options.svg_path);
	g_free(options.output_path);
	return command_finish("report", status);
}
