// SPDX-License-Identifier: MIT
/*
 * dom1 lend: a lender at the command line, on libdom1-lend as any other. What it lends is lent as long as it runs; on
 * standard input it is told to take parts back, or to give them again.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/domain_command.h"
#include "config/vm_config.h"
#include "dom1/lend.h"
#include "vmm/error.h"

#define LINE_MAX_BYTES 256u

struct lend_options {
	char *window, *at, *offset, *size, *on_fail, *kind;
	gboolean read_only, on_demand;
};

struct lender {
	struct lend *lend;
	const char *name; /* of the domain */
	uint32_t window;
	uint64_t at, len_bytes, offset; /* in the window, in both, in the file */
	int fd;
	unsigned int flags;
	bool holds; /* faults are not answered */
	GArray *held; /* of struct lend_fault */
	char line[LINE_MAX_BYTES];
	size_t line_bytes;
};

static bool fail(GError **error, enum dom1_status status, const char *what, int result)
{
	g_set_error(error, DOM1_ERROR, (gint)status, "%s: %s", what, g_strerror(-result));
	return false;
}

static struct lend *connect_to(const char *name, GError **error)
{
	struct domain_folder folder;
	struct lend *lend = NULL;

	if (!domain_folder_open(&folder, name, error))
		return NULL;
	int fd = domain_folder_connect(&folder, "lend.sock", 0, error);
	domain_folder_close(&folder);
	if (fd < 0) {
		g_prefix_error(error, "it has no lend window (dom1 run --lend-window): ");
		return NULL;
	}
	int result = lend_from_fd(fd, &lend);
	if (result != 0) {
		close(fd);
		fail(error, DOM1_STATUS_DEFECT, "lend.sock", result);
	}
	return lend;
}

/* list */

static const char *const ACTION_WORDS[] = { "default", "zero", "fault", "stop" };

/* "window N: ADDRESS, SIZE MiB": nowhere is a BAR that the guest has turned off. */
static void print_place(uint32_t window, uint64_t gpa, uint64_t len_bytes)
{
	if (gpa == LEND_NOWHERE)
		printf("window %u: nowhere", window);
	else
		printf("window %u: 0x%" PRIx64, window, gpa);
	printf(", %" PRIu64 " MiB", len_bytes >> 20);
}

static void print_window(const struct lend_state *state)
{
	print_place(state->window, state->gpa, state->len_bytes);
	printf(", %s, on-fail %s\n", state->claimed ? "claimed" : "free", state->on_fail < LEND_ACTIONS ? ACTION_WORDS[state->on_fail] : "?");
	printf("  pages: %" PRIu64 " lent, %" PRIu64 " zero; mappings: %" PRIu64 "; vCPUs waiting: %" PRIu64 "\n", state->lent_pages,
	       state->zero_pages, state->mappings, state->waiting);
	printf("  lends: %" PRIu64 ", supplies: %" PRIu64 " (late: %" PRIu64 "), revokes: %" PRIu64 " of %" PRIu64
	       " pages, whole window: %" PRIu64 "\n",
	       state->lends, state->supplies, state->stale, state->revokes, state->revoked_pages, state->widened);
	printf("  faults: %" PRIu64 ", zeros: %" PRIu64 ", machine checks: %" PRIu64 ", timeouts: %" PRIu64 ", traps: %" PRIu64
	       ", emulated: %" PRIu64 "\n",
	       state->faults, state->zeros, state->machine_checks, state->timeouts, state->traps, state->emulated);
	printf("  last revoke: %" PRIu64 " us (%" PRIu64 " in the kernel), slowest: %" PRIu64 " us (%" PRIu64 "), of %" PRIu64
	       " pages\n",
	       state->last_revoke_ns / 1000, state->last_revoke_kernel_ns / 1000, state->slowest_revoke_ns / 1000,
	       state->slowest_revoke_kernel_ns / 1000, state->slowest_revoke_pages);
}

static bool list(struct lend *lend, GError **error)
{
	struct lend_state state;
	int result = 0;

	for (uint32_t i = 0; (result = lend_query(lend, i, &state)) == 0; i++)
		print_window(&state);
	return result == -ENOENT || fail(error, DOM1_STATUS_USAGE, "the domain has ended", result);
}

/* Lending */

static bool lend_part(struct lender *lender, uint64_t at, uint64_t len_bytes)
{
	int result = lend_map(lender->lend, lender->window, at, len_bytes, lender->fd, lender->offset + (at - lender->at),
			      lender->flags);

	if (result == 0)
		printf("lent 0x%" PRIx64 " 0x%" PRIx64 "\n", at, len_bytes);
	else
		printf("error lend: %s\n", g_strerror(-result));
	return result == 0;
}

static void answer(struct lender *lender, const struct lend_fault *fault)
{
	uint64_t at = fault->offset_bytes;
	bool ours = at >= lender->at && at - lender->at < lender->len_bytes && !(fault->flags & LEND_FAULT_LOST) &&
		    (!(fault->flags & LEND_FAULT_WRITE) || (lender->flags & LEND_WRITABLE));
	int result = ours ? lend_supply(lender->lend, fault, fault->len_bytes, lender->fd, lender->offset + (at - lender->at),
					lender->flags) :
			    lend_fail(lender->lend, fault, LEND_ACTION_DEFAULT);

	printf("%s 0x%" PRIx64 "%s%s\n", ours ? "supplied" : "failed", at, result == 0 ? "" : ": ",
	       result == 0 ? "" : g_strerror(-result));
}

static void on_fault(struct lender *lender, const struct lend_fault *fault)
{
	printf("fault 0x%" PRIx64 "%s%s\n", fault->offset_bytes, fault->flags & LEND_FAULT_WRITE ? " write" : "",
	       fault->flags & LEND_FAULT_LOST ? " lost" : "");
	if (lender->holds)
		g_array_append_val(lender->held, *fault);
	else
		answer(lender, fault);
}

/* Without numbers: all of it. */
static bool parse_part(const struct lender *lender, char **words, uint64_t *at, uint64_t *len_bytes)
{
	*at = lender->at;
	*len_bytes = lender->len_bytes;
	if (!words[1])
		return true;
	return words[2] && !words[3] && g_ascii_isdigit(words[1][0]) && g_ascii_isdigit(words[2][0]) &&
	       (*at = g_ascii_strtoull(words[1], NULL, 0), *len_bytes = g_ascii_strtoull(words[2], NULL, 0), true);
}

static void release_held(struct lender *lender)
{
	lender->holds = false;
	for (guint i = 0; i < lender->held->len; i++)
		answer(lender, &g_array_index(lender->held, struct lend_fault, i));
	g_array_set_size(lender->held, 0);
}

static void obey(struct lender *lender, const char *line)
{
	g_auto(GStrv) words = g_strsplit_set(line, " \t", -1);
	struct lend_state state;
	uint64_t at, len_bytes;

	if (!words[0] || words[0][0] == '\0')
		return;
	if (strcmp(words[0], "revoke") == 0 && parse_part(lender, words, &at, &len_bytes)) {
		int result = lend_revoke(lender->lend, lender->window, at, len_bytes, NULL);

		if (result >= 0)
			printf("revoked 0x%" PRIx64 " 0x%" PRIx64 "%s\n", at, len_bytes, result > 0 ? ", and the whole window" : "");
		else
			printf("error revoke: %s\n", g_strerror(-result));
	} else if (strcmp(words[0], "lend") == 0 && parse_part(lender, words, &at, &len_bytes)) {
		(void)lend_part(lender, at, len_bytes);
	} else if (strcmp(words[0], "hold") == 0) {
		lender->holds = true;
	} else if (strcmp(words[0], "answer") == 0) {
		release_held(lender);
	} else if (strcmp(words[0], "state") == 0 && lend_query(lender->lend, lender->window, &state) == 0) {
		print_window(&state);
	} else {
		printf("error: revoke [OFFSET SIZE], lend [OFFSET SIZE], hold, answer or state\n");
	}
}

/* FALSE: there will be no more. */
static bool read_commands(struct lender *lender)
{
	ssize_t got = read(STDIN_FILENO, lender->line + lender->line_bytes, sizeof(lender->line) - 1 - lender->line_bytes);

	if (got <= 0)
		return got < 0 && (errno == EINTR || errno == EAGAIN);
	lender->line_bytes += (size_t)got;
	lender->line[lender->line_bytes] = '\0';
	char *start = lender->line, *end;
	while ((end = strchr(start, '\n'))) {
		*end = '\0';
		obey(lender, start);
		start = end + 1;
	}
	lender->line_bytes -= (size_t)(start - lender->line);
	memmove(lender->line, start, lender->line_bytes);
	if (lender->line_bytes == sizeof(lender->line) - 1)
		lender->line_bytes = 0;
	return true;
}

/* Until the domain ends, or we do. */
static void serve(struct lender *lender)
{
	struct pollfd files[] = { { lend_fd(lender->lend), POLLIN, 0 }, { STDIN_FILENO, POLLIN, 0 } };
	struct lend_fault fault;
	int result;

	for (;;) {
		while ((result = lend_next_fault(lender->lend, &fault, 0)) == 0)
			on_fault(lender, &fault);
		if (result == -ENOTCONN)
			return;
		fflush(stdout);
		if (poll(files, G_N_ELEMENTS(files), -1) > 0 && files[1].revents && !read_commands(lender))
			files[1].fd = -1;
	}
}

static bool parse_bytes(const char *option, const char *text, uint64_t *bytes, GError **error)
{
	if (!text)
		return true;
	if (g_str_has_prefix(text, "0x") || strcmp(text, "0") == 0) {
		*bytes = g_ascii_strtoull(text, NULL, 0);
		return true;
	}
	if (vm_config_parse_size(text, bytes))
		return true;
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "--%s=%s: not a size: a number with K, M, G or T behind it", option, text);
	return false;
}

static bool parse_action(const char *text, enum lend_action *action, GError **error)
{
	*action = LEND_ACTION_DEFAULT;
	for (unsigned int i = 0; text && i < G_N_ELEMENTS(ACTION_WORDS); i++)
		if (strcmp(text, ACTION_WORDS[i]) == 0) {
			*action = (enum lend_action)i;
			return true;
		}
	if (text)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "--on-fail=%s: must be zero, fault or stop", text);
	return !text;
}

static bool settle(struct lender *lender, const struct lend_options *options, uint64_t file_bytes, GError **error)
{
	enum lend_action action;
	struct lend_claimed claimed;
	unsigned int window = LEND_WINDOW_ANY;

	if ((options->window && !command_parse_number("--window", options->window, &window, error)) ||
	    !parse_bytes("at", options->at, &lender->at, error) || !parse_bytes("offset", options->offset, &lender->offset, error) ||
	    !parse_bytes("size", options->size, &lender->len_bytes, error) || !parse_action(options->on_fail, &action, error))
		return false;
	int result = lend_claim(lender->lend, window, action, 0, &claimed);
	if (result != 0)
		return fail(error, DOM1_STATUS_USAGE, "the window cannot be had", result);
	lender->window = claimed.window;
	uint64_t left = MIN(file_bytes - MIN(file_bytes, lender->offset), claimed.len_bytes - MIN(claimed.len_bytes, lender->at));
	if (lender->len_bytes == 0)
		lender->len_bytes = left / LEND_PAGE_BYTES * LEND_PAGE_BYTES;
	if (lender->len_bytes > left || lender->len_bytes == 0) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "there is no room, or no file, for so much: %" PRIu64 " KiB would do",
			    left / 1024);
		return false;
	}
	print_place(claimed.window, claimed.gpa, claimed.len_bytes);
	putchar('\n');
	return true;
}

/* What --help calls WHAT. */
static int open_memory(const char *action, const char *what, const struct lend_options *options, uint64_t *file_bytes,
		       GError **error)
{
	enum lend_memory kind = LEND_MEMORY_ANY;
	struct stat status;
	int fd;

	if (strcmp(action, "memory") == 0) {
		if (!parse_bytes("size", what, file_bytes, error))
			return -1;
		if (g_strcmp0(options->kind, "memfd") == 0)
			kind = LEND_MEMORY_MEMFD;
		else if (g_strcmp0(options->kind, "guest_memfd") == 0)
			kind = LEND_MEMORY_GUEST_MEMFD;
		fd = lend_memory_new(kind, *file_bytes);
		if (fd < 0)
			fail(error, DOM1_STATUS_HOST, "no such memory on this host", fd);
		return fd;
	}
	fd = open(what, (options->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status) != 0) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE, "%s: %s", what, g_strerror(errno));
		return -1;
	}
	*file_bytes = (uint64_t)status.st_size;
	return fd;
}

static bool lend_it(struct lend *lend, const char *name, const char *action, const char *what,
		    const struct lend_options *options, GError **error)
{
	struct lender lender = { .lend = lend, .name = name, .flags = options->read_only ? 0 : LEND_WRITABLE };
	uint64_t file_bytes = 0;

	lender.fd = open_memory(action, what, options, &file_bytes, error);
	if (lender.fd < 0)
		return false;
	lender.held = g_array_new(FALSE, FALSE, sizeof(struct lend_fault));
	bool ok = settle(&lender, options, file_bytes, error);
	/* What somebody's absence has filled with zeros makes room. */
	if (ok && lend_revoke(lend, lender.window, lender.at, lender.len_bytes, NULL) < 0)
		ok = fail(error, DOM1_STATUS_USAGE, "the domain has ended", -ENOTCONN);
	if (ok && !options->on_demand && !lend_part(&lender, lender.at, lender.len_bytes)) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE, "%s: cannot be lent", what);
		ok = false;
	}
	if (ok)
		serve(&lender);
	g_array_unref(lender.held);
	close(lender.fd);
	return ok;
}

static bool run(int argc, char **argv, const struct lend_options *options, GError **error)
{
	bool is_list = strcmp(argv[1], "list") == 0 && argc == 3;

	if (!is_list && (argc != 4 || (strcmp(argv[1], "file") != 0 && strcmp(argv[1], "memory") != 0))) {
		g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_USAGE,
				    "usage: list NAME, file NAME PATH, or memory NAME SIZE (dom1 lend --help says more)");
		return false;
	}
	struct lend *lend = connect_to(argv[2], error);
	if (!lend)
		return false;
	bool ok = is_list ? list(lend, error) : lend_it(lend, argv[2], argv[1], argv[3], options, error);
	lend_close(lend);
	return ok;
}

int cmd_lend(int argc, char **argv, uint64_t exec_ns)
{
	struct lend_options options = { 0 };
	const GOptionEntry entries[] = {
		{ "window", 0, 0, G_OPTION_ARG_STRING, &options.window, "The window's number (default: the first free one)", "N" },
		{ "at", 0, 0, G_OPTION_ARG_STRING, &options.at, "Where in the window (default 0)", "OFFSET" },
		{ "offset", 0, 0, G_OPTION_ARG_STRING, &options.offset, "Where in the file (default 0)", "OFFSET" },
		{ "size", 0, 0, G_OPTION_ARG_STRING, &options.size, "How much (default: what there is, and has room)", "SIZE" },
		{ "read-only", 0, 0, G_OPTION_ARG_NONE, &options.read_only, "The guest may only read; what it writes fails", NULL },
		{ "on-demand", 0, 0, G_OPTION_ARG_NONE, &options.on_demand, "Lend each page when the guest uses it", NULL },
		{ "on-fail", 0, 0, G_OPTION_ARG_STRING, &options.on_fail, "zero, fault or stop: for pages that are not there (default: the window's)", "ACTION" },
		{ "kind", 0, 0, G_OPTION_ARG_STRING, &options.kind, "Of memory: guest_memfd or memfd (default: the first if there is one)", "KIND" },
		{ .long_name = NULL },
	};
	const struct command_syntax syntax = {
		.parameters = "list NAME | file NAME PATH | memory NAME SIZE",
		.summary =
			"Shows the lend windows of a running domain, or lends a file, or new memory, to its guest, for as long as this\n"
			"command runs; its end takes everything back. Faults are printed and answered. Lines on standard input:\n"
			"  revoke [OFFSET SIZE]  take a part back, at once          hold    do not answer faults\n"
			"  lend [OFFSET SIZE]    lend it again                      answer  answer those and all others\n"
			"  state                 the window's numbers\n"
			"OFFSET and SIZE are bytes in the window, multiples of 4096, as 0x1000.\n"
			"Status: 0 the domain has ended, 2 no such domain or window, 3 no such memory, 4 the file cannot be lent.",
		.entries = entries,
		.min = 2,
		.max = 3,
	};
	const char *command = argv[0];
	g_autoptr(GError) error = NULL;
	int status = DOM1_STATUS_OK;

	(void)exec_ns;
	if (!command_parse(&syntax, &argc, &argv, &error) || !run(argc, argv, &options, &error))
		status = command_error(command, error);
	char *owned[] = { options.window, options.at, options.offset, options.size, options.on_fail, options.kind };
	for (size_t i = 0; i < G_N_ELEMENTS(owned); i++)
		g_free(owned[i]);
	return status == DOM1_STATUS_OK ? command_finish(command, status) : status;
}
