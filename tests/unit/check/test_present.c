// SPDX-License-Identifier: MIT
/* present_*.c: what a person sees, to the letter, and what a program may rely on. */
#include <errno.h>
#include <string.h>

#include "check/present.h"
#include "control/json_text.h"
#include "hosts.h"

#define TEXT(literal) ((char *)(uintptr_t)(literal))

static char *text_of(const struct host_facts *facts)
{
	struct findings *findings = findings_new(facts);
	char *text = present_text(findings);

	findings_free(findings);
	return text;
}

static json_t *json_of(const struct host_facts *facts)
{
	struct findings *findings = findings_new(facts);
	g_autofree char *text = present_json(findings, facts);
	g_autoptr(GError) error = NULL;
	json_t *root = json_text_parse(text, strlen(text), &error);

	g_assert_no_error(error);
	findings_free(findings);
	return root;
}

static void test_text(void)
{
	struct shim_facts shims[2];
	struct host_facts facts = host_good(shims);

	facts.kvm.open_errno = EACCES;
	facts.kvm.has_group = facts.kvm.listed_in_group = false;
	facts.n_shims = 1;
	g_autofree char *text = text_of(&facts);
	g_assert_cmpstr(
		text, ==,
		"ok       host kernel             Linux 6.12.95+deb13-amd64\n"
		"missing  /dev/kvm                permission denied; owner root, group kvm, mode 0660\n"
		"         remedy: add yourself to the group kvm and log in again: sudo usermod -aG kvm $USER\n"
		"unknown  virtual machine         cannot be tried\n"
		"unknown  KVM's Xen support       cannot be asked\n"
		"ok       Xen shim                /usr/lib/xen-4.20/boot/xen-shim (installed; PV shim, entries:\n"
		"                                 multiboot and pvh)\n"
		"ok       user namespaces         can be made: the machine gets its own\n"
		"ok       Landlock                ABI 6\n"
		"ok       seccomp                 a thread can be kept to the system calls that it needs\n"
		"unknown  guest_memfd             cannot be asked without /dev/kvm\n"
		"ok       userfaultfd             allowed for user mode, with POISON: memory can be lent\n"
		"info       for guest_memfd       not offered (Invalid argument): lent guest RAM takes a mapping per\n"
		"                                 page\n"
		"info       for the kernel        not allowed (vm.unprivileged_userfaultfd is 0); not needed\n"
		"         remedy: as root: sysctl vm.unprivileged_userfaultfd=1, or give this user /dev/userfaultfd\n"
		"info       /dev/userfaultfd      Permission denied; not needed\n"
		"ok       io_uring                allowed (kernel.io_uring_disabled is 0)\n"
		"\n"
		"verdict: this host cannot run PV domains: see /dev/kvm\n");
}

/* Every host here, as bad as it gets: no line is too long, and the last one is the verdict. */
static void test_columns(void)
{
	struct shim_facts shims[2];
	struct host_facts facts = host_good(shims);

	host_name_kernel(&facts);
	for (int i = 0; i < 4; i++) {
		if (i == 1)
			facts.kvm.xen_flags = 0x7;
		if (i == 2)
			facts.kernel.error =
				TEXT("/boot/vmlinuz: a very long story about what is wrong with this file, told in "
				     "so many words that they do not fit: get the file again");
		if (i == 3) {
			host_without_kvm(&facts);
			facts.system.is_virtual = true;
			facts.n_shims = 0;
			facts.namespaces.machine_errno = facts.landlock.errnum = facts.io_uring.setup_errno = EPERM;
			facts.landlock.abi = 0;
			facts.namespaces.apparmor_restricts = 1;
		}
		g_autofree char *text = text_of(&facts);
		g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
		guint n = g_strv_length(lines);

		for (guint j = 0; j < n; j++) {
			g_assert_cmpuint(strlen(lines[j]), <=, PRESENT_COLUMNS);
			g_assert_false(g_str_has_suffix(lines[j], " "));
		}
		g_assert_cmpstr(lines[n - 1], ==, "");
		g_assert_true(strstr(text, "\n\nverdict: this host ") != NULL);
	}
}

/* A path is the person's, but what a terminal obeys may have been put into it by another. */
static void test_hostile_path(void)
{
	struct shim_facts shims[2];
	struct host_facts facts = host_good(shims);

	shims[0].path = TEXT("/tmp/\033[2J\n\xff/\xc3\xa9/\xc2\x9b");
	g_autofree char *text = text_of(&facts);
	g_assert_true(strstr(text, "/tmp/?[2J?\xef\xbf\xbd/\xc3\xa9/? (installed;") != NULL);
	g_assert_null(strchr(text, '\033'));
	g_autoptr(json_t) root = json_of(&facts);
	g_assert_nonnull(root);
}

static int64_t integer(const json_t *object, const char *key)
{
	g_assert_true(json_is_integer(json_object_get(object, key)));
	return json_integer_value(json_object_get(object, key));
}

static const char *text_in(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static void test_json(void)
{
	struct shim_facts shims[2];
	struct host_facts facts = host_good(shims);

	host_name_kernel(&facts);
	facts.kvm.xen_flags = 0xff;
	g_autoptr(json_t) root = json_of(&facts);

	g_assert_cmpint(integer(root, "version"), ==, 1);
	g_assert_cmpint(integer(root, "status"), ==, 3);
	g_assert_true(json_is_false(json_object_get(root, "can_run_pv")));
	const json_t *kvm = json_object_get(root, "kvm");
	g_assert_cmpstr(text_in(kvm, "group"), ==, "kvm");
	g_assert_cmpstr(text_in(kvm, "mode"), ==, "0660");
	const json_t *flags = json_object_get(kvm, "xen_flags");
	g_assert_cmpuint(json_object_size(flags), ==, 9);
	const json_t *flag = json_object_get(flags, "shared_info_hva");
	g_assert_true(json_is_false(json_object_get(flag, "present")));
	g_assert_true(json_is_true(json_object_get(flag, "needed")));
	g_assert_true(json_is_true(json_object_get(json_object_get(kvm, "guest_memfd"), "init_shared")));
	g_assert_cmpuint(json_array_size(json_object_get(root, "shims")), ==, 2);
	const json_t *kernel = json_object_get(root, "kernel");
	g_assert_cmpstr(text_in(kernel, "compression"), ==, "xz");
	g_assert_true(json_is_true(json_object_get(kernel, "pv")));
	g_assert_true(json_is_null(json_object_get(json_object_get(root, "io_uring"), "io_uring_group")));
	g_assert_cmpint(integer(json_object_get(root, "landlock"), "abi"), ==, 6);
	g_assert_cmpint(integer(json_object_get(root, "userfaultfd"), "full_errno"), ==, EPERM);
}

static void collect_keys(json_t *object, const char *prefix, GString *keys)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value) {
		g_autofree char *path = g_strdup_printf("%s%s", prefix, key);

		g_string_append_printf(keys, "%s ", path);
		if (json_is_object(value) && !g_str_equal(key, "xen_flags")) {
			g_autofree char *inner = g_strdup_printf("%s.", path);

			collect_keys(value, inner, keys);
		}
	}
}

/* The promise to programs: this list is only added to, and is the same on a host that has nothing. */
static void test_json_keys(void)
{
	static const char *const expected =
		"version status can_run_pv verdict findings host host.kernel_release host.cpu_virtualization "
		"host.is_virtual "
		"kvm kvm.device kvm.exists kvm.owner kvm.group kvm.uid kvm.gid kvm.mode kvm.can_open kvm.open_errno "
		"kvm.create_vm_errno kvm.refusal kvm.xen_flags kvm.guest_memfd shims kernel kernel.path kernel.error "
		"kernel.refusal kernel.container kernel.compression kernel.pv kernel.pvh kernel.xen_notes kernel.bits "
		"kernel.guest_os kernel.elf_bytes kernel.load_bytes user_namespaces user_namespaces.allowed "
		"user_namespaces.user_errno user_namespaces.machine_errno user_namespaces.max_user_namespaces "
		"user_namespaces.unprivileged_userns_clone user_namespaces.apparmor_restrict_unprivileged_userns "
		"landlock "
		"landlock.abi landlock.create_errno seccomp seccomp.allowed seccomp.errno userfaultfd userfaultfd.allowed userfaultfd.poison "
		"userfaultfd.user_mode_errno userfaultfd.full_errno userfaultfd.device_errno userfaultfd.guest_memfd_errno "
		"userfaultfd.unprivileged_userfaultfd io_uring io_uring.allowed io_uring.setup_errno "
		"io_uring.io_uring_disabled io_uring.io_uring_group ";
	struct shim_facts shims[2];
	struct host_facts facts = host_good(shims);
	g_autoptr(GString) keys = g_string_new(NULL);

	host_without_kvm(&facts);
	facts.n_shims = 0;
	host_name_kernel(&facts);
	facts.kernel.error = TEXT("/boot/vmlinuz: the file is empty");
	g_autoptr(json_t) root = json_of(&facts);
	collect_keys(root, "", keys);
	g_assert_cmpstr(keys->str, ==, expected);

	facts.kernel.path = NULL;
	g_autoptr(json_t) without = json_of(&facts);
	g_assert_true(json_is_null(json_object_get(without, "kernel")));

	/* With a kernel that was read the keys are the same, in the same order. */
	facts.kernel.error = NULL;
	facts.kernel.path = TEXT("/boot/vmlinuz");
	g_autoptr(json_t) good = json_of(&facts);
	g_string_truncate(keys, 0);
	collect_keys(good, "", keys);
	g_assert_cmpstr(keys->str, ==, expected);
}

static void test_json_findings(void)
{
	struct shim_facts shims[2];
	struct host_facts facts = host_good(shims);

	shims[0].kind = SHIM_KIND_FOREIGN;
	shims[0].source = SHIM_OPTION;
	g_autoptr(json_t) root = json_of(&facts);
	const json_t *findings = json_object_get(root, "findings"), *finding;
	unsigned int n_bad = 0;
	size_t i;

	g_assert_cmpint(integer(root, "status"), ==, 4);
	g_assert_true(json_is_true(json_object_get(root, "can_run_pv")));
	json_array_foreach(findings, i, finding) {
		g_assert_cmpuint(json_object_size(finding), ==, 5);
		if (!g_str_equal(text_in(finding, "state"), "bad"))
			continue;
		n_bad++;
		g_assert_cmpstr(text_in(finding, "key"), ==, "shim");
		g_assert_nonnull(text_in(finding, "remedy"));
		g_assert_cmpint(integer(finding, "status"), ==, 4);
	}
	g_assert_cmpuint(n_bad, ==, 1);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/check/present/text", test_text);
	g_test_add_func("/check/present/columns", test_columns);
	g_test_add_func("/check/present/hostile-path", test_hostile_path);
	g_test_add_func("/check/present/json", test_json);
	g_test_add_func("/check/present/json-keys", test_json_keys);
	g_test_add_func("/check/present/json-findings", test_json_findings);
	return g_test_run();
}
