// SPDX-License-Identifier: MIT
/* vm_config.c: sizes against a model of their grammar, each option, each refusal, and command lines of any kind. */
#include <locale.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>

#include "config/guest_file.h"
#include "config/guest_config.h"
#include "config/auto_append.h"
#include "config/vm_config.h"
#include "lend/lending.h"
#include "vmm/error.h"
#include "vmm/layout.h"

#define MIB             (UINT64_C(1) << 20)
#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

/* Sizes */

/* [0-9]+[KMGT]?, either case; TRUE and the value, as far as it is below 2^63. */
static gboolean model_size(const char *text, uint64_t *bytes)
{
	static const char letters[] = "KMGT";
	unsigned __int128 value = 0;
	unsigned int n_digits = 0, shift = 20;

	for (; *text >= '0' && *text <= '9'; text++, n_digits++)
		if (value < (unsigned __int128)1 << 100)
			value = value * 10 + (unsigned int)(*text - '0');
	for (unsigned int i = 0; *text && i < 4; i++)
		if (*text == letters[i] || *text == letters[i] + ('a' - 'A')) {
			shift = 10 * (i + 1);
			text++;
			break;
		}
	if (n_digits == 0 || *text || value >= (unsigned __int128)1 << 63 ||
	    value << shift >= (unsigned __int128)1 << 63)
		return FALSE;
	*bytes = (uint64_t)(value << shift);
	return TRUE;
}

static void check_size(const char *text, unsigned int counts[2])
{
	uint64_t bytes = 0x5a5a, expected = 0x5a5a;
	gboolean ok = model_size(text, &expected);

	if (vm_config_parse_size(text, &bytes) != ok)
		g_error("size \"%s\": expected %s", text, ok ? "yes" : "no");
	g_assert_cmpuint(bytes, ==, expected); /* left alone when it is no size */
	counts[ok]++;
}

static void test_sizes(void)
{
	static const char characters[] = "0123456789KMGTPkmgtBbi.,-+ xe\t\n";
	static const char *const words[] = {"",
					    "0",
					    "0K",
					    "1",
					    "512",
					    "512M",
					    "4G",
					    "1T",
					    "65536K",
					    "512MB",
					    "512MiB",
					    "4 G",
					    " 4G",
					    "4G ",
					    "+4G",
					    "-4G",
					    "0x10",
					    "1e3",
					    "M",
					    "٣",
					    "18446744073709551615",
					    "18446744073709551616",
					    "18446744073709551616K",
					    "8388607T",
					    "8796093022207",
					    "9007199254740991K",
					    "8589934591G",
					    "99999999999999999999999999999999"};
	static const char suffixes[] = "\0KMGTkmgt";
	unsigned int counts[2] = {0, 0};

	for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
		check_size(words[i], counts);
	for (unsigned int i = 0; i < 20000; i++) {
		char text[24];
		int n = g_test_rand_int_range(0, 23);

		/* Mostly digits, or next to nothing would be a size. */
		for (int j = 0; j < n; j++)
			text[j] = g_test_rand_int_range(0, 8)
					  ? (char)g_test_rand_int_range('0', '9' + 1)
					  : characters[g_test_rand_int_range(0, (int)sizeof(characters) - 1)];
		text[n] = '\0';
		check_size(text, counts);
	}
	/* Every suffix, from both sides of the largest number that it may have. */
	for (size_t i = 0; i < sizeof(suffixes) - 1; i++)
		for (unsigned int shift = 0; shift < 64; shift++)
			for (int step = -2; step <= 2; step++) {
				char text[32];
				uint64_t number = (UINT64_C(1) << shift) + (uint64_t)step;

				g_snprintf(text, sizeof(text), "%" G_GUINT64_FORMAT "%c", number, suffixes[i]);
				check_size(text, counts);
			}
	g_assert_cmpuint(counts[0], >, 1000);
	g_assert_cmpuint(counts[1], >, 1000);
}

/* Command lines */

/* The parser takes words away from the vector: it gets a copy, and the words are freed by the original. */
static gboolean parse(struct vm_config *config, const char *const *words, GError **error)
{
	g_auto(GStrv) owned = g_strdupv((char **)(uintptr_t)words);
	unsigned int n = g_strv_length(owned);
	g_autofree char **argv = g_memdup2(owned, (n + 1) * sizeof(*argv));

	memset(config, 0xa5, sizeof(*config));
	return vm_config_parse(config, (int)n, argv, error);
}

#define WORDS(...) ((const char *const[]){"run", __VA_ARGS__, NULL})

static void parse_ok(struct vm_config *config, const char *const *words)
{
	g_autoptr(GError) error = NULL;
	gboolean ok = parse(config, words, &error);

	g_assert_no_error(error);
	g_assert_true(ok);
}

static gboolean is_clear(const struct vm_config *config)
{
	const guint8 *bytes = (const guint8 *)config;

	for (size_t i = 0; i < sizeof(*config); i++)
		if (bytes[i])
			return FALSE;
	return TRUE;
}

static void expect_refusal(const char *const *words, const char *named)
{
	g_autoptr(GError) error = NULL;
	struct vm_config config;
	g_autofree char *line = g_strjoinv(" ", (char **)(uintptr_t)words);

	if (parse(&config, words, &error))
		g_error("accepted: %s", line);
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_USAGE);
	if (!strstr(error->message, named))
		g_error("%s: the message does not name %s: %s", line, named, error->message);
	if (strpbrk(error->message, "\n\r"))
		g_error("%s: the message has more than one line: %s", line, error->message);
	g_assert_true(is_clear(&config));
}

static void test_defaults(void)
{
	struct vm_config config;

	parse_ok(&config, WORDS("--kernel", "/boot/vmlinuz"));
	g_assert_cmpstr(config.kernel_path, ==, "/boot/vmlinuz");
	g_assert_null(config.initrd_path);
	g_assert_cmpstr(config.guest_command_line, ==, "");
	g_assert_null(config.shim_path);
	g_assert_null(config.shim_append);
	g_assert_cmpint(config.type, ==, GUEST_PV);
	g_assert_cmpint(config.entry, ==, BOOT_ENTRY_MULTIBOOT);
	g_assert_cmpuint(config.memory_bytes, ==, 512 * MIB);
	g_assert_cmpuint(config.low_memory_bytes, ==, LAYOUT_LOW_RAM_DEFAULT);
	g_assert_cmpuint(config.n_vcpus, ==, 1);
	g_assert_cmpuint(config.max_vcpus, ==, 1);
	g_assert_cmpuint(config.max_event_channels, ==, 0);
	g_assert_cmpuint(config.max_grant_frames, ==, 64);
	g_assert_null(config.dump_dtb_path);
	g_assert_cmpint(config.console, ==, CONSOLE_STDIO);
	g_assert_null(config.console_path);
	g_assert_null(config.console_log_path);
	g_assert_null(config.shim_log_path);
	g_assert_null(config.report_path);
	g_assert_cmpuint(config.xen_version, ==, 4u << 16 | 17);
	g_assert_cmpuint(config.timeout_s, ==, 0);
	g_assert_false(config.dry_run);
	g_assert_cmpint(config.on_poweroff, ==, END_STOP);
	g_assert_cmpint(config.on_reboot, ==, END_RESTART);
	g_assert_cmpint(config.on_crash, ==, END_STOP);
	vm_config_clear(&config);
	g_assert_true(is_clear(&config));
	vm_config_clear(&config);
}

/* From the kernel's file name and the pid, and always a name that --name would take. */
static void test_default_names(void)
{
	static const char *const kernels[] = {"/boot/vmlinuz-6.1",
					      "k",
					      "/",
					      ".",
					      "..",
					      "",
					      "a b",
					      ".hidden",
					      "/x/",
					      "ü",
					      "a-kernel-whose-name-is-much-longer-than-any-name-of-a-domain-may-be"};
	g_autofree char *pid = g_strdup_printf("-%d", (int)getpid());

	for (size_t i = 0; i < G_N_ELEMENTS(kernels); i++) {
		struct vm_config config, again;

		parse_ok(&config, WORDS("--kernel", kernels[i]));
		g_assert_true(g_str_has_suffix(config.name, pid));
		g_assert_cmpuint(strlen(config.name), >, strlen(pid));
		parse_ok(&again, WORDS("--kernel", "k", "--name", config.name));
		g_assert_cmpstr(again.name, ==, config.name);
		vm_config_clear(&again);
		vm_config_clear(&config);
	}
}

/* Text that is taken as it is. */
static void test_texts(void)
{
	static const struct {
		const char *option, *letter;
		size_t offset;
	} options[] = {
#define TEXT(name, letter, field) {name, letter, offsetof(struct vm_config, field)}
		TEXT("--kernel", "-k", kernel_path),        TEXT("--initrd", "-i", initrd_path),
		TEXT("--append", "-a", guest_command_line), TEXT("--shim", NULL, shim_path),
		TEXT("--shim-append", NULL, shim_append),   TEXT("--console-log", NULL, console_log_path),
		TEXT("--shim-log", NULL, shim_log_path),    TEXT("--report", NULL, report_path),
		TEXT("--symbols", NULL, symbols_path),
#undef TEXT
	};
	static const char *const values[] = {"x",     "a b", "--kernel=y", "-", "", "root=/dev/xvda ro \"q\" \\",
					     "a=b=c", "ünï"};

	for (size_t i = 0; i < G_N_ELEMENTS(options); i++)
		for (size_t j = 0; j < G_N_ELEMENTS(values); j++)
			for (unsigned int form = 0; form < 3; form++) {
				g_autofree char *joined = g_strconcat(options[i].option, "=", values[j], NULL);
				struct vm_config config;

				if (form == 2 && !options[i].letter)
					continue;
				parse_ok(&config, form == 0   ? WORDS("-k", "k", joined)
						  : form == 1 ? WORDS("-k", "k", options[i].option, values[j])
							      : WORDS("-k", "k", options[i].letter, values[j]));
				g_assert_cmpstr(*(char **)((char *)&config + options[i].offset), ==, values[j]);
				vm_config_clear(&config);
			}
}

/* Words that mean a number or a choice. */
static void test_values(void)
{
	static const struct {
		const char *word;
		size_t offset, len_bytes;
		uint64_t value;
	} options[] = {
#define VALUE(word, field, value)                                                                                      \
	{word, offsetof(struct vm_config, field), sizeof(((struct vm_config *)0)->field), value}
		VALUE("--memory=64", memory_bytes, 64 * MIB),
		VALUE("--memory=3G", memory_bytes, 3072 * MIB),
		VALUE("--memory=4g", memory_bytes, 4096 * MIB),
		VALUE("--memory=65536K", memory_bytes, 64 * MIB),
		VALUE("--memory=33M", memory_bytes, 34 * MIB),
		VALUE("--memory=1K", memory_bytes, 2 * MIB),
		VALUE("--low-memory=1G", low_memory_bytes, 1024 * MIB),
		VALUE("--low-memory=33", low_memory_bytes, 34 * MIB),
		VALUE("--vcpus=1", n_vcpus, 1),
		VALUE("--vcpus=32", n_vcpus, 32),
		VALUE("--vcpus=07", n_vcpus, 7),            VALUE("--max-vcpus=32", max_vcpus, 32),
		VALUE("--max-event-channels=8", max_event_channels, 8),
		VALUE("--max-grant-frames=64", max_grant_frames, 64),
		VALUE("--timeout=1", timeout_s, 1),
		VALUE("--timeout=2147483647", timeout_s, 2147483647),
		VALUE("--type=pv", type, GUEST_PV),
		VALUE("--type=pvh", type, GUEST_PVH),
		VALUE("--memory-backing=anonymous", memory_backing, MEMORY_ANONYMOUS),
		VALUE("--memory-backing=memfd", memory_backing, MEMORY_MEMFD),
		VALUE("--memory-backing=guest_memfd", memory_backing, MEMORY_GUEST_MEMFD),
		VALUE("--shim-entry=pvh", entry, BOOT_ENTRY_PVH),
		VALUE("--shim-entry=multiboot", entry, BOOT_ENTRY_MULTIBOOT),
		VALUE("--console=stdio", console, CONSOLE_STDIO),
		VALUE("--console=pty", console, CONSOLE_PTY),
		VALUE("--console=null", console, CONSOLE_NULL),
		VALUE("--console=file:x", console, CONSOLE_FILE),
		VALUE("--console=socket:x", console, CONSOLE_SOCKET),
		VALUE("--xen-version=4.17", xen_version, 4 << 16 | 17),
		VALUE("--xen-version=4.0", xen_version, 4 << 16),
		VALUE("--xen-version=65535.65535", xen_version, 0xffffffff),
		VALUE("--dry-run", dry_run, TRUE),
		VALUE("--on-poweroff=restart", on_poweroff, END_RESTART),
		VALUE("--on-poweroff=stop", on_poweroff, END_STOP),
		VALUE("--on-reboot=restart", on_reboot, END_RESTART),
		VALUE("--on-reboot=stop", on_reboot, END_STOP),
		VALUE("--on-crash=restart", on_crash, END_RESTART),
		VALUE("--on-crash=stop", on_crash, END_STOP),
#undef VALUE
	};

	for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
		struct vm_config config;
		uint64_t value = 0;

		/* The last of two wins; the first one's memory is not lost. */
		parse_ok(&config, WORDS(options[i].word, "--kernel=k", options[i].word));
		memcpy(&value, (char *)&config + options[i].offset, options[i].len_bytes); /* little endian */
		if (value != options[i].value)
			g_error("%s: %" G_GUINT64_FORMAT, options[i].word, value);
		g_assert_true((config.console == CONSOLE_FILE || config.console == CONSOLE_SOCKET) ==
			      (config.console_path != NULL));
		vm_config_clear(&config);
	}
}

static void test_console_paths(void)
{
	struct vm_config config;

	parse_ok(&config, WORDS("--kernel=k", "--console=file:/tmp/a:b=c"));
	g_assert_cmpstr(config.console_path, ==, "/tmp/a:b=c");
	vm_config_clear(&config);
	parse_ok(&config, WORDS("--kernel=k", "--console=socket:x y"));
	g_assert_cmpstr(config.console_path, ==, "x y");
	vm_config_clear(&config);
}

static void test_names(void)
{
	for (unsigned int byte = 1; byte < 256; byte++) {
		const char name[] = {'a', (char)byte, 'z', '\0'};
		struct vm_config config;

		if (strchr(NAME_CHARACTERS, (int)byte)) {
			parse_ok(&config, WORDS("--kernel=k", "--name", name));
			g_assert_cmpstr(config.name, ==, name);
			vm_config_clear(&config);
		} else if (byte >= ' ' && byte < 127) { /* for the others see below */
			expect_refusal(WORDS("--kernel=k", "--name", name), "--name");
		}
	}
	for (unsigned int n = 1; n < 100; n++) {
		g_autofree char *name = g_strnfill(n, 'n');
		struct vm_config config;

		if (n <= VM_CONFIG_NAME_MAX) {
			parse_ok(&config, WORDS("--kernel=k", "-n", name));
			vm_config_clear(&config);
		} else {
			expect_refusal(WORDS("--kernel=k", "-n", name), "--name");
		}
	}
}

static void test_refusals(void)
{
	static const struct {
		const char *word, *named;
	} refusals[] = {
		{"--name=", "--name"},
		{"--name=.", "--name"},
		{"--name=..", "--name"},
		{"--name=a/b", "--name"},
		{"--name=../x", "--name"},
		{"--memory=", "--memory"},
		{"--memory=0", "--memory"},
		{"--memory=x", "--memory"},
		{"--memory=-1", "--memory"},
		{"--memory=1P", "--memory"},
		{"--memory=99999999T", "--memory"},
		{"--memory=18446744073709551617", "--memory"},
		{"--memory=0G", "--memory"},
		{"--low-memory=", "--low-memory"},
		{"--low-memory=0", "--low-memory"},
		{"--low-memory=1X", "--low-memory"},
		{"--vcpus=", "--vcpus"},
		{"--vcpus=0", "--vcpus"},
		{"--vcpus=33", "--vcpus"},
		{"--vcpus=-1", "--vcpus"},
		{"--vcpus=+1", "--vcpus"},
		{"--vcpus=1x", "--vcpus"},
		{"--vcpus= 1", "--vcpus"},
		{"--vcpus=4294967297", "--vcpus"},
		{"--max-vcpus=0", "--max-vcpus"},
		{"--max-vcpus=33", "--max-vcpus"},
		{"--max-vcpus=x", "--max-vcpus"},
		{"--max-event-channels=7", "--max-event-channels"},
		{"--max-event-channels=2147483648", "--max-event-channels"},
		{"--max-grant-frames=0", "--max-grant-frames"},
		{"--max-grant-frames=65", "--max-grant-frames"},
		{"--vcpus=18446744073709551617", "--vcpus"},
		{"--timeout=", "--timeout"},
		{"--timeout=0", "--timeout"},
		{"--timeout=2147483648", "--timeout"},
		{"--timeout=1.5", "--timeout"},
		{"--timeout=10s", "--timeout"},
		{"--memory-backing=", "--memory-backing"},
		{"--memory-backing=memfd,", "--memory-backing"},
		{"--memory-backing=guest-memfd", "--memory-backing"},
		{"--shim-entry=", "--shim-entry"},
		{"--shim-entry=PVH", "--shim-entry"},
		{"--console=", "--console"},
		{"--console=file", "--console"},
		{"--console=file:", "--console"},
		{"--console=socket:", "--console"},
		{"--console=stdiox", "--console"},
		{"--console=stdi", "--console"},
		{"--console=pty:x", "--console"},
		{"--console=vc", "--console"},
		{"--xen-version=", "--xen-version"},
		{"--xen-version=4", "--xen-version"},
		{"--xen-version=4.", "--xen-version"},
		{"--xen-version=.17", "--xen-version"},
		{"--xen-version=4.17.1", "--xen-version"},
		{"--xen-version=0.1", "--xen-version"},
		{"--xen-version=65536.0", "--xen-version"},
		{"--xen-version=4.65536", "--xen-version"},
		{"--xen-version=4.123456", "--xen-version"},
		{"--xen-version=4.1x", "--xen-version"},
		{"--xen-version=-4.17", "--xen-version"},
		{"--on-poweroff=", "--on-poweroff"},
		{"--on-poweroff=Stop", "--on-poweroff"},
		{"--on-reboot=again", "--on-reboot"},
		{"--on-crash=stopp", "--on-crash"},
		{"--no-such-option", "--no-such-option"},
		{"-z", "-z"},
		{"--vcpu=1", "--vcpu"},
		/* Without the value that they need. */
		{"--kernel", "--kernel"},
		{"--initrd", "--initrd"},
		{"--append", "--append"},
		{"--memory", "--memory"},
		{"--low-memory", "--low-memory"},
		{"--vcpus", "--vcpus"},
		{"--name", "--name"},
		{"--shim", "--shim"},
		{"--shim-append", "--shim-append"},
		{"--shim-entry", "--shim-entry"},
		{"--console", "--console"},
		{"--console-log", "--console-log"},
		{"--shim-log", "--shim-log"},
		{"--timeout", "--timeout"},
		{"--on-poweroff", "--on-poweroff"},
		{"--on-reboot", "--on-reboot"},
		{"--on-crash", "--on-crash"},
		{"--report", "--report"},
		{"--symbols", "--symbols"},
		{"--xen-version", "--xen-version"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(refusals); i++)
		expect_refusal(WORDS("--kernel=k", "--initrd=i", refusals[i].word), refusals[i].named);
	expect_refusal((const char *const[]){"run", NULL}, "--kernel");
	expect_refusal(WORDS("--memory=1G"), "--kernel");
	expect_refusal(WORDS("--kernel=k", "--type=hvm"), "--type");
	expect_refusal(WORDS("--kernel=k", "--type"), "--type");
	expect_refusal(WORDS("--kernel=k", "--trace=no-such-kind"), "--trace");
	expect_refusal(WORDS("--kernel=k", "--trace"), "--trace");
	expect_refusal(WORDS("--kernel=k", "--vcpus=3", "--max-vcpus=2"), "--max-vcpus");
	/* What is the shim's makes no sense without it. */
	expect_refusal(WORDS("--kernel=k", "--type=pvh", "--shim=s"), "--shim");
	expect_refusal(WORDS("--kernel=k", "--type=pvh", "--shim-append=s"), "--shim-append");
	expect_refusal(WORDS("--kernel=k", "--shim-entry=multiboot", "--type=pvh"), "--shim-entry");
	expect_refusal(WORDS("--kernel=k", "--type=pvh", "--shim-log=l"), "--shim-log");
}

/* --dump-dtb: the guest of the tree that was written is the guest that was described by options. */
static void check_dump(const char *const *words)
{
	g_autoptr(GError) error = NULL;
	struct vm_config first, again;
	g_autofree char *path = NULL;
	int fd = g_file_open_tmp("dom1-XXXXXX.dtb", &path, &error);

	g_assert_no_error(error);
	close(fd);
	parse_ok(&first, words);
	g_autoptr(GBytes) tree = guest_file_dump(&first, &error);
	g_assert_no_error(error);
	g_assert_true(g_file_set_contents(path, g_bytes_get_data(tree, NULL), (gssize)g_bytes_get_size(tree), NULL));
	parse_ok(&again, WORDS(path));
	g_assert_cmpuint(again.warnings->len, ==, 0);
	g_autoptr(GBytes) tree_again = guest_file_dump(&again, &error);
	g_assert_true(g_bytes_equal(tree, tree_again));

	g_assert_cmpstr(again.name, ==, first.name);
	g_assert_cmpstr(again.kernel_path, ==, first.kernel_path);
	g_assert_cmpstr(again.initrd_path, ==, first.initrd_path);
	g_assert_cmpstr(again.guest_command_line, ==, first.guest_command_line);
	g_assert_cmpstr(again.shim_path, ==, first.shim_path);
	g_assert_cmpstr(again.shim_append, ==, first.shim_append);
	g_assert_cmpint(again.type, ==, first.type);
	g_assert_cmpuint(again.memory_bytes, ==, first.memory_bytes);
	g_assert_cmpuint(again.n_vcpus, ==, first.n_vcpus);
	g_assert_cmpuint(again.max_vcpus, ==, first.max_vcpus);
	g_assert_cmpuint(again.max_event_channels, ==, first.max_event_channels);
	g_assert_cmpuint(again.max_grant_frames, ==, first.max_grant_frames);
	g_assert_cmpint(again.on_poweroff, ==, first.on_poweroff);
	g_assert_cmpint(again.on_reboot, ==, first.on_reboot);
	g_assert_cmpint(again.on_crash, ==, first.on_crash);
	vm_config_clear(&again);
	vm_config_clear(&first);
	g_unlink(path);
}

static void test_dump(void)
{
	check_dump(WORDS("--kernel=k"));
	check_dump(WORDS("--kernel=k", "--type=pvh", "--append= a  \"b\" \xff\\", "--name=n", "--memory=3G"));
	check_dump(WORDS("--kernel=/a b/k", "--initrd=i", "--shim=/s", "--shim-append=x y", "--vcpus=2", "--max-vcpus=32",
			 "--max-event-channels=1023", "--max-grant-frames=1", "--on-poweroff=restart", "--on-reboot=stop",
			 "--on-crash=restart"));
	check_dump(WORDS("--kernel=k", "--disk=a,ro", "--disk=/b/c,vdev=xvdd,cache=direct,on-error=stop"));
}

static const struct disk_config *disk_of(const struct vm_config *config, guint n)
{
	g_assert_cmpuint(n, <, config->disks->len);
	return config->disks->pdata[n];
}

/* Names are settled: those that were given stay, the others get what is free, in order. */
static void test_disks(void)
{
	struct vm_config config;

	parse_ok(&config, WORDS("--kernel=k", "--disk=a", "--disk=b,ro,vdev=xvda", "--disk", "/c,raw,xvdc,w", "--disk=d,discard=off",
				"--disk=vdev=sda,target=e,f"));
	g_assert_cmpuint(config.disks->len, ==, 5);
	g_assert_cmpstr(disk_of(&config, 0)->vdev, ==, "xvdb");
	g_assert_cmpstr(disk_of(&config, 1)->vdev, ==, "xvda");
	g_assert_true(disk_of(&config, 1)->readonly);
	g_assert_cmpstr(disk_of(&config, 2)->vdev, ==, "xvdc");
	g_assert_cmpint(disk_of(&config, 2)->format, ==, DISK_FORMAT_RAW);
	g_assert_cmpstr(disk_of(&config, 3)->vdev, ==, "xvdd");
	g_assert_cmpstr(disk_of(&config, 4)->target, ==, "e,f");
	vm_config_clear(&config);

	parse_ok(&config, WORDS("--kernel=k"));
	g_assert_cmpuint(config.disks->len, ==, 0);
	vm_config_clear(&config);
	expect_refusal(WORDS("--kernel=k", "--disk="), "--disk");
	parse_ok(&config, WORDS("--kernel=k", "--disk=a,qcow2", "--disk=nbd://host/x"));
	g_assert_cmpint(disk_of(&config, 0)->format, ==, DISK_FORMAT_QCOW2);
	g_assert_cmpint(disk_of(&config, 1)->format, ==, DISK_FORMAT_NBD);
	vm_config_clear(&config);
	expect_refusal(WORDS("--kernel=k", "--disk=a,snapshot=maybe"), "snapshot");
	expect_refusal(WORDS("--kernel=k", "--disk=a,on-error=hope"), "enospc-pause");
	expect_refusal(WORDS("--kernel=k", "--disk=a,serial=s1"), "serial");
	expect_refusal(WORDS("--kernel=k", "--disk=a,vdev=xvdb", "--disk=b,vdev=d1"), "vdev");
	expect_refusal(WORDS("--kernel=k", "--disk=a,vdev=nvme0"), "--disk");
}

static const struct vif_config *vif_of(const struct vm_config *config, guint n)
{
	g_assert_cmpuint(n, <, config->vifs->len);
	return config->vifs->pdata[n];
}

static void test_nets(void)
{
	static const uint8_t given[] = { 0, 0x16, 0x3e, 1, 2, 3 };
	struct vm_config config, again, other;

	parse_ok(&config, WORDS("--kernel=k", "--name=a", "--net=user,hostfwd=tcp::2222-:22,hostfwd=udp:127.0.0.1:5-:6",
				"--net=tap,ifname=tap7,mac=00:16:3e:01:02:03", "--net=bridge=br0", "--net", "socket:/x/y", "--net="));
	g_assert_cmpuint(config.vifs->len, ==, 5);
	g_assert_cmpint(vif_of(&config, 0)->kind, ==, VIF_USER);
	g_assert_cmpint(vif_of(&config, 4)->kind, ==, VIF_USER);
	g_assert_true(memcmp(vif_of(&config, 1)->mac, given, 6) == 0);
	/* Always the same for the same name and place; never the same for two; in Xen's range. */
	parse_ok(&again, WORDS("--kernel=other", "--name=a", "--net=tap", "--net=tap", "--net=tap", "--net=tap", "--net=tap"));
	parse_ok(&other, WORDS("--kernel=k", "--name=b", "--net=user"));
	for (guint i = 0; i < 5; i++) {
		g_assert_true(memcmp(vif_of(&again, i)->mac, given, 3) == 0);
		g_assert_cmpuint(vif_of(&again, i)->mac[3], <, 0x80);
		g_assert_true(i == 1 || memcmp(vif_of(&again, i)->mac, vif_of(&config, i)->mac, 6) == 0);
		for (guint j = 0; j < i; j++)
			g_assert_true(memcmp(vif_of(&again, i)->mac, vif_of(&again, j)->mac, 6) != 0);
	}
	g_assert_true(memcmp(vif_of(&other, 0)->mac, vif_of(&again, 0)->mac, 6) != 0);
	vm_config_clear(&config);
	vm_config_clear(&again);
	vm_config_clear(&other);

	parse_ok(&config, WORDS("--kernel=k", "--net=none"));
	g_assert_cmpuint(config.vifs->len, ==, 0);
	vm_config_clear(&config);
	expect_refusal(WORDS("--kernel=k", "--net=tap", "--net=none"), "none");
	expect_refusal(WORDS("--kernel=k", "--net=none", "--net=tap"), "none");
	expect_refusal(WORDS("--kernel=k", "--net=wire"), "--net");
	expect_refusal(WORDS("--kernel=k", "--net=tap,rate=1MB/s"), "rate");
	expect_refusal(WORDS("--kernel=k", "--net=tap,mac=00:16:3e:01:02:03", "--net=tap,mac=00:16:3e:01:02:03"), "mac");
	static const char *const bad[] = { "tcp", "tcp::1", "tcp::1-2", "tcp::0-:1", "tcp::1-:65536", "tcp:1-:2", "sctp::1-:2",
					   "tcp:host:1-:2", "tcp::1-10.0.2.15:2", "tcp::1-:2-:3", "udp::-:", "tcp::x-:1" };
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autofree char *word = g_strconcat("--net=user,hostfwd=", bad[i], NULL);

		expect_refusal(WORDS("--kernel=k", word), "hostfwd");
	}
}

static void test_lend_windows(void)
{
	struct vm_config config;

	parse_ok(&config, WORDS("--kernel=k", "--type=pvh", "--lend-window=4M", "--lend-window=2G,gpa=0x200000000,on-fail=stop",
				"--lend-window=2,on-fail=zero", "--lend-window=64M,place=pci,on-fail=fault",
				"--lend-window=2M,place=pmem"));
	g_assert_cmpuint(config.lend_windows->len, ==, 5);
	const struct lending_window *windows = (const struct lending_window *)(const void *)config.lend_windows->data;
	g_assert_cmpuint(windows[0].len_bytes, ==, 4 * MIB);
	g_assert_cmpuint(windows[0].gpa, ==, 0);
	g_assert_cmpint(windows[0].on_fail, ==, LEND_ACTION_ZERO);
	g_assert_cmpuint(windows[1].len_bytes, ==, 2048 * MIB);
	g_assert_cmphex(windows[1].gpa, ==, 0x200000000);
	g_assert_cmpint(windows[1].on_fail, ==, LEND_ACTION_STOP);
	g_assert_cmpint(windows[2].place, ==, LENDING_AT_ADDRESS);
	g_assert_cmpint(windows[3].place, ==, LENDING_AT_PCI);
	g_assert_cmpint(windows[3].on_fail, ==, LEND_ACTION_FAULT);
	g_assert_cmpint(windows[4].place, ==, LENDING_AT_PMEM);
	vm_config_clear(&config);
	static const char *const bad[] = { "", "3M", "0", "x", "4K", "2M,gpa=", "2M,gpa=1", "2M,gpa=0", "2M,gpa=x", "2M,on-fail=",
					   "2M,on-fail=wait", "2M,what", "2M,", "gpa=0x200000000", "2M,gpa=99999999999999999999",
					   "2M,place=", "2M,place=usb", "6M,place=pci", "6M,place=pmem", "2M,place=pci,gpa=0x200000000" };
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autofree char *word = g_strconcat("--lend-window=", bad[i], NULL);

		expect_refusal(WORDS("--kernel=k", "--type=pvh", word), "--lend-window");
	}
	expect_refusal(WORDS("--kernel=k", "--lend-window=2M"), "shim");
	expect_refusal(WORDS("--kernel=k", "--lend-to=/l", "--memory-backing=memfd"), "shim");
	expect_refusal(WORDS("--kernel=k", "--type=pvh", "--lend-to=/l"), "--memory-backing");
	parse_ok(&config, WORDS("--kernel=k", "--type=pvh", "--lend-to=/l", "--memory-backing=guest_memfd"));
	g_assert_cmpstr(config.lend_to_path, ==, "/l");
	vm_config_clear(&config);
	expect_refusal(WORDS("--kernel=k", "--lend-window=2M,place=pci"), "shim");
	parse_ok(&config, WORDS("--kernel=k", "--memory-lent=/m"));
	g_assert_cmpstr(config.memory_lent_path, ==, "/m");
	vm_config_clear(&config);
	expect_refusal(WORDS("--kernel=k", "--memory-lent=/m", "--type=pvh"), "--type=pv");
	expect_refusal(WORDS("--kernel=k", "--memory-lent=/m", "--memory-backing=memfd"), "--memory-backing");
	expect_refusal(WORDS("--kernel=k", "--memory-lent=/m", "--memory=8G"), "--memory");
	static const char *const holders[] = { "--disk=d", "--share=/d", "--net=user", "--channel=pty", "--core=c", "--inject=event:drop=1" };
	for (size_t i = 0; i < G_N_ELEMENTS(holders); i++)
		expect_refusal(WORDS("--kernel=k", "--memory-lent=/m", holders[i]), "--memory-lent");
	/* As many as there are places for, and not one more. */
	expect_refusal(WORDS("--kernel=k", "--type=pvh", "--lend-window=2M", "--lend-window=2M", "--lend-window=2M", "--lend-window=2M",
			     "--lend-window=2M", "--lend-window=2M", "--lend-window=2M", "--lend-window=2M", "--lend-window=2M"),
		       "at most 8");
}

static void test_channels(void)
{
	static const enum channel_connection kinds[] = { CHANNEL_FILE, CHANNEL_PTY, CHANNEL_SOCKET, CHANNEL_PTY };
	static const char *const names[] = { "hvc1", "hvc2", "hvc3", "x.y" }, *const paths[] = { "/a,b", NULL, "s", NULL };
	struct vm_config config;

	parse_ok(&config, WORDS("--kernel=k", "--channel=file:/a,b", "--channel", "pty", "--channel=socket:s",
				"--channel=connection=pty,name=x.y"));
	g_assert_cmpuint(config.channels->len, ==, 4);
	for (guint i = 0; i < 4; i++) {
		const struct channel_config *channel = config.channels->pdata[i];

		g_assert_cmpint(channel->connection, ==, kinds[i]);
		g_assert_cmpstr(channel->name, ==, names[i]);
		g_assert_cmpstr(channel->path, ==, paths[i]);
	}
	vm_config_clear(&config);
	static const char *const bad[] = { "stdio", "file:", "socket:", "null", "", "pty:x", "connection=pty", "connection=wire,name=a" };
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		expect_refusal(WORDS("--kernel=k", "--channel", bad[i]), "--channel");
	expect_refusal(WORDS("--kernel=k", "--channel=pty", "--channel=pty", "--channel=pty", "--channel=pty", "--channel=pty",
			     "--channel=pty", "--channel=pty", "--channel=pty", "--channel=pty", "--channel=pty"), "too many");
}

static void test_shares(void)
{
	static const char *const targets[] = { "/a", "b,c", "/d" }, *const labels[] = { "share", "my.label", "share3" },
				*const vdevs[] = { "xvdz", "xvdy", "xvdx" };
	struct vm_config config;

	parse_ok(&config, WORDS("--kernel=k", "--share=/a", "--disk=disk", "--share=b,c,label=my.label", "--share", "/d"));
	g_assert_cmpuint(config.disks->len, ==, 4);
	for (guint i = 0; i < 3; i++) {
		const struct disk_config *disk = config.disks->pdata[i + 1];

		g_assert_cmpstr(disk->target, ==, targets[i]);
		g_assert_cmpstr(disk->label, ==, labels[i]);
		g_assert_cmpstr(disk->vdev, ==, vdevs[i]);
		g_assert_true(disk->readonly);
	}
	vm_config_clear(&config);
	static const char *const bad[] = { "", ",label=a", "/a,label=", "/a,label=12345678901234567", "/a,label=a b", "/a,label=\n" };
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		expect_refusal(WORDS("--kernel=k", "--share", bad[i]), "--share");
	expect_refusal(WORDS("--kernel=k", "--share=/a", "--disk=d,vdev=xvdz"), "vdev");
}

/* A version is two numbers and a dot: no blanks, no signs. */
static void test_xen_version_junk(void)
{
	static const char *const junk[] = {" 4.17", "4. 17", "+4.17", "4.+17", "4.-0", "\t4.17", "-0004.1"};

	for (size_t i = 0; i < G_N_ELEMENTS(junk); i++)
		expect_refusal(WORDS("--kernel=k", "--xen-version", junk[i]), "--xen-version");
}

/* A refusal is one line, whatever the words were. */
static void test_refusals_with_newlines(void)
{
	static const char *const options[] = {"--name",        "--memory",     "--low-memory", "--vcpus",
					      "--timeout",     "--shim-entry", "--console",    "--xen-version",
					      "--on-poweroff", "--on-reboot",  "--on-crash"};

	for (size_t i = 0; i < G_N_ELEMENTS(options); i++)
		expect_refusal(WORDS("--kernel=k", options[i], "a\nb"), options[i]);
	expect_refusal(WORDS("--kernel=k", "guest.cfg", "stray\nword"), "stray");
	expect_refusal(WORDS("--kernel=k", "--no-such\noption"), "--no-such");
}

/* Bytes that are no text in the person's locale: refused by name, or taken. */
static void test_refusals_name_the_option_for_any_bytes(void)
{
	static const char *const options[] = {"--name",    "--memory",   "--vcpus",
					      "--console", "--on-crash", "--xen-version"};

	for (size_t i = 0; i < G_N_ELEMENTS(options); i++)
		expect_refusal(WORDS("--kernel=k", options[i], "\xff\xfe"), options[i]);
}

/* A CI job has no locale: what the guest's command line says must come through all the same, "exactly". */
static void test_append_in_the_c_locale(void)
{
	g_autofree char *locale = g_strdup(setlocale(LC_CTYPE, NULL));
	g_autoptr(GError) error = NULL;
	struct vm_config config;
	gboolean ok;

	setlocale(LC_CTYPE, "C");
	ok = parse(&config, WORDS("--kernel=k", "--append", "motd=ü"), &error);
	setlocale(LC_CTYPE, locale);
	g_assert_no_error(error);
	g_assert_true(ok);
	g_assert_cmpstr(config.guest_command_line, ==, "motd=ü");
	vm_config_clear(&config);
}

/* Any words */

static char *mutate(const char *word)
{
	g_autoptr(GString) text = g_string_new(word);
	int n = g_test_rand_int_range(0, 3);

	for (int i = 0; i < n; i++) {
		gssize at = g_test_rand_int_range(0, (int)text->len + 1);

		switch (g_test_rand_int_range(0, 3)) {
		case 0:
			g_string_insert_c(text, at, (char)g_test_rand_int_range(32, 127));
			break;
		case 1:
			g_string_truncate(text, (gsize)at);
			break;
		default:
			if (at < (gssize)text->len)
				text->str[at] = (char)g_test_rand_int_range(32, 127);
			break;
		}
	}
	return g_strdup(text->str);
}

/* What every configuration promises to those who use it. */
static void check_promises(const struct vm_config *config)
{
	g_assert_nonnull(config->kernel_path);
	g_assert_nonnull(config->guest_command_line);
	g_assert_nonnull(config->name);
	g_assert_cmpuint(strlen(config->name), >=, 1);
	g_assert_cmpuint(strlen(config->name), <=, VM_CONFIG_NAME_MAX);
	g_assert_cmpuint(strspn(config->name, NAME_CHARACTERS), ==, strlen(config->name));
	g_assert_cmpstr(config->name, !=, ".");
	g_assert_cmpstr(config->name, !=, "..");
	g_assert_cmpuint(config->memory_bytes, >, 0);
	g_assert_cmpuint(config->memory_bytes % (2 * MIB), ==, 0);
	g_assert_cmpuint(config->low_memory_bytes, >, 0);
	g_assert_cmpuint(config->low_memory_bytes % (2 * MIB), ==, 0);
	g_assert_cmpuint(config->n_vcpus, >=, 1);
	g_assert_cmpuint(config->n_vcpus, <=, 32);
	g_assert_cmpuint(config->timeout_s, <=, G_MAXINT);
	g_assert_cmpuint(config->xen_version >> 16, >, 0);
	g_assert_true(config->console <= CONSOLE_NULL);
	g_assert_true((config->console == CONSOLE_FILE || config->console == CONSOLE_SOCKET) ==
		      (config->console_path != NULL));
}

static void test_any_words(void)
{
	static const char *const words[] = {
		"--kernel=k",
		"--kernel",
		"-k",
		"k",
		"--initrd=i",
		"--append=a b",
		"--memory=64",
		"-m",
		"4G",
		"--low-memory=1G",
		"--vcpus=4",
		"--vcpus=33",
		"--name=n",
		"--shim=s",
		"--shim-append=x",
		"--shim-entry=pvh",
		"--console=file:f",
		"--console=socket:s",
		"--console",
		"pty",
		"--console-log=c",
		"--shim-log=l",
		"--timeout=5",
		"--on-poweroff=restart",
		"--on-reboot=stop",
		"--on-crash=destroy",
		"--report=r",
		"--xen-version=4.19",
		"--dry-run",
		"--",
		"-",
		"",
		"stray",
		"-kk",
		"-c2",
		"--symbols=s",
		"--type=pvh",
		"--type=pv",
	};
	unsigned int n_accepted = 0, n_refused = 0;

	for (unsigned int round = 0; round < 20000; round++) {
		g_autoptr(GPtrArray) line = g_ptr_array_new_with_free_func(g_free);
		g_autoptr(GError) error = NULL;
		struct vm_config config;
		int n = g_test_rand_int_range(0, 9);

		g_ptr_array_add(line, g_strdup("run"));
		if (g_test_rand_int_range(0, 4))
			g_ptr_array_add(line, g_strdup("--kernel=k"));
		for (int i = 0; i < n; i++) {
			const char *word = words[g_test_rand_int_range(0, (int)G_N_ELEMENTS(words))];
			g_autofree char *other = g_test_rand_int_range(0, 8) ? g_strdup(word) : mutate(word);

			g_ptr_array_add(line, g_steal_pointer(&other));
		}
		g_ptr_array_add(line, NULL);
		if (parse(&config, (const char *const *)line->pdata, &error)) {
			g_assert_no_error(error);
			if (!config.help)
				check_promises(&config);
			vm_config_clear(&config);
			n_accepted++;
		} else {
			/* A word that is no option is a file of a guest, and there is none. */
			g_assert_true(g_error_matches(error, DOM1_ERROR, DOM1_STATUS_USAGE) ||
				      g_error_matches(error, DOM1_ERROR, DOM1_STATUS_FILE));
			g_assert_null(strchr(error->message, '\n'));
			n_refused++;
		}
		g_assert_true(is_clear(&config));
	}
	g_assert_cmpuint(n_accepted, >, 1000);
	g_assert_cmpuint(n_refused, >, 1000);
}

/* In front of what the person said, whose words so win; and never a line that would be refused for its length. */
static void test_auto_append(void)
{
	g_autofree char *few = auto_append_disk_words("console=hvc0 -- x", 4), *many = auto_append_disk_words("", 5);
	g_autofree char *own = g_strnfill(1023 - strlen(few), 'a'), *full = auto_append_disk_words(own, 1);

	g_assert_true(g_str_has_prefix(few, "xen_blkfront.max_indirect_segments=256 xen_blkfront.max_ring_page_order=2 console"));
	g_assert_true(g_str_has_suffix(few, " console=hvc0 -- x"));
	g_assert_null(strstr(few, "max_queues"));
	g_assert_true(g_str_has_suffix(many, " xen_blkfront.max_queues=8"));
	g_assert_cmpuint(strlen(full), <=, 1023);
	for (size_t i = strlen(own); i <= 1023; i++) {
		g_autofree char *longer = g_strnfill(i, 'a'), *line = auto_append_disk_words(longer, 8);

		g_assert_cmpuint(strlen(line), <=, 1023);
		g_assert_true(g_str_has_suffix(line, longer));
	}
}

static void test_help(void)
{
	struct vm_config config;

	g_assert_true(parse(&config, WORDS("--help"), NULL));
	g_assert_nonnull(strstr(config.help, "--kernel"));
	g_assert_nonnull(strstr(config.help, "--xen-version"));
	vm_config_clear(&config);
}

int main(int argc, char **argv)
{
	setlocale(LC_CTYPE, "C.UTF-8"); /* as main() of dom1 does where the person has a locale */
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/vm_config/sizes", test_sizes);
	g_test_add_func("/vm_config/defaults", test_defaults);
	g_test_add_func("/vm_config/default-names", test_default_names);
	g_test_add_func("/vm_config/texts", test_texts);
	g_test_add_func("/vm_config/values", test_values);
	g_test_add_func("/vm_config/console-paths", test_console_paths);
	g_test_add_func("/vm_config/names", test_names);
	g_test_add_func("/vm_config/refusals", test_refusals);
	g_test_add_func("/vm_config/dump", test_dump);
	g_test_add_func("/vm_config/disks", test_disks);
	g_test_add_func("/vm_config/nets", test_nets);
	g_test_add_func("/vm_config/lend-windows", test_lend_windows);
	g_test_add_func("/vm_config/channels", test_channels);
	g_test_add_func("/vm_config/shares", test_shares);
	g_test_add_func("/vm_config/xen-version-junk", test_xen_version_junk);
	g_test_add_func("/vm_config/refusals-with-newlines", test_refusals_with_newlines);
	g_test_add_func("/vm_config/refusals-name-the-option-for-any-bytes",
			test_refusals_name_the_option_for_any_bytes);
	g_test_add_func("/vm_config/append-in-the-c-locale", test_append_in_the_c_locale);
	g_test_add_func("/vm_config/any-words", test_any_words);
	g_test_add_func("/vm_config/auto-append", test_auto_append);
	g_test_add_func("/vm_config/help", test_help);
	return g_test_run();
}
