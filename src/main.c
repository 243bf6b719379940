// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <glib.h>
#include <jansson.h>

#include "cmd/cmd.h"
#include "vmm/error.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv, uint64_t exec_ns);
	const char *summary;
} COMMANDS[] = {
	{ "run", cmd_run, "boot a PV kernel in the Xen PV shim" },
	{ "exec", cmd_exec, "run a command in a guest made for it" },
	{ "test", cmd_test, "run guests as tests, and say which of them work" },
	{ "report", cmd_report, "draw or compare the timelines of runs, merge results of tests" },
	{ "check", cmd_check, "say whether this host can run domains" },
	{ "list", cmd_list, "list your running domains" },
	{ "info", cmd_info, "say what a domain is and how it does" },
	{ "console", cmd_console, "connect this terminal to a domain's console" },
	{ "save", cmd_save, "write a running domain to a file, to go on later" },
	{ "saved", cmd_saved, "show what is in such a file" },
	{ "clone", cmd_clone, "go on with one several times at once" },
	{ "pause", cmd_pause, "stop the vCPUs of domains" },
	{ "unpause", cmd_unpause, "let them go on" },
	{ "shutdown", cmd_shutdown, "ask guests to power off" },
	{ "reboot", cmd_reboot, "ask guests to reboot" },
	{ "destroy", cmd_destroy, "end domains at once, also those that hang" },
	{ "sysrq", cmd_sysrq, "send a SysRq key to a Linux guest" },
	{ "disk", cmd_disk, "add, remove, resize or list a domain's disks" },
	{ "lend", cmd_lend, "lend memory to a guest, and take it back" },
	{ "balloon", cmd_balloon, "set how much memory a guest has" },
	{ "vcpu-set", cmd_vcpu_set, "set how many vCPUs a guest has online" },
	{ "trigger", cmd_trigger, "send an NMI or a debug interrupt" },
	{ "events", cmd_events, "print what happens to a domain, as JSON" },
	{ "xenstore", cmd_xenstore, "look into a domain's xenstore, or change it" },
};

static void print_help(FILE *stream)
{
	fputs("Usage: dom1 COMMAND [OPTIONS]\n"
	      "Runs Xen guests on Linux KVM.\n\n"
	      "Commands:\n",
	      stream);
	for (size_t i = 0; i < G_N_ELEMENTS(COMMANDS); i++)
		fprintf(stream, "  %-8s %s\n", COMMANDS[i].name, COMMANDS[i].summary);
	fputs("\nOptions:\n"
	      "  --help     this text; dom1 COMMAND --help for a command's own\n"
	      "  --version  the version\n",
	      stream);
}

/*
 * With somebody else's rights by a bit of the file, options would name files to be read and written by those. Who may not open
 * /dev/kvm has no use for dom1 anyway: so it goes on as the one who started it.
 */
static bool give_up_file_owner(void)
{
	const uid_t uid = getuid();
	const gid_t gid = getgid();

	return (geteuid() == uid && getegid() == gid) || (setresgid(gid, gid, gid) == 0 && setresuid(uid, uid, uid) == 0);
}

/*
 * A standard descriptor that is closed would be the next file that is opened, and what dom1 prints would go into it.
 * These fail as closed ones do: the null device, open in the wrong direction.
 */
static void reserve_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

/* No memory is the end, as everywhere else. The machine has no /dev to take a seed from when it reads what clients send. */
static void set_up_json(void)
{
	uint32_t seed = 0;

	json_set_alloc_funcs(g_malloc, g_free);
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) == sizeof(seed))
		json_object_seed(seed);
}

static int print_status(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return DOM1_STATUS_OK;
	fprintf(stderr, "dom1: cannot write to standard output: %s\n", g_strerror(errno));
	return DOM1_STATUS_USAGE;
}

int main(int argc, char **argv)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	reserve_standard_descriptors();
	if (!give_up_file_owner()) {
		fputs("dom1: setuid or setgid, and cannot become the user who started it: take these bits away\n", stderr);
		return DOM1_STATUS_HOST;
	}
	set_up_json();
	setlocale(LC_CTYPE, "");
	if (argc < 2) {
		print_help(stderr);
		return DOM1_STATUS_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
		print_help(stdout);
		return print_status();
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("dom1 " DOM1_VERSION);
		return print_status();
	}
	for (size_t i = 0; i < G_N_ELEMENTS(COMMANDS); i++)
		if (strcmp(argv[1], COMMANDS[i].name) == 0) {
			g_autofree char *program = g_strdup_printf("dom1 %s", COMMANDS[i].name);

			g_set_prgname(program);
			return COMMANDS[i].run(argc - 1, argv + 1, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
		}
	fprintf(stderr, "dom1: %s: no such command (dom1 --help lists them)\n", argv[1]);
	return DOM1_STATUS_USAGE;
}
