// SPDX-License-Identifier: MIT
/*
 * probe*.c and the command: files of the test's own are what they are said to be; the real host is asked, whatever it
 * is, and is afterwards as before.
 */
#include <dirent.h>
#include <elf.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <archive.h>
#include <glib/gstdio.h>

#include "check/probe.h"
#include "cmd/cmd.h"
#include "shim/images.h"
#include "vmm/error.h"

#define MESSAGE "shim used pages %#lx reserving %#lx free pages"

struct fixture {
	char *root;
};

static void setup(struct fixture *f, gconstpointer data)
{
	(void)data;
	f->root = g_dir_make_tmp("dom1-check-XXXXXX", NULL);
	g_assert_nonnull(f->root);
	g_setenv("XDG_CACHE_HOME", f->root, TRUE);
	g_unsetenv("DOM1_SHIM");
}

static void remove_tree(const char *path)
{
	g_autoptr(GDir) dir = NULL;
	const char *name;
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && (dir = g_dir_open(path, 0, NULL)) != NULL)
		while ((name = g_dir_read_name(dir)) != NULL) {
			g_autofree char *child = g_build_filename(path, name, NULL);

			remove_tree(child);
		}
	g_assert_cmpint(g_remove(path), ==, 0);
}

static void teardown(struct fixture *f, gconstpointer data)
{
	(void)data;
	remove_tree(f->root);
	g_free(f->root);
}

static char *write_file(const struct fixture *f, const char *name, const GByteArray *bytes)
{
	char *path = g_build_filename(f->root, name, NULL);
	g_autofree char *folder = g_path_get_dirname(path);

	g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
	g_assert_true(g_file_set_contents(path, (const char *)bytes->data, (gssize)bytes->len, NULL));
	return path;
}

static GByteArray *pv_shim(void)
{
	return g_byte_array_append(image_shim(), (const guint8 *)MESSAGE, sizeof(MESSAGE));
}

static void test_no_shim(struct fixture *f, gconstpointer data)
{
	struct host_facts facts = { .n_shims = 0 };

	(void)data;
	probe_shims_in(&facts, f->root, NULL, NULL);
	g_assert_cmpuint(facts.n_shims, ==, 0);
	host_facts_clear(&facts);
}

/* All are listed, the one that dom1 run would take comes first, and a file that has two names is one file. */
static void test_shim_sources(struct fixture *f, gconstpointer data)
{
	g_autoptr(GByteArray) good = pv_shim();
	g_autofree char *old = write_file(f, "usr/lib/xen-4.9/boot/xen-shim", good);
	g_autofree char *new = write_file(f, "usr/lib/xen-4.17/boot/xen-shim", good);
	g_autofree char *folder = g_build_filename(f->root, "usr/lib/xen-4.20/boot/xen-shim", NULL);
	g_autofree char *env = write_file(f, "env", good);
	struct host_facts facts = { .n_shims = 0 };

	(void)data;
	g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
	probe_shims_in(&facts, f->root, NULL, "");
	g_assert_cmpuint(facts.n_shims, ==, 3);
	g_assert_cmpstr(facts.shims[0].path, ==, new);
	g_assert_true(facts.shims[0].selected);
	g_assert_cmpint(facts.shims[0].kind, ==, SHIM_KIND_PV_SHIM);
	g_assert_true(facts.shims[0].has_multiboot && facts.shims[0].has_pvh);
	g_assert_cmpstr(facts.shims[1].path, ==, folder);
	g_assert_nonnull(facts.shims[1].error);
	g_assert_cmpstr(facts.shims[2].path, ==, old);
	g_assert_false(facts.shims[2].selected);
	host_facts_clear(&facts);

	probe_shims_in(&facts, f->root, old, env);
	g_assert_cmpuint(facts.n_shims, ==, 4);
	g_assert_cmpstr(facts.shims[0].path, ==, old);
	g_assert_cmpint(facts.shims[0].source, ==, SHIM_OPTION);
	g_assert_true(facts.shims[0].selected && !facts.shims[1].selected);
	g_assert_cmpint(facts.shims[1].source, ==, SHIM_ENVIRONMENT);
	host_facts_clear(&facts);

	/* A bad name is not replaced by what is installed. */
	probe_shims_in(&facts, f->root, NULL, "/nowhere");
	g_assert_true(facts.shims[0].selected && facts.shims[0].error);
	g_assert_false(facts.shims[1].selected);
	host_facts_clear(&facts);
}

static enum shim_kind kind_of(const struct fixture *f, const GByteArray *bytes)
{
	g_autofree char *path = write_file(f, "file", bytes);
	struct host_facts facts = { .n_shims = 0 };

	probe_shims_in(&facts, f->root, path, NULL);
	g_assert_cmpuint(facts.n_shims, ==, 1);
	enum shim_kind kind = facts.shims[0].kind;
	host_facts_clear(&facts);
	return kind;
}

static void test_shim_kinds(struct fixture *f, gconstpointer data)
{
	g_autoptr(GByteArray) shim = pv_shim();
	g_autoptr(GByteArray) xen = image_shim();
	g_autoptr(GByteArray) packed = image_packed(shim, ARCHIVE_FILTER_GZIP);
	g_autoptr(GByteArray) kernel = image_vmlinux(EM_X86_64, 1000, 1);
	g_autoptr(GByteArray) text = g_byte_array_append(g_byte_array_new(), (const guint8 *)MESSAGE, sizeof(MESSAGE));

	(void)data;
	g_assert_cmpint(kind_of(f, shim), ==, SHIM_KIND_PV_SHIM);
	g_assert_cmpint(kind_of(f, xen), ==, SHIM_KIND_XEN);
	g_assert_cmpint(kind_of(f, packed), ==, SHIM_KIND_COMPRESSED);
	g_assert_cmpint(kind_of(f, kernel), ==, SHIM_KIND_FOREIGN);
	g_assert_cmpint(kind_of(f, text), ==, SHIM_KIND_FOREIGN);
}

/* A fifo has no writer, a file of holes has no end: neither may keep us. */
static void test_shim_traps(struct fixture *f, gconstpointer data)
{
	g_autofree char *fifo = g_build_filename(f->root, "fifo", NULL);
	g_autofree char *holes = g_build_filename(f->root, "holes", NULL);
	struct host_facts facts = { .n_shims = 0 };

	(void)data;
	g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
	g_assert_true(g_file_set_contents(holes, "x", 1, NULL));
	g_assert_cmpint(truncate(holes, (off_t)1 << 40), ==, 0);
	probe_shims_in(&facts, f->root, fifo, holes);
	g_assert_nonnull(facts.shims[0].error);
	g_assert_cmpint(facts.shims[1].kind, ==, SHIM_KIND_FOREIGN);
	host_facts_clear(&facts);
}

static struct kernel_facts kernel_of(const struct fixture *f, const GByteArray *bytes)
{
	struct kernel_facts facts = { .path = write_file(f, "vmlinuz", bytes) };

	probe_kernel(&facts);
	g_clear_pointer(&facts.path, g_free);
	return facts;
}

static void test_kernel(struct fixture *f, gconstpointer data)
{
	g_autoptr(GByteArray) vmlinux = image_vmlinux(EM_X86_64, 100000, 1);
	g_autoptr(GByteArray) packed = image_packed(vmlinux, ARCHIVE_FILTER_XZ);
	g_autoptr(GByteArray) bzimage = image_bzimage(packed, TRUE, vmlinux->len);
	g_autoptr(GByteArray) lzo_payload =
		g_byte_array_append(g_byte_array_new(), (const guint8 *)"\x89LZO\0\r\n\x1a\n...", 12);
	g_autoptr(GByteArray) lzo = image_bzimage(lzo_payload, TRUE, 12345);
	struct kernel_facts facts = kernel_of(f, vmlinux);
	g_autofree char *cache = g_build_filename(f->root, "dom1", NULL);

	(void)data;
	g_assert_cmpstr(facts.error, ==, NULL);
	g_assert_true(facts.has_elf && facts.elf.is_pv && facts.elf.has_phys32_entry);
	g_assert_cmpint(facts.image.container, ==, KERNEL_ELF);
	facts = kernel_of(f, bzimage);
	g_assert_cmpstr(facts.error, ==, NULL);
	g_assert_true(facts.has_elf && facts.elf.is_pv);
	g_assert_cmpint(facts.image.container, ==, KERNEL_BZIMAGE);
	g_assert_cmpint(facts.image.compression, ==, KERNEL_COMPRESSION_XZ);
	g_assert_cmpuint(facts.elf_bytes, ==, vmlinux->len);
	g_assert_cmpstr(facts.elf.guest_os, ==, "linux");
	facts = kernel_of(f, lzo);
	g_assert_cmpstr(facts.error, ==, NULL);
	g_assert_false(facts.has_elf);
	/* Nothing was left in the cache. */
	g_assert_false(g_file_test(cache, G_FILE_TEST_EXISTS));
}

static void test_bad_kernel(struct fixture *f, gconstpointer data)
{
	g_autoptr(GByteArray) arm = image_vmlinux(EM_AARCH64, 100, 1);
	g_autoptr(GByteArray) empty = g_byte_array_new();
	struct kernel_facts facts = kernel_of(f, arm);

	(void)data;
	g_assert_nonnull(facts.error);
	g_assert_cmpint(facts.error_status, ==, DOM1_STATUS_FILE);
	g_free(facts.error);
	facts = kernel_of(f, empty);
	g_assert_nonnull(facts.error);
	g_free(facts.error);
	facts = (struct kernel_facts){ .path = f->root };
	probe_kernel(&facts);
	g_assert_nonnull(strstr(facts.error, "is a directory"));
	g_free(facts.error);
}

/* The note ENTRY goes: what is left is PVH alone, which the shim cannot start. */
static void test_not_pv(struct fixture *f, gconstpointer data)
{
	/* Owner "Xen" (4 bytes), a number of 8 bytes, type 1. */
	static const uint8_t note[] = { 4, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 'X', 'e', 'n', 0 };
	g_autoptr(GByteArray) vmlinux = image_vmlinux(EM_X86_64, 100, 1);
	struct kernel_facts facts = kernel_of(f, vmlinux);
	uint8_t *at = memmem(vmlinux->data, vmlinux->len, note, sizeof(note));

	(void)data;
	g_assert_cmpstr(facts.refusal, ==, NULL);
	g_assert_nonnull(at);
	at[8] = 99;
	facts = kernel_of(f, vmlinux);
	g_assert_cmpstr(facts.error, ==, NULL);
	g_assert_true(facts.has_elf && facts.elf.has_phys32_entry && !facts.elf.is_pv);
	g_assert_nonnull(strstr(facts.refusal, "CONFIG_XEN_PV"));
	g_free(facts.refusal);
}

static int fake_calls;

static void fake_system(struct system_facts *facts)
{
	fake_calls++;
	facts->is_virtual = true;
}

static void fake_kvm(struct kvm_facts *facts)
{
	fake_calls++;
	facts->xen_flags = 7;
}

static void fake_userfaultfd(struct userfaultfd_facts *facts)
{
	fake_calls++;
	facts->has_poison = true;
}

static void fake_io_uring(struct io_uring_facts *facts)
{
	fake_calls++;
	facts->disabled = 2;
}

static void fake_namespaces(struct namespace_facts *facts)
{
	fake_calls++;
	facts->user_errno = 1;
}

static void fake_landlock(struct landlock_facts *facts)
{
	fake_calls++;
	facts->abi = 5;
}

static void fake_seccomp(struct seccomp_facts *facts)
{
	fake_calls++;
	facts->errnum = 4;
}

static void fake_shims(struct host_facts *facts, const char *named)
{
	(void)facts;
	fake_calls++;
	g_assert_cmpstr(named, ==, "shim");
}

static void fake_kernel(struct kernel_facts *facts)
{
	fake_calls++;
	g_assert_cmpstr(facts->path, ==, "kernel");
}

static void test_injected(void)
{
	const struct host_probes probes = { fake_system,     fake_kvm,      fake_userfaultfd, fake_io_uring,
					    fake_namespaces, fake_landlock, fake_seccomp,     fake_shims,
					    fake_kernel };
	struct host_facts facts;

	fake_calls = 0;
	host_facts_gather(&facts, &probes, "shim", "kernel");
	g_assert_cmpint(fake_calls, ==, 9);
	g_assert_true(facts.system.is_virtual && facts.userfaultfd.has_poison && facts.namespaces.user_errno == 1);
	g_assert_true(facts.kvm.xen_flags == 7 && facts.io_uring.disabled == 2 && facts.landlock.abi == 5 && facts.seccomp.errnum == 4);
	host_facts_clear(&facts);
	/* Without a name there is no kernel to ask. */
	host_facts_gather(&facts, &probes, "shim", NULL);
	g_assert_cmpint(fake_calls, ==, 17);
	host_facts_clear(&facts);
}

static int count_entries(const char *path)
{
	DIR *dir = opendir(path);
	int n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

/* Asks this host three times: also where SIGCHLD is ignored. No descriptor, thread or child is left. */
static void test_leaves_nothing(struct fixture *f, gconstpointer data)
{
	struct host_facts facts;

	(void)data;
	(void)f;
	int fds = count_entries("/proc/self/fd"), tasks = count_entries("/proc/self/task");
	int first_errno = -1;

	for (int i = 0; i < 3; i++) {
		signal(SIGCHLD, i == 2 ? SIG_IGN : SIG_DFL);
		host_facts_gather(&facts, &HOST_PROBES, NULL, NULL);
		g_assert_cmpint(facts.system.kernel_release[0], !=, '\0');
		g_assert_true(facts.kvm.stat_errno || !facts.kvm.is_device || facts.kvm.open_errno ||
			      facts.kvm.refusal || facts.kvm.xen_flags);
		if (i == 0)
			first_errno = facts.namespaces.machine_errno;
		g_assert_cmpint(facts.namespaces.machine_errno, ==, first_errno);
		host_facts_clear(&facts);
	}
	signal(SIGCHLD, SIG_DFL);
	g_assert_cmpint(count_entries("/proc/self/fd"), ==, fds);
	g_assert_cmpint(count_entries("/proc/self/task"), ==, tasks);
	g_assert_cmpint(waitpid(-1, NULL, WNOHANG), ==, -1);
}

/* Runs the command in a child: its two outputs to files, its status as result. */
static int run_command(const struct fixture *f, const char *const *args, const char *out_path, char **out, char **err)
{
	g_autofree char *err_path = g_build_filename(f->root, "err", NULL);
	char *argv[8] = { NULL };
	int argc = 0, status;

	for (; args[argc]; argc++)
		argv[argc] = (char *)(uintptr_t)args[argc];
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		if (!freopen(out_path, "w", stdout) || !freopen(err_path, "w", stderr))
			_exit(99);
		status = cmd_check(argc, argv, 0);
		fflush(NULL);
		_exit(status);
	}
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_true(WIFEXITED(status));
	if (out)
		g_assert_true(g_file_get_contents(out_path, out, NULL, NULL));
	g_assert_true(g_file_get_contents(err_path, err, NULL, NULL));
	return WEXITSTATUS(status);
}

static void test_usage(struct fixture *f, gconstpointer data)
{
	static const char *const rows[][5] = {
		{ "check", "vmlinuz", NULL },   { "check", "--no-such", NULL }, { "check", "--kernel", NULL },
		{ "check", "--kernel=", NULL }, { "check", "--shim=", NULL },
	};
	g_autofree char *out_path = g_build_filename(f->root, "out", NULL);

	(void)data;
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *out = NULL;
		g_autofree char *err = NULL;

		g_assert_cmpint(run_command(f, rows[i], out_path, &out, &err), ==, DOM1_STATUS_USAGE);
		g_assert_cmpstr(out, ==, "");
		g_assert_true(g_str_has_prefix(err, "dom1: check: "));
		/* One line. */
		g_assert_true(strchr(err, '\n') == err + strlen(err) - 1);
	}
}

static void test_command(struct fixture *f, gconstpointer data)
{
	g_autofree char *out_path = g_build_filename(f->root, "out", NULL);
	const char *const text_args[] = { "check", "--kernel", "/nowhere/vmlinuz", NULL };
	const char *const json_args[] = { "check", "--json", "--kernel", "/nowhere/vmlinuz", NULL };
	g_autofree char *text = NULL;
	g_autofree char *json = NULL;
	g_autofree char *err = NULL;

	(void)data;
	int status = run_command(f, text_args, out_path, &text, &err);
	g_assert_true(status == DOM1_STATUS_HOST || status == DOM1_STATUS_FILE);
	g_assert_nonnull(strstr(text, "bad      kernel"));
	g_assert_nonnull(strstr(text, "\nverdict: this host "));
	g_assert_cmpstr(err, ==, "");
	g_clear_pointer(&err, g_free);
	g_assert_cmpint(run_command(f, json_args, out_path, &json, &err), ==, status);
	g_assert_true(g_str_has_prefix(json, "{\n") && g_str_has_suffix(json, "\n}\n"));
	g_assert_cmpstr(err, ==, "");
}

/* An answer that nobody got is not an answer. */
static void test_full_disk(struct fixture *f, gconstpointer data)
{
	static const char *const args[] = { "check", NULL };
	g_autofree char *err = NULL;

	(void)data;
	g_assert_cmpint(run_command(f, args, "/dev/full", NULL, &err), ==, DOM1_STATUS_USAGE);
	g_assert_cmpstr(err, ==, "dom1: check: cannot write the answer: No space left on device\n");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name, function) g_test_add("/check/probe/" name, struct fixture, NULL, setup, function, teardown)
	ADD("no-shim", test_no_shim);
	ADD("shim-sources", test_shim_sources);
	ADD("shim-kinds", test_shim_kinds);
	ADD("shim-traps", test_shim_traps);
	ADD("kernel", test_kernel);
	ADD("bad-kernel", test_bad_kernel);
	ADD("not-pv", test_not_pv);
	g_test_add_func("/check/probe/injected", test_injected);
	ADD("leaves-nothing", test_leaves_nothing);
	ADD("usage", test_usage);
	ADD("command", test_command);
	ADD("full-disk", test_full_disk);
	return g_test_run();
}
