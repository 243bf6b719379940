// SPDX-License-Identifier: MIT
/*
 * Every reason why kvm.c finds that this host cannot run a domain, on a KVM made of answers: none of the hosts that
 * tests run on lacks all of this. The calls are replaced by including the source.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>
#include <linux/kvm.h>

static struct {
	int open_errno, stat_errno;
	gid_t gid;
	mode_t mode;
	int api_version, xen_flags;
	int missing_capability;      /* -1: none */
	unsigned long failing_ioctl; /* 0: none */
	int interruptions;           /* how often KVM_CREATE_VM is interrupted first */
	int n_open;
} host;

static int host_open(const char *path, int flags)
{
	g_assert_cmpstr(path, ==, "/dev/kvm");
	g_assert_cmpint(flags & O_CLOEXEC, !=, 0);
	errno = host.open_errno;
	return host.open_errno ? -1 : (host.n_open++, 1000);
}

static int host_close(int fd)
{
	g_assert_cmpint(fd, >=, 1000);
	host.n_open--;
	return 0;
}

static int host_stat(const char *path, struct stat *status)
{
	g_assert_cmpstr(path, ==, "/dev/kvm");
	*status = (struct stat){ .st_gid = host.gid, .st_mode = S_IFCHR | host.mode };
	errno = host.stat_errno;
	return host.stat_errno ? -1 : 0;
}

static int host_ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;

	g_assert_cmpint(fd, >=, 1000);
	va_start(arguments, request);
	long argument = va_arg(arguments, long);
	va_end(arguments);
	if (request == host.failing_ioctl) {
		errno = ENOSPC;
		return -1;
	}
	switch (request) {
	case KVM_GET_API_VERSION:
		return host.api_version;
	case KVM_CHECK_EXTENSION:
		return argument == KVM_CAP_XEN_HVM ? host.xen_flags : argument != host.missing_capability;
	case KVM_CREATE_VM:
		if (host.interruptions > 0) {
			host.interruptions--;
			errno = EINTR;
			return -1;
		}
		host.n_open++;
		return 1001;
	default:
		return 0;
	}
}

#define open  host_open
#define close host_close
#define stat(path, status) host_stat(path, status)
#define ioctl host_ioctl
/* The file under test, with its calls replaced. */
#include "../../../src/vmm/kvm.c"
#undef open
#undef close
#undef stat
#undef ioctl

static void good_host(void)
{
	host.open_errno = host.stat_errno = 0;
	host.gid = 1;
	host.mode = 0660;
	host.api_version = KVM_API_VERSION;
	host.xen_flags = (1 << 9) - 1;
	host.missing_capability = -1;
	host.failing_ioctl = 0;
	host.interruptions = 0;
	host.n_open = 0;
}

/* kvm_open() says all these words, in a line that begins with the device, and leaves nothing open. */
static void expect_refused(const char *reason, const char *remedy)
{
	g_autoptr(GError) error = NULL;

	g_assert_cmpint(kvm_open(NULL, &error), ==, -1);
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_HOST);
	g_assert_true(g_str_has_prefix(error->message, "/dev/kvm: "));
	g_assert_null(strchr(error->message, '\n'));
	if (!strstr(error->message, reason) || !strstr(error->message, remedy))
		g_error("\"%s\" lacks \"%s\" or \"%s\"", error->message, reason, remedy);
	g_assert_cmpint(host.n_open, ==, 0);
}

static void test_good(void)
{
	g_autoptr(GError) error = NULL;
	uint32_t flags = 0;

	good_host();
	g_assert_cmpint(kvm_open(&flags, &error), ==, 1000);
	g_assert_no_error(error);
	g_assert_cmpuint(flags, ==, (1 << 9) - 1);
	/* What dom1 can do without is no reason to refuse. */
	host.xen_flags = KVM_XEN_FLAGS_NEEDED;
	g_assert_cmpint(kvm_open(NULL, &error), ==, 1000);
	g_assert_no_error(error);
}

static void test_does_not_open(void)
{
	static const int absent[] = { ENOENT, ENXIO, ENODEV };

	for (size_t i = 0; i < G_N_ELEMENTS(absent); i++) {
		good_host();
		host.open_errno = absent[i];
		expect_refused("no KVM on this host", "load kvm-intel or kvm-amd");
	}
	good_host();
	host.open_errno = EACCES;
	g_autofree char *join = g_strdup_printf("add yourself to the group %s", getgrgid(1)->gr_name);
	expect_refused("permission denied", join);
	/* Nobody should join root, and what the group may not do, a member may not either. */
	host.gid = 0;
	expect_refused("permission denied", "chgrp kvm /dev/kvm");
	host.gid = 1;
	host.mode = 0600;
	expect_refused("permission denied", "chmod 660 /dev/kvm");
	host.mode = 0666;
	host.gid = 1999999999;
	expect_refused("permission denied", "the group that owns it");
	host.stat_errno = EACCES;
	expect_refused("cannot open", "Permission denied");
	good_host();
	host.open_errno = EPERM;
	expect_refused("cannot open", "Operation not permitted");
}

static void test_lacks(void)
{
	static const int capabilities[] = { KVM_CAP_SPLIT_IRQCHIP, KVM_CAP_IRQFD, KVM_CAP_SIGNAL_MSI, KVM_CAP_IMMEDIATE_EXIT };

	good_host();
	host.api_version = 11;
	expect_refused("not a KVM of API version 12", "");
	/* Some other file in its place: every ioctl fails. */
	host.api_version = -1;
	expect_refused("not a KVM of API version 12", "");
	good_host();
	host.xen_flags = 0;
	expect_refused("has no Xen support", "CONFIG_KVM_XEN, 6.9 or newer");
	host.xen_flags = -1;
	expect_refused("has no Xen support", "Debian 12's from backports");
	for (size_t i = 0; i < N_KVM_XEN_FLAGS; i++) {
		good_host();
		host.xen_flags &= ~(int)KVM_XEN_FLAGS[i].flag;
		if (KVM_XEN_FLAGS_NEEDED & KVM_XEN_FLAGS[i].flag)
			expect_refused(KVM_XEN_FLAGS[i].name, "boot kernel 6.9 or newer");
	}
	for (size_t i = 0; i < G_N_ELEMENTS(capabilities); i++) {
		good_host();
		host.missing_capability = capabilities[i];
		expect_refused("this KVM lacks KVM_CAP_", "boot a newer kernel");
	}
}

static void test_create_vm(void)
{
	static const struct {
		unsigned long request;
		const char *name;
	} calls[] = {
		{ KVM_CREATE_VM, "KVM_CREATE_VM" },
		{ KVM_SET_TSS_ADDR, "KVM_SET_TSS_ADDR" },
		{ KVM_SET_IDENTITY_MAP_ADDR, "KVM_SET_IDENTITY_MAP_ADDR" },
		{ KVM_ENABLE_CAP, "KVM_CAP_SPLIT_IRQCHIP" },
		{ KVM_XEN_HVM_CONFIG, "KVM_XEN_HVM_CONFIG" },
		{ KVM_XEN_HVM_SET_ATTR, "KVM_XEN_ATTR_TYPE_XEN_VERSION" },
		{ KVM_SET_USER_MEMORY_REGION, "KVM_SET_USER_MEMORY_REGION" },
	};
	g_autoptr(GError) error = NULL;
	struct layout layout;

	g_assert_true(layout_init(&layout, 64 << 20, LAYOUT_LOW_RAM_DEFAULT, NULL));
	struct guest_memory *memory = guest_memory_new(&layout, &error);
	g_assert_no_error(error);
	for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
		g_autoptr(GError) refused = NULL;

		good_host();
		host.failing_ioctl = calls[i].request;
		g_assert_cmpint(kvm_create_vm(1000, memory, 4 << 16 | 17, &refused), ==, -1);
		g_assert_error(refused, DOM1_ERROR, DOM1_STATUS_HOST);
		g_assert_true(g_str_has_prefix(refused->message, "cannot create a VM: "));
		g_assert_nonnull(strstr(refused->message, calls[i].name));
		g_assert_cmpint(host.n_open, ==, 0);
	}
	good_host();
	host.interruptions = 3;
	g_assert_cmpint(kvm_create_vm(1000, memory, 4 << 16 | 17, &error), ==, 1001);
	g_assert_no_error(error);
	host.failing_ioctl = KVM_GET_SUPPORTED_CPUID;
	g_assert_null(kvm_supported_cpuid(1000, &error));
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_HOST);
	guest_memory_free(memory);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/kvm/good", test_good);
	g_test_add_func("/kvm/does-not-open", test_does_not_open);
	g_test_add_func("/kvm/lacks", test_lacks);
	g_test_add_func("/kvm/create-vm", test_create_vm);
	return g_test_run();
}
