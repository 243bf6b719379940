// SPDX-License-Identifier: MIT
/* The commands on running domains, from argv to standard output, standard error and the status. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "control/folders.h"
#include "control/harness.h"

struct result {
	int status; /* -1: a signal */
	char *out, *err;
};

typedef int (*command_fn)(int argc, char **argv, uint64_t exec_ns);

static char *runtime;

static void set_up(void)
{
	runtime = harness_make_folder();
	g_setenv("XDG_RUNTIME_DIR", runtime, TRUE);
}

static void tear_down(void)
{
	harness_remove_folder(g_steal_pointer(&runtime));
}

static char *read_all(int fd)
{
	GString *text = g_string_new(NULL);
	char bytes[4096];
	ssize_t got;

	while ((got = read(fd, bytes, sizeof(bytes))) > 0)
		g_string_append_len(text, bytes, got);
	close(fd);
	return g_string_free(text, FALSE);
}

static G_NORETURN void child(command_fn command, const char *line, const int out[2], const int err[2], int in_fd)
{
	char **words;
	int n;

	g_assert_true(g_shell_parse_argv(line, &n, &words, NULL));
	dup2(in_fd, STDIN_FILENO);
	dup2(out[1], STDOUT_FILENO);
	dup2(err[1], STDERR_FILENO);
	close(out[0]);
	close(err[0]);
	/* A copy of the list: options are taken out of what a command gets. */
	g_autofree char **argv = g_memdup2(words, (gsize)(n + 1) * sizeof(*words));
	int status = command(n, argv, 0);
	g_strfreev(words);
	g_free(g_steal_pointer(&argv));
	/* Not _exit(): a sanitizer looks for leaks, and says so in the status. */
	exit(status);
}

struct running {
	pid_t pid;
	int out_fd, err_fd;
};

/* input_fd: what it reads */
static struct running start(command_fn command, const char *line, int input_fd)
{
	int out[2], err[2];

	g_assert_cmpint(pipe2(out, O_CLOEXEC), ==, 0);
	g_assert_cmpint(pipe2(err, O_CLOEXEC), ==, 0);
	pid_t pid = fork();
	if (pid == 0)
		child(command, line, out, err, input_fd);
	close(out[1]);
	close(err[1]);
	return (struct running){ pid, out[0], err[0] };
}

static struct result finish(const struct running *running)
{
	struct result result = { .out = read_all(running->out_fd), .err = read_all(running->err_fd) };
	int status;

	g_assert_cmpint(waitpid(running->pid, &status, 0), ==, running->pid);
	result.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	return result;
}

static void result_clear(struct result *result)
{
	g_free(result->out);
	g_free(result->err);
}

static struct result run(command_fn command, const char *line)
{
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct running running = start(command, line, null_fd);

	close(null_fd);
	return finish(&running);
}

/* out: exactly; err: a part, and one line for each thing that went wrong. */
static void expect(command_fn command, const char *line, int status, const char *out, const char *err)
{
	struct result result = run(command, line);

	if (!g_str_equal(result.out, out) || !strstr(result.err, err) || (!err[0] && result.err[0]))
		g_error("%.200s: %s%s", line, result.out, result.err);
	g_assert_cmpint(result.status, ==, status);
	result_clear(&result);
}

static void test_usage(void)
{
	static const struct {
		command_fn command;
		const char *line;
	} wrong[] = {
		{ cmd_list, "list x" },
		{ cmd_list, "list --nonsense" },
		{ cmd_info, "info" },
		{ cmd_pause, "pause" },
		{ cmd_unpause, "unpause" },
		{ cmd_shutdown, "shutdown" },
		{ cmd_reboot, "reboot" },
		{ cmd_destroy, "destroy" },
		{ cmd_sysrq, "sysrq a" },
		{ cmd_sysrq, "sysrq a bc" },
		{ cmd_sysrq, "sysrq a ''" },
		{ cmd_balloon, "balloon a" },
		{ cmd_balloon, "balloon a 1X" },
		{ cmd_balloon, "balloon a -5" },
		{ cmd_vcpu_set, "vcpu-set a" },
		{ cmd_vcpu_set, "vcpu-set a many" },
		{ cmd_trigger, "trigger a smi" },
		{ cmd_trigger, "trigger a nmi x" },
		{ cmd_trigger, "trigger a nmi 1 2" },
		{ cmd_events, "events" },
		{ cmd_events, "events a b" },
		{ cmd_console, "console" },
		{ cmd_xenstore, "xenstore a" },
		{ cmd_xenstore, "xenstore a say x" },
		{ cmd_xenstore, "xenstore a read" },
		{ cmd_xenstore, "xenstore a write x" },
		{ cmd_xenstore, "xenstore -n -1 a ls" },
	};

	set_up();
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
		struct result result = run(wrong[i].command, wrong[i].line);

		if (result.status != 2)
			g_error("%s: %d: %s", wrong[i].line, result.status, result.err);
		g_assert_cmpstr(result.out, ==, "");
		g_assert_true(g_str_has_prefix(result.err, "dom1: "));
		g_assert_true(strchr(result.err, '\n') == result.err + strlen(result.err) - 1);
		result_clear(&result);
	}
	tear_down();
}

static const struct {
	command_fn command;
	const char *name, *rest;
} ON_DOMAIN[] = {
	{ cmd_info, "info", "" },
	{ cmd_pause, "pause", "" },
	{ cmd_unpause, "unpause", "" },
	{ cmd_shutdown, "shutdown", "" },
	{ cmd_shutdown, "shutdown --wait", "" },
	{ cmd_reboot, "reboot", "" },
	{ cmd_destroy, "destroy", "" },
	{ cmd_sysrq, "sysrq", "w" },
	{ cmd_balloon, "balloon", "128M" },
	{ cmd_balloon, "balloon", "max" },
	{ cmd_vcpu_set, "vcpu-set", "1" },
	{ cmd_trigger, "trigger", "nmi" },
	{ cmd_events, "events", "" },
	{ cmd_console, "console", "" },
	{ cmd_xenstore, "xenstore", "ls" },
};

static void test_no_domain(void)
{
	set_up();
	for (size_t i = 0; i < G_N_ELEMENTS(ON_DOMAIN); i++) {
		g_autofree char *line = g_strdup_printf("%s ghost %s", ON_DOMAIN[i].name, ON_DOMAIN[i].rest);
		g_autofree char *bad = g_strdup_printf("%s '../x\n' %s", ON_DOMAIN[i].name, ON_DOMAIN[i].rest);

		expect(ON_DOMAIN[i].command, line, 2, "", "ghost: no domain of this name runs");
		expect(ON_DOMAIN[i].command, bad, 2, "", "../x\\n: no domain of this name runs");
	}
	tear_down();
}

static void test_help(void)
{
	set_up();
	for (size_t i = 0; i < G_N_ELEMENTS(ON_DOMAIN); i++) {
		g_autofree char *line = g_strdup_printf("%s --help", ON_DOMAIN[i].name);
		struct result result = run(ON_DOMAIN[i].command, line);

		g_assert_cmpint(result.status, ==, 0);
		g_assert_nonnull(strstr(result.out, "Status: 0"));
		g_assert_cmpstr(result.err, ==, "");
		result_clear(&result);
	}
	tear_down();
}

static void test_list(void)
{
	set_up();
	expect(cmd_list, "list", 0,
	       "NAME                             STATE     TYPE VCPUS MEMORY/MiB  UPTIME/s      PID\n", "");
	expect(cmd_list, "list --json", 0, "[]\n", "");
	pid_t pid = harness_start_domain("web", HARNESS_SERVES);
	struct result table = run(cmd_list, "list");
	g_assert_true(g_str_has_prefix(strchr(table.out, '\n') + 1, "web                              running   pvh"));
	result_clear(&table);
	struct result json = run(cmd_list, "list --json");
	g_autofree char *pid_member = g_strdup_printf("\"pid\": %d", (int)pid);
	g_assert_nonnull(strstr(json.out, "\"name\": \"web\""));
	g_assert_nonnull(strstr(json.out, pid_member));
	g_assert_nonnull(strstr(json.out, "\"vcpus\": 4"));
	result_clear(&json);
	harness_stop_domain(pid);
	expect(cmd_list, "list --json", 0, "[]\n", "");
	tear_down();
}

static void test_list_hanging(void)
{
	set_up();
	pid_t pid = harness_start_domain("stuck", HARNESS_HANGS);
	struct result table = run(cmd_list, "list");
	g_assert_nonnull(strstr(table.out, "stuck                            no-answer -        -          -"));
	g_assert_cmpint(table.status, ==, 0);
	result_clear(&table);
	harness_stop_domain(pid);
	tear_down();
}

static void test_domain(void)
{
	set_up();
	pid_t pid = harness_start_domain("web", HARNESS_SERVES), other = harness_start_domain("db", HARNESS_SERVES);
	struct result info = run(cmd_info, "info --event-channels web");
	g_assert_true(g_str_has_prefix(info.out, "name: fake\nuuid: 0000"));
	g_assert_nonnull(strstr(info.out, "\nuptime_ns: 12345678901\n"));
	g_assert_nonnull(strstr(info.out, "\nevent channel 7: virq, vcpu 1, virq 0, pending, masked\n"));
	result_clear(&info);
	struct result json = run(cmd_info, "info --json web db");
	g_assert_cmpint(json.status, ==, 0);
	g_assert_true(g_str_has_prefix(json.out, "{\"name\":\"fake\""));
	g_assert_nonnull(strstr(json.out, "}\n{\"name\":\"fake\""));
	result_clear(&json);

	expect(cmd_pause, "pause web db", 0, "", "");
	struct result paused = run(cmd_info, "info db");
	g_assert_nonnull(strstr(paused.out, "\nstate: paused\n"));
	result_clear(&paused);
	expect(cmd_unpause, "unpause web ghost db", 2, "", "ghost: no domain");
	expect(cmd_trigger, "trigger web nmi", 0, "", "");
	expect(cmd_trigger, "trigger web debug 3", 0, "", "");
	expect(cmd_trigger, "trigger web nmi 4", 2, "", "dom1: trigger: web: vcpu: this guest has vCPUs 0 to 3");
	expect(cmd_sysrq, "sysrq web w", 0, "", "has not said that it listens");
	expect(cmd_xenstore, "xenstore web read control/sysrq", 0, "w\n", "");
	expect(cmd_balloon, "balloon web 256", 0, "", "");
	expect(cmd_xenstore, "xenstore web read memory/target", 0, "262144\n", "");
	expect(cmd_balloon, "balloon web 1G", 2, "", "524288 KiB at the most");
	expect(cmd_balloon, "balloon web max", 0, "", "");
	expect(cmd_xenstore, "xenstore web read memory/target", 0, "524288\n", "");
	expect(cmd_vcpu_set, "vcpu-set web 3", 0, "", "");
	expect(cmd_xenstore, "xenstore web read cpu/2/availability cpu/3/availability", 0, "online\noffline\n", "");
	expect(cmd_vcpu_set, "vcpu-set web 5", 2, "", "1 to 4");
	expect(cmd_reboot, "reboot web", 0, "", "has not said that it listens");
	expect(cmd_xenstore, "xenstore web read control/shutdown", 0, "reboot\n", "");
	expect(cmd_shutdown, "shutdown web db", 0, "", "web: asked, but");
	expect(cmd_xenstore, "xenstore db read control/shutdown", 0, "poweroff\n", "");
	harness_stop_domain(pid);
	harness_stop_domain(other);
	tear_down();
}

static void test_xenstore(void)
{
	set_up();
	pid_t pid = harness_start_domain("web", HARNESS_SERVES);
	expect(cmd_xenstore, "xenstore web write /a 1 /a/b 'x\ty\\z' /a/c -v", 0, "", "");
	expect(cmd_xenstore, "xenstore web ls /a", 0, "b = \"x\\ty\\\\z\"\nc = \"-v\"\n", "");
	expect(cmd_xenstore, "xenstore -f web ls /a", 0, "/a/b = \"x\\ty\\\\z\"\n/a/c = \"-v\"\n", "");
	expect(cmd_xenstore, "xenstore --raw web read /a/b", 0, "x\ty\\z\n", "");
	expect(cmd_xenstore, "xenstore web list /a", 0, "b\nc\n", "");
	expect(cmd_xenstore, "xenstore web read /none", 1, "", "web: /none: ENOENT");
	expect(cmd_xenstore, "xenstore web ls /none", 1, "", "ENOENT");
	expect(cmd_xenstore, "xenstore web rm /a", 0, "", "");
	expect(cmd_xenstore, "xenstore web list /a", 1, "", "ENOENT");
	expect(cmd_xenstore, "xenstore -n 2 web watch name /x", 0, "/local/domain/1/name\n/x\n", "");
	expect(cmd_xenstore, "xenstore -- web list cpu/0", 0, "availability\n", "");
	/* More children than one message holds. */
	g_autoptr(GString) line = g_string_new("xenstore web write"), names = g_string_new(NULL);
	for (unsigned int i = 100; i < 700; i++) {
		g_string_append_printf(line, " /d/name-of-a-node-%u v", i);
		g_string_append_printf(names, "name-of-a-node-%u\n", i);
	}
	expect(cmd_xenstore, line->str, 0, "", "");
	expect(cmd_xenstore, "xenstore web list /d", 0, names->str, "");
	g_autofree char *long_value = g_strnfill(100, 'x');
	g_autofree char *write = g_strconcat("xenstore web write /e/f ", long_value, NULL);
	expect(cmd_xenstore, write, 0, "", "");
	struct result shown = run(cmd_xenstore, "xenstore web ls /e");
	g_assert_true(g_str_has_suffix(shown.out, "xxx...\"\n"));
	result_clear(&shown);
	g_autofree char *huge = g_strnfill(5000, 'x');
	g_autofree char *write_huge = g_strconcat("xenstore web write /e/f ", huge, NULL);
	expect(cmd_xenstore, write_huge, 2, "", "4096 bytes");
	harness_stop_domain(pid);
	tear_down();
}

/* Each reads until there is what it waits for: no test depends on how long that takes. */
static void read_until(int fd, GString *text, const char *wanted)
{
	char byte;

	while (!strstr(text->str, wanted)) {
		g_assert_cmpint(read(fd, &byte, 1), ==, 1);
		g_string_append_c(text, byte);
	}
}

static void test_events(void)
{
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC), status;
	g_autoptr(GString) seen = g_string_new(NULL);

	set_up();
	pid_t pid = harness_start_domain("web", HARNESS_SERVES);
	struct running events = start(cmd_events, "events web", null_fd);
	/* It may not be connected yet when the first ones come. */
	struct pollfd first = { .fd = events.out_fd, .events = POLLIN };
	while (poll(&first, 1, 0) == 0) {
		expect(cmd_pause, "pause web", 0, "", "");
		expect(cmd_unpause, "unpause web", 0, "", "");
	}
	struct running waiting = start(cmd_shutdown, "shutdown --wait web", null_fd);
	g_autoptr(GString) said = g_string_new(NULL);
	read_until(waiting.err_fd, said, "listens");
	read_until(events.out_fd, seen, "PAUSE\"");
	kill(pid, SIGTERM);
	struct result result = finish(&events), waited = finish(&waiting);
	g_assert_cmpint(result.status, ==, 0);
	g_assert_nonnull(strstr(result.out, "{\"event\":\"SHUTDOWN\","));
	g_assert_cmpstr(result.err, ==, "");
	/* The fake says that it was destroyed. */
	g_assert_cmpint(waited.status, ==, 143);
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	result_clear(&result);
	result_clear(&waited);
	expect(cmd_list, "list --json", 0, "[]\n", "");
	close(null_fd);
	tear_down();
}

static void test_console(void)
{
	g_autoptr(GString) seen = g_string_new(NULL);
	int input[2], status;

	set_up();
	pid_t pid = harness_start_domain("web", HARNESS_SERVES);
	g_assert_cmpint(pipe2(input, O_CLOEXEC), ==, 0);
	struct running console = start(cmd_console, "console web", input[0]);
	close(input[0]);
	read_until(console.out_fd, seen, "hello\n");
	/* Ctrl-] is only for a person. */
	g_assert_cmpint(write(input[1], "abc\x1d\n", 5), ==, 5);
	read_until(console.out_fd, seen, "abc\x1d\n");
	/* The end of what is typed is not the end of what is seen: the domain's end is. */
	close(input[1]);
	kill(pid, SIGTERM);
	struct result result = finish(&console);
	g_assert_cmpint(result.status, ==, 0);
	g_assert_cmpstr(result.out, ==, "");
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	result_clear(&result);
	tear_down();
}

static void test_console_terminal(void)
{
	int terminal_fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	g_autoptr(GString) seen = g_string_new(NULL);
	struct termios before, after;

	set_up();
	g_assert_cmpint(grantpt(terminal_fd), ==, 0);
	g_assert_cmpint(unlockpt(terminal_fd), ==, 0);
	int person_fd = open(ptsname(terminal_fd), O_RDWR | O_NOCTTY | O_CLOEXEC);
	g_assert_cmpint(tcgetattr(person_fd, &before), ==, 0);
	pid_t pid = harness_start_domain("web", HARNESS_SERVES);
	struct running console = start(cmd_console, "console web", person_fd);
	read_until(console.out_fd, seen, "hello\n");
	g_assert_cmpint(tcgetattr(person_fd, &after), ==, 0);
	g_assert_cmpuint(after.c_lflag & ICANON, ==, 0);
	g_assert_cmpint(write(terminal_fd, "abc\rx\x1dnot sent", 14), ==, 14);
	struct result result = finish(&console);
	g_assert_cmpint(result.status, ==, 0);
	g_assert_nonnull(strstr(result.err, "detached"));
	/* Detached: what was sent last may not have come back, but nothing behind the key did. */
	g_assert_null(strstr(result.out, "not"));
	g_assert_cmpint(tcgetattr(person_fd, &after), ==, 0);
	g_assert_cmpuint(after.c_lflag, ==, before.c_lflag);
	result_clear(&result);
	expect(cmd_info, "info --json ghost", 2, "", "ghost");
	struct result info = run(cmd_info, "info web");
	g_assert_cmpint(info.status, ==, 0);
	result_clear(&info);
	harness_stop_domain(pid);
	close(person_fd);
	close(terminal_fd);
	tear_down();
}

static void test_destroy(void)
{
	int status;

	set_up();
	pid_t web = harness_start_domain("web", HARNESS_SERVES), db = harness_start_domain("db", HARNESS_SERVES);
	expect(cmd_destroy, "destroy web ghost", 2, "", "ghost: no domain");
	g_assert_cmpint(waitpid(web, &status, 0), ==, web);
	/* It had its turn to clean up. */
	g_assert_true(WIFEXITED(status));
	expect(cmd_destroy, "destroy --force db", 0, "", "");
	g_assert_cmpint(waitpid(db, &status, 0), ==, db);
	g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	expect(cmd_list, "list --json", 0, "[]\n", "");
	tear_down();
}

static void test_destroy_hanging(void)
{
	g_autofree char *path = NULL;
	int status;

	set_up();
	pid_t stuck = harness_start_domain("stuck", HARNESS_HANGS);
	expect(cmd_destroy, "destroy stuck", 0, "", "");
	g_assert_cmpint(waitpid(stuck, &status, 0), ==, stuck);
	g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	/* Its launcher is dead, the machine hangs: the name is taken, and nobody has the pid in the file. */
	pid_t launcher = harness_start_domain("orphan", HARNESS_ORPHANED);
	g_assert_cmpint(waitpid(launcher, &status, 0), ==, launcher);
	path = g_build_filename(runtime, "dom1", "orphan", NULL);
	expect(cmd_destroy, "destroy orphan", 0, "", "");
	g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
	expect(cmd_destroy, "destroy orphan", 2, "", "no domain");
	tear_down();
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/control/command/usage", test_usage);
	g_test_add_func("/control/command/no-domain", test_no_domain);
	g_test_add_func("/control/command/help", test_help);
	g_test_add_func("/control/command/list", test_list);
	g_test_add_func("/control/command/list-hanging", test_list_hanging);
	g_test_add_func("/control/command/domain", test_domain);
	g_test_add_func("/control/command/xenstore", test_xenstore);
	g_test_add_func("/control/command/events", test_events);
	g_test_add_func("/control/command/console", test_console);
	g_test_add_func("/control/command/console-terminal", test_console_terminal);
	g_test_add_func("/control/command/destroy", test_destroy);
	g_test_add_func("/control/command/destroy-hanging", test_destroy_hanging);
	return g_test_run();
}
