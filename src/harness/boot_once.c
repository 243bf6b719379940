// SPDX-License-Identifier: MIT
#include "harness/boot_once.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config/vm_config.h"
#include "shim/find_shim.h"
#include "vmm/error.h"
#include "vmm/one_line.h"
#include "vmm/record.h"

#define WORDS_BYTES 4096u

struct boot_once {
	GArray *fds; /* int: saved domains, without a name any more */
};

struct group {
	GPtrArray *tests; /* of struct test_case *, borrowed */
};

static bool parse(const struct test_case *test, struct vm_config *config)
{
	g_autoptr(GPtrArray) words = g_ptr_array_new();

	for (guint i = 0; i < test->arguments->len; i++)
		g_ptr_array_add(words, test->arguments->pdata[i]);
	g_ptr_array_add(words, NULL);
	return vm_config_parse(config, (int)words->len - 1, (char **)words->pdata, NULL);
}

/* FALSE: it cannot be read; NULL is no file. */
static bool add_file(GString *key, const char *what, const char *path)
{
	g_autoptr(GMappedFile) file = path ? g_mapped_file_new(path, FALSE, NULL) : NULL;

	if (path && !file)
		return false;
	g_autofree char *sum = file ? g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)g_mapped_file_get_contents(file),
								  g_mapped_file_get_length(file)) :
				      g_strdup("none");
	g_string_append_printf(key, "%s %s\n", what, sum);
	return true;
}

static bool can_be_saved(const struct vm_config *config)
{
	return !config->help && !config->restore_path && !config->save_at && !config->inject && config->disks->len == 0 &&
	       config->vifs->len == 0 && config->channels->len == 0 && config->vhosts->len == 0 && config->lend_windows->len == 0 &&
	       !config->lend_to_path && !config->memory_lent_path && config->trace_kinds == 0;
}

static char *key_of(const struct vm_config *config)
{
	g_autoptr(GString) key = g_string_new(NULL);
	g_autofree char *shim_path = config->type == GUEST_PV ? shim_find(config->shim_path, NULL) : NULL;

	if (!can_be_saved(config) || (config->type == GUEST_PV && !shim_path) || !add_file(key, "kernel", config->kernel_path) ||
	    !add_file(key, "initrd", config->initrd_path) || !add_file(key, "shim", shim_path))
		return NULL;
	g_string_append_printf(key, "type %d entry %d memory %" PRIu64 " %" PRIu64 " %d vcpus %u %u limits %u %u xen %u sandbox %d auto %d\n",
			       (int)config->type, (int)config->entry, config->memory_bytes, config->low_memory_bytes,
			       (int)config->memory_backing, config->n_vcpus, config->max_vcpus, config->max_event_channels,
			       config->max_grant_frames, config->xen_version, (int)config->sandbox, config->no_auto_append);
	/* Texts last, with their lengths: one is not taken for the end of another. */
	const char *const texts[] = { config->guest_command_line, config->shim_append, config->symbols_path, config->timeout_sysrq };
	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
		g_string_append_printf(key, "%zu %s\n", texts[i] ? strlen(texts[i]) : 0, texts[i] ? texts[i] : "");
	return g_string_free(g_steal_pointer(&key), FALSE);
}

char *boot_once_key(const struct test_case *test)
{
	struct vm_config config;

	if (test->error || test->settings.skip_reason || !parse(test, &config))
		return NULL;
	char *key = key_of(&config);
	vm_config_clear(&config);
	return key;
}

static GPtrArray *boot_arguments(const struct test_case *test, const char *path, const char *when)
{
	static const char *const fixed[] = { "--console=null", "--no-memory-samples", "--on-poweroff=stop", "--on-reboot=stop", "--on-crash=stop" };
	GPtrArray *words = g_ptr_array_new_with_free_func(g_free);

	g_ptr_array_add(words, g_strdup("dom1"));
	for (guint i = 0; i < test->arguments->len; i++)
		g_ptr_array_add(words, g_strdup(test->arguments->pdata[i]));
	for (size_t i = 0; i < G_N_ELEMENTS(fixed); i++)
		g_ptr_array_add(words, g_strdup(fixed[i]));
	g_ptr_array_add(words, g_strdup_printf("--name=boot-%d", (int)getpid()));
	g_ptr_array_add(words, g_strdup_printf("--timeout=%u", test->settings.timeout_s));
	g_ptr_array_add(words, g_strdup_printf("--save-at=%s,%s", path, when));
	g_ptr_array_add(words, NULL);
	return words;
}

/* All that it says is read, so that it never waits for us; the first line is kept, which says what went wrong. */
static char *hear_to_the_end(struct job *job)
{
	g_autoptr(GString) words = g_string_new(NULL);
	struct pollfd fds[] = { { .fd = job->words_fd, .events = POLLIN }, { .fd = job->pid_fd, .events = POLLIN } };
	char bytes[1024];

	while (fds[1].revents == 0) {
		ssize_t got;

		if (poll(fds, G_N_ELEMENTS(fds), -1) < 0 && errno != EINTR)
			break;
		while ((got = read(job->words_fd, bytes, sizeof(bytes))) > 0)
			g_string_append_len(words, bytes, MIN(got, (ssize_t)(WORDS_BYTES - words->len)));
		/* At its end nothing more comes. */
		if (got == 0)
			fds[0].fd = -1;
	}
	(void)job_reap(job);
	return g_strndup(words->str, strcspn(words->str, "\n"));
}

/* -1: told why. */
static int boot(const struct test_case *test, const char *folder, const char *when, job_main *main)
{
	g_autofree char *path = g_build_filename(folder, "saved", NULL);
	g_autoptr(GPtrArray) arguments = boot_arguments(test, path, when);
	struct record *record = record_new(0);
	g_autoptr(GError) error = NULL;
	struct job job = JOB_NONE;
	char *words = NULL;
	int fd = -1;

	if (record && job_start(&job, main, record, (char **)arguments->pdata, false, &error)) {
		words = hear_to_the_end(&job);
		job_close(&job);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		(void)unlink(path);
	}
	if (fd < 0) {
		g_autofree char *name = one_line(test->name);
		const char *why = error ? error->message : words ? words : "";

		fprintf(stderr, "dom1: test: %s: --boot-once: not saved, it boots for each test: %s\n", name,
			g_str_has_prefix(why, "dom1: ") ? why + strlen("dom1: ") : why);
	}
	record_free(record);
	g_free(words);
	return fd;
}

static void make_clone(struct test_case *test, int fd)
{
	struct vm_config config;

	if (!parse(test, &config))
		return;
	g_ptr_array_set_size(test->arguments, 0);
	g_ptr_array_add(test->arguments, g_strdup("run"));
	g_ptr_array_add(test->arguments, g_strdup_printf("--restore=/proc/%d/fd/%d", (int)getpid(), fd));
	g_ptr_array_add(test->arguments, g_strdup("--as-clone"));
	if (config.symbols_path)
		g_ptr_array_add(test->arguments, g_strdup_printf("--symbols=%s", config.symbols_path));
	if (config.timeout_sysrq)
		g_ptr_array_add(test->arguments, g_strdup_printf("--timeout-sysrq=%s", config.timeout_sysrq));
	g_ptr_array_add(test->arguments, g_strdup_printf("--sandbox=%s", VM_CONFIG_SANDBOX_NAMES[config.sandbox]));
	test_case_is_clone(test, fd);
	vm_config_clear(&config);
}

static void group_free(void *opaque)
{
	struct group *group = opaque;

	g_ptr_array_unref(group->tests);
	g_free(group);
}

/* By key; each is made where its first test is. */
static GPtrArray *find_groups(const GPtrArray *cases)
{
	GPtrArray *groups = g_ptr_array_new_with_free_func(group_free);
	g_autoptr(GHashTable) by_key = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	for (guint i = 0; i < cases->len; i++) {
		char *key = boot_once_key(cases->pdata[i]);
		struct group *group = key ? g_hash_table_lookup(by_key, key) : NULL;

		if (key && !group) {
			group = g_new0(struct group, 1);
			group->tests = g_ptr_array_new();
			g_ptr_array_add(groups, group);
			g_hash_table_insert(by_key, g_steal_pointer(&key), group);
		}
		g_free(key);
		if (group)
			g_ptr_array_add(group->tests, cases->pdata[i]);
	}
	return groups;
}

struct boot_once *boot_once_prepare(const GPtrArray *cases, const char *when, bool again, job_main *main)
{
	struct boot_once *once = g_new0(struct boot_once, 1);
	g_autoptr(GPtrArray) groups = find_groups(cases);
	g_autofree char *folder = g_dir_make_tmp("dom1-test-XXXXXX", NULL);

	once->fds = g_array_new(FALSE, FALSE, sizeof(int));
	for (guint i = 0; folder && i < groups->len; i++) {
		const struct group *group = groups->pdata[i];
		int fd = group->tests->len > 1 || again ? boot(group->tests->pdata[0], folder, when, main) : -1;

		if (fd < 0)
			continue;
		g_array_append_val(once->fds, fd);
		for (guint t = 0; t < group->tests->len; t++)
			make_clone(group->tests->pdata[t], fd);
	}
	if (folder)
		(void)rmdir(folder);
	return once;
}

void boot_once_free(struct boot_once *once)
{
	if (!once)
		return;
	for (guint i = 0; i < once->fds->len; i++)
		close(g_array_index(once->fds, int, i));
	g_array_unref(once->fds);
	g_free(once);
}
