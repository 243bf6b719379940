// SPDX-License-Identifier: MIT
/*
 * dom1 clone: one saved domain, N times at once. Each clone is a dom1 run of its own; they share what the page cache has of the file's
 * memory. This process only waits for them.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/domain_command.h"
#include "config/vm_config.h"
#include "harness/verdict.h"
#include "saved/image.h"
#include "vmm/error.h"

#define CLONES_MAX 9999u
/* In an option: the clone's number. */
#define NUMBER_WORD "{n}"

struct clones {
	const char *file;
	char *name;       /* of all of them, without the number */
	char **options;   /* of dom1 run, for each; NULL: none */
	unsigned int n;
	pid_t *pids;      /* 0: it has ended */
	unsigned int n_running;
	sigset_t signals; /* as at the start */
	int status;
	int signal; /* we were told to end by this one; 0: we were not */
};

static char **arguments_of(const struct clones *clones, unsigned int number)
{
	g_autoptr(GStrvBuilder) words = g_strv_builder_new();
	g_autofree char *digits = g_strdup_printf("%u", number);
	g_autofree char *name = g_strdup_printf("--name=%s-%u", clones->name, number);

	/* No two of them on one terminal, unless somebody wants that. */
	g_strv_builder_add_many(words, "dom1", "run", "--as-clone", "--console=null", "--restore", clones->file, NULL);
	for (char **option = clones->options; option && *option; option++) {
		g_autoptr(GString) word = g_string_new(*option);

		g_string_replace(word, NUMBER_WORD, digits, 0);
		g_strv_builder_add(words, word->str);
	}
	g_strv_builder_add(words, name);
	return g_strv_builder_end(words);
}

static _Noreturn void become_clone(const struct clones *clones, pid_t parent, char **arguments)
{
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	/* They end with us, in good order, whatever ends us. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent || null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0)
		_exit(DOM1_STATUS_DEFECT);
	sigprocmask(SIG_SETMASK, &clones->signals, NULL);
	execv("/proc/self/exe", arguments);
	_exit(DOM1_STATUS_DEFECT);
}

static bool start(struct clones *clones, unsigned int number, GError **error)
{
	g_auto(GStrv) arguments = arguments_of(clones, number);
	pid_t parent = getpid(), pid = fork();

	if (pid == 0)
		become_clone(clones, parent, arguments);
	if (pid < 0) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "cannot start clone %u: %s", number, g_strerror(errno));
		return false;
	}
	clones->pids[number - 1] = pid;
	clones->n_running++;
	return true;
}

static void end_all(const struct clones *clones)
{
	for (unsigned int i = 0; i < clones->n; i++)
		if (clones->pids[i] > 0)
			kill(clones->pids[i], SIGTERM);
}

/* One signal may stand for several children. */
static void reap(struct clones *clones)
{
	pid_t pid;
	int how;

	while ((pid = waitpid(-1, &how, WNOHANG)) > 0)
		for (unsigned int i = 0; i < clones->n; i++)
			if (clones->pids[i] == pid) {
				clones->pids[i] = 0;
				clones->n_running--;
				clones->status = verdict_worse_status(clones->status,
								      WIFEXITED(how) ? WEXITSTATUS(how) : DOM1_STATUS_DEFECT);
			}
}

static void wait_for_all(struct clones *clones, const sigset_t *awaited)
{
	while (clones->n_running > 0) {
		int number = sigwaitinfo(awaited, NULL);

		if (number == SIGCHLD) {
			reap(clones);
		} else if (number > 0) {
			clones->signal = number;
			end_all(clones);
		}
	}
}

static bool run_clones(struct clones *clones, GError **error)
{
	sigset_t awaited;
	bool started = true;

	sigemptyset(&awaited);
	for (size_t i = 0; i < 4; i++)
		sigaddset(&awaited, (const int[]){ SIGCHLD, SIGINT, SIGTERM, SIGHUP }[i]);
	sigprocmask(SIG_BLOCK, &awaited, &clones->signals);
	clones->pids = g_new0(pid_t, clones->n);
	for (unsigned int number = 1; started && number <= clones->n; number++)
		started = start(clones, number, error);
	if (!started)
		end_all(clones);
	wait_for_all(clones, &awaited);
	sigprocmask(SIG_SETMASK, &clones->signals, NULL);
	g_free(clones->pids);
	return started;
}

/* What is wrong with the file is said once, and not by each of them. */
static bool find_name(struct clones *clones, const char *given, GError **error)
{
	struct saved_image image;
	g_autofree char *digits = g_strdup_printf("-%u", clones->n);

	if (!saved_image_open(&image, clones->file, error))
		return false;
	clones->name = g_strndup(given ? given : image.domain.name, VM_CONFIG_NAME_MAX - strlen(digits));
	saved_image_close(&image);
	return !given || strcmp(given, clones->name) == 0 ||
	       refuse_usage(error, "--name=%s: too long: the clones' names are it and their numbers, %d characters at most", given,
			    VM_CONFIG_NAME_MAX);
}

static bool parse(struct clones *clones, int argc, char **argv, GError **error)
{
	g_autofree char *number = NULL, *name = NULL;
	const GOptionEntry entries[] = {
		{ "number", 'n', 0, G_OPTION_ARG_FILENAME, &number, "so many clones (default 1)", "N" },
		{ "name", 0, 0, G_OPTION_ARG_FILENAME, &name, "the clones are NAME-1, NAME-2... (default: the saved domain's name)", "NAME" },
		{ NULL, 0, 0, 0, NULL, NULL, NULL },
	};
	const struct command_syntax syntax = {
		.parameters = "FILE [-- OPTIONS OF DOM1 RUN]",
		.summary = "Goes on with a domain that dom1 save wrote to FILE, N times at once, each a domain of its own: with a name, a UUID and a\n"
			   "random seed for the guest. In OPTIONS, {n} is the clone's number. Consoles are null, unless OPTIONS say otherwise;\n"
			   "dom1 console NAME-1 connects to one. Ends when all of them have.\n"
			   "Status: the worst of theirs; 4 FILE is no saved domain.\n"
			   "Example:\n"
			   "  dom1 clone booted.saved -n 4 --name web -- --console-log web-{n}.log",
		.entries = entries,
		.min = 1,
		.max = 1,
	};
	g_autofree char **mine = g_new0(char *, (gsize)argc + 1);
	int n = 0;

	while (n < argc && strcmp(argv[n], "--") != 0) {
		mine[n] = argv[n];
		n++;
	}
	clones->options = n < argc ? argv + n + 1 : NULL;
	char **rest = mine;
	clones->n = 1;
	if (!command_parse(&syntax, &n, &rest, error) || (number && !command_parse_number("--number", number, &clones->n, error)))
		return false;
	clones->file = rest[1];
	if (clones->n < 1 || clones->n > CLONES_MAX)
		return refuse_usage(error, "--number=%s: must be a number from 1 to %u", number, CLONES_MAX);
	return find_name(clones, name, error);
}

int cmd_clone(int argc, char **argv, uint64_t exec_ns)
{
	struct clones clones = { .status = DOM1_STATUS_OK };
	const char *command = argv[0];
	g_autoptr(GError) error = NULL;

	(void)exec_ns;
	bool done = parse(&clones, argc, argv, &error) && run_clones(&clones, &error);
	g_free(clones.name);
	if (!done)
		return command_error(command, error);
	return clones.signal ? DOM1_STATUS_SIGNAL_BASE + clones.signal : clones.status;
}
