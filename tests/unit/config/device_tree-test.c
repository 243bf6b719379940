// SPDX-License-Identifier: MIT
/*
 * device_tree.c and device_tree_dump.c: what is dumped is read back the same, Xen's own examples with file names in
 * place of addresses, every message, and bytes that are no tree.
 */
#include <stddef.h>
#include <string.h>

#include <glib.h>
#include <libfdt.h>

#include "config/config_builders.h"
#include "config/device_tree.h"
#include "config/device_tree_keys.h"
#include "vmm/error.h"

#define KIB        UINT64_C(1024)
#define ROOM_BYTES 65536
#define N_RANDOM   3000
#define N_MUTATED  10000

static GPtrArray *warnings_new(void)
{
	return g_ptr_array_new_with_free_func(g_free);
}

/* Trees */

static void set_string(void *fdt, int node, const char *name, const char *text)
{
	g_assert_cmpint(fdt_setprop(fdt, node, name, text, (int)strlen(text) + 1), ==, 0);
}

/* A tree to edit: /chosen/domU1 with a kernel, as in Xen's documentation. */
static void *tree_new(const char *parent)
{
	static const char kernel[] = "multiboot,kernel\0multiboot,module";
	void *fdt = g_malloc0(ROOM_BYTES);

	g_assert_cmpint(fdt_create_empty_tree(fdt, ROOM_BYTES), ==, 0);
	int node = fdt_add_subnode(fdt, 0, "chosen");
	if (strcmp(parent, "chosen") != 0) {
		node = fdt_add_subnode(fdt, node, parent);
		set_string(fdt, node, "compatible", "hypervisor,xen");
	}
	node = fdt_add_subnode(fdt, node, "domU1");
	set_string(fdt, node, "compatible", "xen,domain");
	node = fdt_add_subnode(fdt, node, "module@4a000000");
	g_assert_cmpint(fdt_setprop(fdt, node, "compatible", kernel, sizeof(kernel)), ==, 0);
	set_string(fdt, node, "dom1,path", "/boot/vmlinuz");
	return fdt;
}

static int domain_of(const void *fdt)
{
	int node = fdt_path_offset(fdt, "/chosen/domU1");

	return node >= 0 ? node : fdt_path_offset(fdt, "/chosen/hypervisor/domU1");
}

static int kernel_of(const void *fdt)
{
	return fdt_subnode_offset(fdt, domain_of(fdt), "module");
}

static int add_module(void *fdt, const char *name, const char *compatible, const char *path)
{
	int node = fdt_add_subnode(fdt, domain_of(fdt), name);

	set_string(fdt, node, "compatible", compatible);
	if (path)
		set_string(fdt, node, "dom1,path", path);
	return node;
}

static struct guest_config *parse(const void *bytes, size_t len_bytes, GPtrArray *warnings, GError **error)
{
	struct guest_config *config = NULL;

	return device_tree_parse(bytes, len_bytes, "guest.dtb", &config, warnings, error) ? config : NULL;
}

/* Takes fdt. */
static struct guest_config *parse_good(void *fdt)
{
	g_autofree void *tree = fdt;
	g_autoptr(GPtrArray) warnings = warnings_new();
	g_autoptr(GError) error = NULL;
	struct guest_config *config = parse(tree, fdt_totalsize(tree), warnings, &error);

	if (error)
		g_error("%s", error->message);
	if (warnings->len)
		g_error("%s", (char *)warnings->pdata[0]);
	return config;
}

/* Forms */

static void test_minimal(void)
{
	struct guest_config *config = parse_good(tree_new("chosen"));

	g_assert_cmpstr(config->kernel.value, ==, "/boot/vmlinuz");
	g_assert_cmpstr(config->kernel.origin.file, ==, "guest.dtb");
	g_assert_cmpuint(config->kernel.origin.line, ==, 0);
	g_assert_null(config->ramdisk.value);
	g_assert_null(config->cmdline.value);
	g_assert_null(config->memory_bytes.origin.file);
	g_assert_null(config->type.origin.file);
	guest_config_free(config);
}

/* The domU of docs/misc/arm/device-tree/booting.txt. */
static void test_dom0less(void)
{
	void *fdt = tree_new("chosen");
	int node = domain_of(fdt);

	fdt_setprop_u32(fdt, node, "#address-cells", 2);
	fdt_setprop_u32(fdt, node, "#size-cells", 1);
	fdt_setprop_u64(fdt, node, "memory", 131072);
	fdt_setprop_u32(fdt, node, "cpus", 2);
	fdt_setprop_u32(fdt, node, "max_grant_frames", 32);
	set_string(fdt, kernel_of(fdt), "bootargs", "console=hvc0 init=/bin/sh");
	fdt_setprop_u64(fdt, kernel_of(fdt), "reg", 0x4a000000);
	node = add_module(fdt, "module@4b000000", "multiboot,ramdisk", NULL);
	set_string(fdt, node, "xen,uefi-binary", "initrd.img");
	/* The rest of /chosen and of the tree is the host's. */
	set_string(fdt, fdt_path_offset(fdt, "/chosen"), "bootargs", "host");
	fdt_add_subnode(fdt, fdt_path_offset(fdt, "/chosen"), "other");
	struct guest_config *config = parse_good(fdt);

	g_assert_cmpuint(config->memory_bytes.value, ==, 128 << 20);
	g_assert_cmpuint(config->vcpus.value, ==, 2);
	g_assert_cmpuint(config->max_grant_frames.value, ==, 32);
	g_assert_cmpstr(config->cmdline.value, ==, "console=hvc0 init=/bin/sh");
	g_assert_cmpstr(config->ramdisk.value, ==, "initrd.img");
	guest_config_free(config);
}

/* docs/designs/launch/hyperlaunch-devicetree.rst */
static void test_hyperlaunch(void)
{
	static const uint8_t uuid[CONFIG_UUID_BYTES] = { 0xb3, 0xfb, [15] = 1 };
	static const char compatible[] = "module,kernel\0multiboot,module";
	void *fdt = tree_new("hypervisor");
	int node = domain_of(fdt);

	fdt_setprop_u32(fdt, node, "domid", 0);
	fdt_setprop_u32(fdt, node, "permissions", 0);
	fdt_setprop_u32(fdt, node, "functions", 0);
	fdt_setprop_u32(fdt, node, "mode", 5);
	fdt_setprop(fdt, node, "domain-uuid", uuid, sizeof(uuid));
	fdt_setprop_u64(fdt, node, "memory", 0x20000);
	fdt_setprop(fdt, kernel_of(fdt), "compatible", compatible, sizeof(compatible));
	fdt_setprop_u32(fdt, kernel_of(fdt), "mb-index", 3);
	add_module(fdt, "module@1", "module,ramdisk", "/initrd");
	fdt_add_subnode(fdt, fdt_path_offset(fdt, "/chosen/hypervisor"), "config");
	struct guest_config *config = parse_good(fdt);

	g_assert_cmpuint(config->type.value, ==, CONFIG_TYPE_PV);
	g_assert_cmpstr(config->uuid.value, ==, "b3fb0000-0000-0000-0000-000000000001");
	g_assert_cmpuint(config->memory_bytes.value, ==, 128 << 20);
	g_assert_cmpstr(config->ramdisk.value, ==, "/initrd");
	guest_config_free(config);

	fdt = tree_new("hypervisor");
	fdt_setprop_u32(fdt, domain_of(fdt), "mode", 4);
	config = parse_good(fdt);
	g_assert_cmpint(guest_config_type(config), ==, CONFIG_TYPE_PVH);
	guest_config_free(config);
}

static void test_precedence(void)
{
	void *fdt = tree_new("chosen");

	set_string(fdt, kernel_of(fdt), "xen,uefi-binary", "not-this.efi");
	set_string(fdt, domain_of(fdt), "bootargs", "quiet");
	struct guest_config *config = parse_good(fdt);
	g_assert_cmpstr(config->kernel.value, ==, "/boot/vmlinuz");
	g_assert_cmpstr(config->cmdline.value, ==, "quiet");
	guest_config_free(config);
}

/* Messages */

/* A property set in the domain's node, or with kernel in its kernel's, and what the error says after the file. */
struct property_case {
	const char *name;
	const char *bytes;
	int len_bytes;
	const char *message; /* "!" before it: it is the only warning */
	gboolean kernel;
};

#define BYTES(text)    text, sizeof(text) - 1
#define STRING(text)   text, sizeof(text)
#define NO_PASSTHROUGH "dom1 gives no devices of the host to a guest: leave it out"
#define ORDINARY       "dom1's guest is an ordinary domain, alone: give 0, or leave it out"

static const struct property_case PROPERTIES[] = {
	{ "memory", BYTES("\0\0\0\1"), "memory: it has 4 bytes: give 2 32-bit cells" },
	{ "memory", BYTES("\0\0\0\0\0\0\0\0"),
	  "memory: this is no amount of memory a guest can have: give at least 1 and less than 8 EiB" },
	{ "memory", BYTES("\xff\0\0\0\0\0\0\0"),
	  "memory: this is no amount of memory a guest can have: give at least 1 and less than 8 EiB" },
	{ "cpus", BYTES(""), "cpus: it has 0 bytes: give 1 32-bit cell" },
	{ "cpus", BYTES("\0\0\0\x21"), "cpus: 33 is out of range: give a number from 1 to 32" },
	{ "domain-uuid", BYTES("\1\2"), "domain-uuid: it has 2 bytes: give 16" },
	{ "dom1,name", BYTES("a"), "dom1,name: it is not one string: give one, in quotes" },
	{ "dom1,name", BYTES(""), "dom1,name: it is not one string: give one, in quotes" },
	{ "dom1,name", STRING("a\0b"), "dom1,name: it is not one string: give one, in quotes" },
	{ "dom1,name", STRING("a/b"),
	  "dom1,name: \"a/b\" is no name for a domain: give 1 to 32 of the characters A-Z a-z 0-9 . _ -" },
	{ "dom1,name", STRING(""), "dom1,name: it is empty: give a value, or leave it out" },
	{ "dom1,on-crash", STRING("burn"),
	  "dom1,on-crash: \"burn\" is no such word: give one of destroy, restart, preserve" },
	{ "dom1,firmware", STRING("uefi"), "dom1,firmware: \"uefi\" is no such word: give one of pvgrub32, pvgrub64" },
	{ "dom1,firmware", STRING("pvgrub64"),
	  "firmware: there is a kernel too, and only one of them can start: leave one out" },
	{ "dom1,pvshim", BYTES("\0\0\0\2"), "dom1,pvshim: 2 is out of range: give a number from 0 to 1" },
	{ "dom1,cpus", STRING("x"), "dom1,cpus: \"x\" is no list of CPUs: give one such as 0-3,^1 or all" },
	{ "dom1,vcpu-cpus", STRING("0\0-"),
	  "dom1,vcpu-cpus: \"-\" is no list of CPUs: give one such as 0-3,^1 or all" },
	{ "dom1,vcpu-cpus", BYTES("0"),
	  "dom1,vcpu-cpus: it is no list of strings: give strings in quotes, with commas between" },
	{ "dom1,disk", BYTES(""), "dom1,disk: it is no list of strings: give strings in quotes, with commas between" },
	{ "dom1,disk", STRING("/x,ro\0/y,rw,ro"), "disk: access: given twice: leave one out" },
	{ "dom1,vif", STRING("user,tap"),
	  "vif: tap: an interface ends in one place only: give one of user, tap, bridge=, "
	  "socket:PATH, none" },
	{ "dom1,p9", STRING("tag=x"), "p9: \"tag=x\" has no path: give tag= and path=" },
	{ "dom1,channel", STRING("name=x"),
	  "channel: \"name=x\" has no connection: give connection=pty or connection=socket" },
	{ "mode", BYTES("\0"), "mode: it has 1 bytes: give 1 32-bit cell" },
	{ "mode", BYTES("\0\0\0\6"),
	  "mode: bit 1 asks for a device model, an HVM guest: dom1 runs PV and PVH guests, clear it" },
	{ "mode", BYTES("\0\0\1\1"), "mode: 0x101 has bits that mean nothing: give 5 for PV or 4 for PVH" },
	{ "functions", BYTES("\x80\0\0\0"), "functions: " ORDINARY },
	{ "permissions", BYTES("\0\0\0\3"), "permissions: " ORDINARY },
	{ "permissions", BYTES("\0\0"), "permissions: it has 2 bytes: give 1 32-bit cell" },
	{ "domid", BYTES("\0\0"), "domid: it has 2 bytes: give 1 32-bit cell" },
	{ "bootargs", BYTES("a"), "bootargs: it is not one string: give one, in quotes" },
	{ "bootargs", BYTES("a"), "bootargs: it is not one string: give one, in quotes", TRUE },
	{ "dom1,path", STRING(""), "kernel: it is empty: give a value, or leave it out", TRUE },
	{ "dom1,path", BYTES("\1"), "dom1,path: it is not one string: give one, in quotes", TRUE },
	{ "xen,uefi-binary", BYTES("\1"), "xen,uefi-binary: it is not one string: give one, in quotes", TRUE },

	{ "domid", BYTES("\0\0\x7f\xf5"), "!domid: ignored: the guest is domain 1" },
	{ "frob", BYTES(""), "!frob: ignored: no such property is known in a domain's node" },
	{ "type", BYTES(""), "!type: ignored: no such property is known in a domain's node" },
	{ "frob", BYTES(""), "!frob: ignored: no such property is known in the node of a kernel", TRUE },
	{ "dom1,pvshim", BYTES("\0\0\0\0"),
	  "!pvshim: 0 is ignored: here a PV guest always runs in the shim; for a guest without it say "
	  "type=\"pvh\"" },
	{ "dom1,disk", STRING("/x,trusted"), "!disk: trusted: ignored: the back end is dom1's own" },
};

static void check_message(const void *fdt, const char *message)
{
	g_autoptr(GPtrArray) warnings = warnings_new();
	g_autoptr(GError) error = NULL;
	gboolean warned = message[0] == '!';
	g_autofree char *expected = g_strconcat("guest.dtb: ", message + warned, NULL);
	struct guest_config *config = parse(fdt, fdt_totalsize(fdt), warnings, &error);

	if ((config != NULL) != warned)
		g_error("expected %s: %s", expected, error ? error->message : "accepted");
	if (!warned)
		g_assert_error(error, DOM1_ERROR, DOM1_STATUS_FILE);
	g_assert_cmpuint(warnings->len, ==, warned ? 1 : 0);
	const char *actual = warned ? warnings->pdata[0] : error->message;
	g_assert_cmpstr(actual, ==, expected);
	assert_is_message(actual, "guest.dtb");
	guest_config_free(config);
}

static void test_properties(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(PROPERTIES); i++) {
		const struct property_case *c = &PROPERTIES[i];
		g_autofree void *fdt = tree_new("chosen");

		g_assert_cmpint(fdt_setprop(fdt, c->kernel ? kernel_of(fdt) : domain_of(fdt), c->name, c->bytes,
					    c->len_bytes),
				==, 0);
		check_message(fdt, c->message);
	}
}

static void test_known_keys(void)
{
	size_t n_keys;
	const struct device_tree_key *keys = device_tree_key_table(&n_keys);

	for (size_t i = 0; i < n_keys; i++) {
		g_autofree void *fdt = tree_new("chosen");
		g_autofree char *message = g_strdup_printf("%s%s: %s%s", keys[i].refused ? "" : "!", keys[i].name,
							   keys[i].refused ? "" : "ignored: ", keys[i].why);

		fdt_setprop_empty(fdt, domain_of(fdt), keys[i].name);
		check_message(fdt, message);
	}
}

static void test_nodes(void)
{
	static const struct {
		const char *compatible, *path, *message;
	} cases[] = {
		{ "multiboot,kernel", "/x", "kernel: there are two such modules: leave one out" },
		{ "xen,linux-zimage", "/x", "kernel: there are two such modules: leave one out" },
		{ "module,ramdisk", NULL,
		  "ramdisk: the module's node has no dom1,path: dom1 reads a file, give its name there" },
		{ "multiboot,device-tree", "/x",
		  "m: a device tree for the guest gives it devices of the host, which dom1 does not: leave "
		  "the module out" },
		{ "module,device-tree", "/x",
		  "m: a device tree for the guest gives it devices of the host, which dom1 does not: leave "
		  "the module out" },
		{ "multiboot,module", "/x",
		  "m: this module is neither kernel nor ramdisk: say \"multiboot,kernel\" or "
		  "\"multiboot,ramdisk\" in its compatible property" },
		{ "xen,multiboot-module", "/x",
		  "m: this module is neither kernel nor ramdisk: say \"multiboot,kernel\" or "
		  "\"multiboot,ramdisk\" in its compatible property" },
		{ "frob", "/x", "!m: ignored: no such node is known below a domain's" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree void *fdt = tree_new("chosen");

		add_module(fdt, "m", cases[i].compatible, cases[i].path);
		check_message(fdt, cases[i].message);
	}
	g_autofree void *fdt = tree_new("chosen");
	int node = add_module(fdt, "m", "xen,linux-initrd", "/x");
	set_string(fdt, node, "bootargs", "x");
	check_message(fdt, "!bootargs: ignored: no such property is known in the node of a ramdisk");
}

static void test_contradictions(void)
{
	g_autofree void *fdt = tree_new("chosen"), *cpus = tree_new("chosen"), *memory = tree_new("chosen");

	set_string(fdt, kernel_of(fdt), "bootargs", "a");
	set_string(fdt, domain_of(fdt), "bootargs", "b");
	check_message(fdt, "bootargs: they are in the domain's node and in its kernel's: leave one out");
	set_string(cpus, domain_of(cpus), "dom1,cpus", "0");
	set_string(cpus, domain_of(cpus), "dom1,vcpu-cpus", "0");
	check_message(cpus, "dom1,cpus and dom1,vcpu-cpus: both pin vCPUs: leave one out");
	fdt_setprop_u64(memory, domain_of(memory), "memory", 2);
	fdt_setprop_u64(memory, domain_of(memory), "dom1,maxmem", 1);
	check_message(memory, "maxmem: it is less than memory: raise it, or leave it out");
}

static void test_domains(void)
{
	g_autofree void *none = tree_new("chosen"), *two = tree_new("hypervisor"), *bare = g_malloc0(ROOM_BYTES);

	fdt_del_node(none, domain_of(none));
	check_message(none, "device tree: there is no domain in it: give /chosen a node compatible with "
			    "\"xen,domain\"");
	fdt_create_empty_tree(bare, ROOM_BYTES);
	check_message(bare, "device tree: there is no domain in it: give /chosen a node compatible with "
			    "\"xen,domain\"");
	int node = fdt_add_subnode(two, fdt_path_offset(two, "/chosen"), "domU2");
	set_string(two, node, "compatible", "xen,domain");
	check_message(two, "device tree: there are 2 domains in it: dom1 runs one, leave one there");
}

/* The sequential writer does not look for doubles: so this tree is made by it. */
static void test_property_twice(void)
{
	g_autofree void *fdt = g_malloc0(ROOM_BYTES);

	fdt_create(fdt, ROOM_BYTES);
	fdt_finish_reservemap(fdt);
	fdt_begin_node(fdt, "");
	fdt_begin_node(fdt, "chosen");
	fdt_begin_node(fdt, "x");
	fdt_property_string(fdt, "compatible", "xen,domain");
	fdt_property_u32(fdt, "cpus", 1);
	fdt_property_u32(fdt, "cpus", 2);
	for (unsigned int i = 0; i < 3; i++)
		fdt_end_node(fdt);
	g_assert_cmpint(fdt_finish(fdt), ==, 0);
	check_message(fdt, "cpus: it is given twice in one node: leave one out");
}

static void check_damaged(const void *bytes, size_t len_bytes, const char *message)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(parse(bytes, len_bytes, NULL, &error));
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_FILE);
	g_assert_cmpstr(error->message, ==, message);
}

static void test_damaged(void)
{
	g_autofree uint8_t *large = g_malloc0(GUEST_CONFIG_MAX_BYTES + 1);

	check_damaged("", 0,
		      "guest.dtb: device tree: it is damaged or none (libfdt: FDT_ERR_TRUNCATED): compile it with "
		      "dtc -O dtb");
	check_damaged(large, GUEST_CONFIG_MAX_BYTES,
		      "guest.dtb: device tree: it is damaged or none (libfdt: FDT_ERR_BADMAGIC): compile it with dtc "
		      "-O dtb");
	check_damaged(large, GUEST_CONFIG_MAX_BYTES + 1,
		      "guest.dtb: device tree: it is longer than 1024 KiB: is this the right file?");
}

/* The property that fdt_check_full() of libfdt 1.6.1 reads again and again: its length leads back to where it begins. */
static void test_endless(void)
{
	static const char value[] = "xen,domain";
	static const uint32_t lengths[] = { 0xfffffff4, 0xffffffff, 0x7fffffff, 0x80000000, 1000 };
	uint8_t fdt[ROOM_BYTES] = { 0 };
	uint8_t *at;

	fdt_create(fdt, sizeof(fdt));
	fdt_finish_reservemap(fdt);
	fdt_begin_node(fdt, "");
	fdt_property(fdt, "compatible", value, sizeof(value));
	fdt_end_node(fdt);
	g_assert_cmpint(fdt_finish(fdt), ==, 0);
	at = memmem(fdt, sizeof(fdt), value, sizeof(value));
	g_assert_nonnull(at);
	for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
		/* Before the value are the length and the name's place. */
		const uint32_t length = GUINT32_TO_BE(lengths[i]);

		memcpy(at - 8, &length, sizeof(length));
		check_damaged(fdt, fdt_totalsize(fdt),
			      "guest.dtb: device tree: it is damaged or none (libfdt: FDT_ERR_BADSTRUCTURE): compile it with "
			      "dtc -O dtb");
	}
}

/* The tree that fdt_check_full() of libfdt 1.6.1 falls over. */
static void test_old_version(void)
{
	g_autofree struct fdt_header *fdt = tree_new("chosen");

	fdt_set_version(fdt, 15);
	fdt_set_last_comp_version(fdt, 2);
	check_damaged(fdt, ROOM_BYTES,
		      "guest.dtb: device tree: it is damaged or none (libfdt: FDT_ERR_BADVERSION): compile it with "
		      "dtc -O dtb");
}

static void test_alignment(void)
{
	g_autofree void *fdt = tree_new("chosen");
	g_autofree char *bytes = g_malloc(ROOM_BYTES + 8);

	for (unsigned int shift = 0; shift < 8; shift++) {
		memcpy(bytes + shift, fdt, ROOM_BYTES);
		struct guest_config *config = parse(bytes + shift, ROOM_BYTES, NULL, NULL);
		g_assert_cmpstr(config->kernel.value, ==, "/boot/vmlinuz");
		guest_config_free(config);
	}
}

/* There and back */

static GBytes *dump(const struct guest_config *config)
{
	g_autoptr(GError) error = NULL;
	GBytes *bytes = device_tree_dump(config, &error);

	if (!bytes)
		g_error("%s", error->message);
	return bytes;
}

static void test_round_trip(void)
{
	for (unsigned int i = 0; i < N_RANDOM; i++) {
		struct guest_config *config = random_config(KIB), *again = NULL;
		g_autoptr(GPtrArray) warnings = warnings_new();
		g_autoptr(GBytes) bytes = dump(config);
		g_autoptr(GError) error = NULL;
		size_t len_bytes;
		const void *tree = g_bytes_get_data(bytes, &len_bytes);

		again = parse(tree, len_bytes, warnings, &error);
		if (!again)
			g_error("%s", error->message);
		assert_same_config(config, again);
		for (unsigned int j = 0; j < warnings->len; j++) /* what has no effect is dumped too */
			g_assert_nonnull(strstr(warnings->pdata[j], "pvshim"));
		/* The same in bytes: nothing of the first reading is lost or added in a second. */
		g_autoptr(GBytes) bytes_again = dump(again);
		g_assert_true(g_bytes_equal(bytes, bytes_again));
		guest_config_free(config);
		guest_config_free(again);
	}
}

/* TRUE: a command line of this length fits, and came back. */
static gboolean dump_long(unsigned int len_bytes)
{
	struct guest_config *config = guest_config_new("long"), *again = NULL;
	g_autoptr(GError) error = NULL;

	config->cmdline = (struct config_text){ g_strnfill(len_bytes, 'x'), { "long", 1, 1 } };
	g_autoptr(GBytes) bytes = device_tree_dump(config, &error);
	if (bytes) {
		again = parse(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), NULL, &error);
		g_assert_no_error(error);
		assert_same_config(config, again);
	} else {
		g_assert_error(error, DOM1_ERROR, DOM1_STATUS_FILE);
		g_assert_cmpstr(error->message, ==,
				"long: device tree: it would be longer than 1024 KiB: shorten the command line or the "
				"lists");
	}
	guest_config_free(config);
	guest_config_free(again);
	return bytes != NULL;
}

/* Longer than the first room; at the edge, where what fits must also be read; and far beyond. */
static void test_dump_length(void)
{
	const unsigned int edge_bytes = GUEST_CONFIG_MAX_BYTES - 400;
	gboolean fits = TRUE;

	for (unsigned int len_bytes = 1; len_bytes < edge_bytes; len_bytes = len_bytes * 3 + 1)
		g_assert_true(dump_long(len_bytes));
	for (unsigned int len_bytes = edge_bytes; len_bytes < GUEST_CONFIG_MAX_BYTES; len_bytes += 4) {
		gboolean fitted = fits;

		fits = dump_long(len_bytes);
		g_assert_true(fitted || !fits);
	}
	g_assert_false(fits);
	g_assert_false(dump_long(3 * GUEST_CONFIG_MAX_BYTES));
}

static void test_dump_memory(void)
{
	struct guest_config *config = guest_config_new("--memory");
	g_autoptr(GError) error = NULL;

	config->memory_bytes = (struct config_number){ 1025, { "--memory", 0, 0 } };
	g_assert_null(device_tree_dump(config, &error));
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_USAGE);
	g_assert_cmpstr(error->message, ==,
			"--memory: memory: it is not whole KiB, which a device tree counts in: round it up");
	guest_config_free(config);
}

/* What Xen's binding says of a dumped tree, read by libfdt alone. */
static void test_dump_is_xens(void)
{
	struct guest_config *config = guest_config_new("x");
	const struct config_origin origin = { "x", 1, 1 };
	int len;

	config->kernel = (struct config_text){ g_strdup("/k"), origin };
	config->cmdline = (struct config_text){ g_strdup("quiet"), origin };
	config->memory_bytes = (struct config_number){ 512 << 20, origin };
	config->vcpus = (struct config_number){ 3, origin };
	config->type = (struct config_number){ CONFIG_TYPE_PV, origin };
	g_autoptr(GBytes) bytes = dump(config);
	const void *fdt = g_bytes_get_data(bytes, NULL);
	int node = fdt_path_offset(fdt, "/chosen/domU1");
	g_assert_cmpint(fdt_node_check_compatible(fdt, node, "xen,domain"), ==, 0);
	g_assert_cmpuint(fdt64_ld(fdt_getprop(fdt, node, "memory", &len)), ==, 512 << 10);
	g_assert_cmpuint(fdt32_ld(fdt_getprop(fdt, node, "cpus", &len)), ==, 3);
	g_assert_cmpuint(fdt32_ld(fdt_getprop(fdt, node, "mode", &len)), ==, 5);
	node = fdt_subnode_offset(fdt, node, "kernel");
	g_assert_cmpint(fdt_node_check_compatible(fdt, node, "multiboot,kernel"), ==, 0);
	g_assert_cmpint(fdt_node_check_compatible(fdt, node, "multiboot,module"), ==, 0);
	g_assert_cmpstr(fdt_getprop(fdt, node, "dom1,path", &len), ==, "/k");
	g_assert_cmpstr(fdt_getprop(fdt, node, "bootargs", &len), ==, "quiet");
	guest_config_free(config);
}

/* Hostile bytes */

static gboolean survive(const void *bytes, size_t len_bytes)
{
	g_autofree char *exact = g_memdup2(bytes, len_bytes);
	g_autoptr(GPtrArray) warnings = warnings_new();
	g_autoptr(GError) error = NULL;
	struct guest_config *config = parse(exact, len_bytes, warnings, &error);

	g_assert_true((config != NULL) == (error == NULL));
	if (error)
		assert_is_message(error->message, "guest.dtb");
	for (unsigned int i = 0; i < warnings->len; i++)
		assert_is_message(warnings->pdata[i], "guest.dtb");
	guest_config_free(config);
	return error == NULL;
}

static void test_prefixes(void)
{
	for (unsigned int i = 0; i < 5; i++) {
		struct guest_config *config = random_config(KIB);
		g_autoptr(GBytes) bytes = dump(config);
		size_t len_bytes;
		const void *tree = g_bytes_get_data(bytes, &len_bytes);

		for (size_t n = 0; n < len_bytes; n++)
			g_assert_false(survive(tree, n));
		g_assert_true(survive(tree, len_bytes));
		guest_config_free(config);
	}
}

static const char *const WORDS[] = { "\xd0\x0d\xfe\xed",
				     "\x01",
				     "\xff\xff\xff\xff",
				     "\x7f\xff\xff\xff",
				     "compatible",
				     "xen,domain",
				     "dom1,disk",
				     "memory",
				     "hypervisor,xen",
				     "multiboot,module",
				     "chosen",
				     "\n\x1b",
				     NULL };

/* The cells of the header and of the structure's tags are where a reader goes wrong: they get more than their share. */
static void damage_cell(GByteArray *bytes)
{
	static const uint32_t values[] = { 0, 1, 2, 3, 4, 9, 16, 17, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff };
	unsigned int n_cells = bytes->len / 4;
	unsigned int cell =
		(unsigned int)g_test_rand_int_range(0, g_test_rand_bit() ? MIN(10, (gint32)n_cells) : (gint32)n_cells);
	uint32_t value = GUINT32_TO_BE(values[g_test_rand_int_range(0, G_N_ELEMENTS(values))]);

	memcpy(bytes->data + 4 * cell, &value, sizeof(value));
}

static void test_mutations(void)
{
	unsigned int n_good = 0;

	for (unsigned int i = 0; i < 2 * N_MUTATED; i++) {
		struct guest_config *config = random_config(KIB);
		g_autoptr(GBytes) bytes = dump(config);
		size_t len_bytes;
		const void *tree = g_bytes_get_data(bytes, &len_bytes);
		g_autoptr(GByteArray) mutated = NULL;

		if (i % 2) {
			mutated = mutate(tree, len_bytes, WORDS);
		} else {
			mutated = g_byte_array_new();
			g_byte_array_append(mutated, tree, (unsigned int)len_bytes);
			for (unsigned int n = 1 + i % 3; n > 0; n--)
				damage_cell(mutated);
		}
		n_good += (unsigned int)survive(mutated->data, mutated->len);
		guest_config_free(config);
	}
	g_assert_cmpuint(n_good, >, N_MUTATED / 50);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/device_tree/minimal", test_minimal);
	g_test_add_func("/device_tree/dom0less", test_dom0less);
	g_test_add_func("/device_tree/hyperlaunch", test_hyperlaunch);
	g_test_add_func("/device_tree/precedence", test_precedence);
	g_test_add_func("/device_tree/messages/properties", test_properties);
	g_test_add_func("/device_tree/messages/known_keys", test_known_keys);
	g_test_add_func("/device_tree/messages/nodes", test_nodes);
	g_test_add_func("/device_tree/messages/contradictions", test_contradictions);
	g_test_add_func("/device_tree/messages/domains", test_domains);
	g_test_add_func("/device_tree/messages/property_twice", test_property_twice);
	g_test_add_func("/device_tree/messages/damaged", test_damaged);
	g_test_add_func("/device_tree/messages/endless", test_endless);
	g_test_add_func("/device_tree/messages/old_version", test_old_version);
	g_test_add_func("/device_tree/alignment", test_alignment);
	g_test_add_func("/device_tree/round_trip", test_round_trip);
	g_test_add_func("/device_tree/dump/length", test_dump_length);
	g_test_add_func("/device_tree/dump/memory", test_dump_memory);
	g_test_add_func("/device_tree/dump/is_xens", test_dump_is_xens);
	g_test_add_func("/device_tree/hostile/prefixes", test_prefixes);
	g_test_add_func("/device_tree/hostile/mutations", test_mutations);
	return g_test_run();
}
