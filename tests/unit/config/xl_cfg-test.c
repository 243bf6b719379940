// SPDX-License-Identifier: MIT
/*
 * xl_cfg.c and what is under it: every message, every key of the tables, the syntax, random configurations printed and
 * read back, and files that are none. Device specifications: xl_cfg_spec-test.c.
 */
#include <stddef.h>
#include <string.h>

#include <glib.h>

#include "config/config_builders.h"
#include "config/xl_cfg.h"
#include "config/xl_cfg_keys.h"
#include "vmm/error.h"

#define MIB       (UINT64_C(1) << 20)
#define N_RANDOM  2000
#define N_MUTATED 10000

static const char EXAMPLE[] = "# A guest.\n"
			      "name = \"web-1\"\ntype='pv'; uuid = \"01234567-89AB-cdef-0123-456789abcdef\"\nkernel = "
			      "\"/boot/vmlinuz\"\nramdisk = '/boot/initrd.img'\nroot = \"/dev/xvda1 ro\"\nextra = "
			      "\"console=hvc0\"\nmemory = 512\nmaxmem = \"0x400\"\n  vcpus = 02\nmaxvcpus = 4\ncpus = "
			      "[ \"0-3,^1\", 2, ]\ndisk = [ 'format=qcow2, vdev=xvda, access=rw, target=/images/a, "
			      "b.qcow2',\n         'phy:vg/data,xvdb,r',  # the data\n       ]\nvif = [ "
			      "'mac=00:16:3E:12:34:56,bridge=xenbr0,script=vif-bridge,ifname=web0,rate=10Mb/s@20ms', "
			      "'' ]\np9 = [ 'tag=share,path=/srv/share,security_model=none' ]\nchannel = [ "
			      "'connection=socket,name=org.example.agent,path=/run/agent' ]\non_poweroff = "
			      "'destroy'\non_reboot = 'restart'\non_crash = 'preserve'\non_watchdog = "
			      "'restart'\nmax_grant_frames = 64\nmax_event_channels = 1023\npvshim = 7\npvshim_path = "
			      "'/usr/lib/xen-4.17/boot/xen-shim'\npvshim_cmdline = 'pv-shim "
			      "console=xen,pv'\npvshim_extra = 'loglvl=all'";

static GPtrArray *warnings_new(void)
{
	return g_ptr_array_new_with_free_func(g_free);
}

static struct guest_config *parse(const char *text, GPtrArray *warnings, GError **error)
{
	struct guest_config *config = NULL;

	return xl_cfg_parse(text, strlen(text), "guest.cfg", &config, warnings, error) ? config : NULL;
}

/* Valid, and without a warning. */
static struct guest_config *parse_good(const char *text)
{
	g_autoptr(GPtrArray) warnings = warnings_new();
	g_autoptr(GError) error = NULL;
	struct guest_config *config = parse(text, warnings, &error);

	if (error)
		g_error("%s", error->message);
	if (warnings->len)
		g_error("%s", (char *)warnings->pdata[0]);
	return config;
}

static void assert_at(const struct config_origin *origin, unsigned int line, unsigned int column)
{
	g_assert_cmpstr(origin->file, ==, "guest.cfg");
	g_assert_cmpuint(origin->line, ==, line);
	g_assert_cmpuint(origin->column, ==, column);
}

/* What the example says */

static void assert_example_scalars(const struct guest_config *config)
{
	g_assert_cmpstr(config->name.value, ==, "web-1");
	assert_at(&config->name.origin, 2, 8);
	g_assert_cmpstr(config->uuid.value, ==, "01234567-89ab-cdef-0123-456789abcdef");
	assert_at(&config->uuid.origin, 3, 19);
	g_assert_cmpuint(config->type.value, ==, CONFIG_TYPE_PV);
	g_assert_cmpstr(config->kernel.value, ==, "/boot/vmlinuz");
	g_assert_cmpstr(config->ramdisk.value, ==, "/boot/initrd.img");
	g_assert_cmpstr(config->cmdline.value, ==, "root=/dev/xvda1 ro console=hvc0");
	assert_at(&config->cmdline.origin, 6, 8);
	g_assert_cmpuint(config->memory_bytes.value, ==, 512 * MIB);
	g_assert_cmpuint(config->maxmem_bytes.value, ==, 1024 * MIB);
	g_assert_cmpuint(config->vcpus.value, ==, 2);
	assert_at(&config->vcpus.origin, 10, 11);
	g_assert_cmpuint(config->maxvcpus.value, ==, 4);
	g_assert_cmpuint(config->on_poweroff.value, ==, CONFIG_ACTION_DESTROY);
	g_assert_cmpuint(config->on_reboot.value, ==, CONFIG_ACTION_RESTART);
	g_assert_cmpuint(config->on_crash.value, ==, CONFIG_ACTION_PRESERVE);
	g_assert_cmpuint(config->on_watchdog.value, ==, CONFIG_ACTION_RESTART);
	g_assert_cmpuint(config->max_grant_frames.value, ==, 64);
	g_assert_cmpuint(config->max_event_channels.value, ==, 1023);
	g_assert_cmpuint(config->pvshim.value, ==, 1);
	g_assert_cmpstr(config->pvshim_path.value, ==, "/usr/lib/xen-4.17/boot/xen-shim");
	g_assert_cmpstr(config->pvshim_cmdline.value, ==, "pv-shim console=xen,pv");
	g_assert_cmpstr(config->pvshim_extra.value, ==, "loglvl=all");
	g_assert_null(config->firmware.origin.file);
}

static void assert_example_devices(const struct guest_config *config)
{
	static const uint8_t mac[] = { 0x00, 0x16, 0x3e, 0x12, 0x34, 0x56 };

	g_assert_cmpuint(config->disks->len, ==, 2);
	const struct disk_config *disk = config->disks->pdata[0];
	g_assert_cmpstr(disk->raw, ==, "format=qcow2, vdev=xvda, access=rw, target=/images/a, b.qcow2");
	g_assert_cmpstr(disk->target, ==, "/images/a, b.qcow2");
	g_assert_cmpint(disk->format, ==, DISK_FORMAT_QCOW2);
	g_assert_false(disk->readonly);
	assert_at(&disk->origin, 13, 10);
	disk = config->disks->pdata[1];
	g_assert_cmpstr(disk->target, ==, "/dev/vg/data");
	g_assert_cmpstr(disk->vdev, ==, "xvdb");
	g_assert_true(disk->readonly);
	assert_at(&disk->origin, 14, 10);

	g_assert_cmpuint(config->vifs->len, ==, 2);
	const struct vif_config *vif = config->vifs->pdata[0];
	g_assert_cmpint(vif->kind, ==, VIF_BRIDGE);
	g_assert_true(memcmp(vif->mac, mac, sizeof(mac)) == 0);
	g_assert_cmpstr(vif->bridge, ==, "xenbr0");
	g_assert_cmpstr(vif->script, ==, "vif-bridge");
	g_assert_cmpstr(vif->ifname, ==, "web0");
	g_assert_cmpuint(vif->rate_bytes_per_s, ==, 1250000);
	g_assert_cmpuint(vif->rate_interval_us, ==, 20000);
	vif = config->vifs->pdata[1];
	g_assert_cmpint(vif->kind, ==, VIF_DEFAULT);
	g_assert_false(vif->has_mac);

	const struct p9_config *p9 = config->p9s->pdata[0];
	g_assert_cmpstr(p9->tag, ==, "share");
	g_assert_cmpstr(p9->path, ==, "/srv/share");
	const struct channel_config *channel = config->channels->pdata[0];
	g_assert_cmpstr(channel->name, ==, "org.example.agent");
	g_assert_cmpint(channel->connection, ==, CHANNEL_SOCKET);
	g_assert_cmpstr(channel->path, ==, "/run/agent");
}

static void test_example(void)
{
	struct guest_config *config = parse_good(EXAMPLE);

	assert_example_scalars(config);
	assert_example_devices(config);
	g_assert_true(config->cpus.each_vcpu);
	g_assert_cmpuint(config->cpus.lists->len, ==, 2);
	g_assert_cmpstr(config->cpus.lists->pdata[1], ==, "2");
	guest_config_free(config);
}

static void test_nothing(void)
{
	static const char *const texts[] = { "", "\n\n", "# nothing", ";;\n ; # x\n",
					     "disk = []; vif=[\n]\ncpus = []" };
	size_t n_fields;
	const struct config_field *fields = guest_config_fields(&n_fields);

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		struct guest_config *config = parse_good(texts[i]), *empty = guest_config_new("x");

		assert_same_config(config, empty);
		g_assert_cmpint(guest_config_type(config), ==, CONFIG_TYPE_PV);
		guest_config_free(config);
		guest_config_free(empty);
	}
	for (size_t i = 0; i < n_fields; i++)
		g_assert_null(xl_key_find(fields[i].key));
	guest_config_free(NULL);
	disk_config_free(NULL);
	vif_config_free(NULL);
	p9_config_free(NULL);
	channel_config_free(NULL);
}

/* Syntax */

static void test_strings(void)
{
	static const struct {
		const char *text, *value;
	} cases[] = {
		{ "cmdline = \"a 'b' # ; ] \\\"c\\\"\"", "a 'b' # ; ] \"c\"" },
		{ "cmdline = 'a \"b\" \\'c\\''", "a \"b\" 'c'" },
		{ "cmdline = '\\a\\b\\f\\n\\r\\t\\v\\\\'", "\a\b\f\n\r\t\v\\" },
		{ "cmdline = '\\x41\\x7e\\101\\1010\\7x\\xff'", "A~AA0\007x\xff" },
		{ "cmdline='\xc3\xa9\x01\t'", "\xc3\xa9\x01\t" },
		{ "cmdline=''", "" },
		{ "cmdline=007", "007" },
		{ "cmdline = 0x1f\r\n\r\n", "0x1f" },
		{ "cmdline = 'a'\ncmdline += \"b\" ; cmdline+='c'", "abc" },
		{ "cmdline += 'a'", "a" },
		{ "root = 'x'", "root=x" },
		{ "extra = 'x y'", "x y" },
		{ "root = ''\nextra = ''", "root= " },
		{ "extra = 'x'; root = 'y'", "root=y x" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct guest_config *config = parse_good(cases[i].text);

		g_assert_cmpstr(config->cmdline.value, ==, cases[i].value);
		guest_config_free(config);
	}
}

static void test_lists(void)
{
	static const char *const same[] = {
		"disk=['/a','/b']",
		"disk = [ '/a' , '/b' , ]",
		"disk = [\n\n'/a'\n,\n'/b'\n,\n]",
		"disk = [ # one\n '/a', # [two]\n\t\"/b\"\r\n]",
		"disk = ['/a']\ndisk += ['/b']",
		"disk += ['/a']\ndisk += []; disk += [ '/b', ]",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(same); i++) {
		struct guest_config *config = parse_good(same[i]);

		g_assert_cmpuint(config->disks->len, ==, 2);
		g_assert_cmpstr(((struct disk_config *)config->disks->pdata[0])->target, ==, "/a");
		g_assert_cmpstr(((struct disk_config *)config->disks->pdata[1])->target, ==, "/b");
		guest_config_free(config);
	}
}

/* Messages */

/* The text of a file, and what the error or the only warning says after "guest.cfg:". */
struct message_case {
	const char *text, *message;
};

static const struct message_case ERRORS[] = {
	/* Bytes and words. */
	{ "\nname = *", "2:8: '*': it has no meaning here: put a string in quotes, begin a comment with #" },
	{ "memory = -1", "1:10: '-': it has no meaning here: xl.cfg is not Python, a value is a string in quotes, a "
			 "number or a list" },
	{ "import os.path", "1:8: import: a bare word where = should be: write KEY = VALUE" },
	{ "name = \x80", "1:8: byte 0x80: it has no meaning here: is this a text file, in ASCII outside of strings?" },
	{ "memory = 512M", "1:10: 512M: neither a number nor a string: give digits alone (memory counts in MiB), or "
			   "put it in quotes" },
	{ "name = 'a\nb'", "1:8: string: it does not end on its line: close it with '" },
	{ "name = \"a", "1:8: string: it does not end on its line: close it with \"" },
	{ "name = 'a\\z'", "1:10: escape: no such one in a string: double the backslash if you mean one" },
	{ "name = 'a\\", "1:10: escape: no such one in a string: double the backslash if you mean one" },
	{ "name = '\\x4'", "1:9: escape: too few digits after the backslash: give \\xHH or \\OOO, or double the "
			   "backslash" },
	{ "name = '\\0'", "1:9: escape: 0 is no byte a string can hold: give 1 to 255" },
	{ "name = '\\777'", "1:9: escape: 511 is no byte a string can hold: give 1 to 255" },
	/* Grammar. */
	{ "= 3", "1:1: = where a key should be: write KEY = VALUE" },
	{ "'a' = 3", "1:1: a string where a key should be: write KEY = VALUE" },
	{ "name", "1:5: name: the end of the file where = should be: write KEY = VALUE" },
	{ "name 'x'", "1:6: name: a string where = should be: write KEY = VALUE" },
	{ "name =", "1:7: name: the end of the file where a value should be: give a string in quotes, a number or a "
		    "list" },
	{ "name =\n'x'", "1:7: name: the end of the line where a value should be: give a string in quotes, a number or "
			 "a list" },
	{ "name = = 1", "1:8: name: = where a value should be: give a string in quotes, a number or a list" },
	{ "name = += 1", "1:8: name: += where a value should be: give a string in quotes, a number or a list" },
	{ "type = pv", "1:8: type: the bare word pv is no value: put it in quotes" },
	{ "name = 'x' 'y'", "1:12: name: a string after the value: end it with a new line or a semicolon, put a list "
			    "in brackets" },
	{ "memory = 1 2", "1:12: memory: a number after the value: end it with a new line or a semicolon, put a list "
			  "in brackets" },
	{ "disk = '/a', '/b'", "1:12: disk: a comma after the value: end it with a new line or a semicolon, put a list "
			       "in brackets" },
	{ "disk = [ '/a'\n'/b' ]", "2:1: disk: a string in a list that began in line 1: put a comma between its items "
				   "and ] at its end" },
	{ "disk = [ '/a';", "1:14: disk: a semicolon in a list that began in line 1: put a comma between its items and "
			    "] at its end" },
	{ "disk = [ '/a'\n\n", "3:1: disk: the end of the file in a list that began in line 1: put a comma between its "
			       "items and ] at its end" },
	{ "disk = [ , '/a' ]", "1:10: disk: a comma where a value should be: give a string in quotes, a number or a "
			       "list" },
	{ "disk = [[[[[[[[[", "1:16: disk: lists inside lists, 8 deep: nothing needs that; remove brackets" },
	{ "]", "1:1: ] where a key should be: write KEY = VALUE" },
	{ "[1]", "1:1: [ where a key should be: write KEY = VALUE" },
	{ "name = 'a'\nname += ['b']", "2:9: name: += adds a string to a string or a list to a list, and in line 1 it "
				       "is another kind: "
				       "write the whole value with =" },
	{ "vcpus = 1; vcpus += 1", "1:21: vcpus: += adds a string to a string or a list to a list, and in line 1 it is "
				   "another kind: "
				   "write the whole value with =" },
	/* Keys. */
	{ "name = 'a'\n  memroy = 512", "2:3: memroy: xl.cfg has no such key: did you mean memory?" },
	{ "Kernel = '/x'", "1:1: Kernel: xl.cfg has no such key: did you mean kernel?" },
	{ "disks = []", "1:1: disks: xl.cfg has no such key: did you mean disk?" },
	{ "x = 1", "1:1: x: xl.cfg has no such key: correct it, or leave it out" },
	{ "frobnicate = 1", "1:1: frobnicate: xl.cfg has no such key: correct it, or leave it out" },
	{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa = 1",
	  "1:1: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: xl.cfg has no such key: correct it, or "
	  "leave it out" },
	{ "pci = [ '01:00.0' ]", "1:1: pci: dom1 gives no devices of the host to a guest: leave it out" },
	/* Values. */
	{ "name = ['a']", "1:8: name: it is a list: give one value, without brackets" },
	{ "root = []", "1:8: root: it is a list: give one value, without brackets" },
	{ "extra = []", "1:9: extra: it is a list: give one value, without brackets" },
	{ "builder = []", "1:11: builder: it is a list: give one value, without brackets" },
	{ "disk = '/a'", "1:8: disk: it is a list of strings: put brackets around it" },
	{ "vif = [ '', [ '' ] ]", "1:13: vif: a list inside the list: remove the inner brackets" },
	{ "cpus = [ [] ]", "1:10: cpus: a list inside the list: remove the inner brackets" },
	{ "cpus = '0-'", "1:8: cpus: \"0-\" is no list of CPUs: give one such as 0-3,^1 or all" },
	{ "cpus = [ 0, '' ]", "1:13: cpus: \"\" is no list of CPUs: give one such as 0-3,^1 or all" },
	{ "kernel = ''", "1:10: kernel: it is empty: give a value, or leave it out" },
	{ "name = 'a b'", "1:8: name: \"a b\" is no name for a domain: give 1 to 32 of the characters A-Z a-z 0-9 . _ "
			  "-" },
	{ "name = '..'", "1:8: name: \"..\" is no name for a domain: give 1 to 32 of the characters A-Z a-z 0-9 . _ "
			 "-" },
	{ "name = 'abcdefghijklmnopqrstuvwxyz0123456'", "1:8: name: \"abcdefghijklmnopqrstuvwxyz0123456\" is no name "
							"for a domain: give 1 to 32 of the characters A-Z a-z 0-9 . _ "
							"-" },
	{ "uuid = '123'", "1:8: uuid: \"123\" is no UUID: give 32 hexadecimal digits, as in "
			  "01234567-89ab-cdef-0123-456789abcdef" },
	{ "memory = 'much'", "1:10: memory: \"much\" is no number: give a decimal, 0x hexadecimal or 0 octal one of "
			     "MiB" },
	{ "memory = 0", "1:10: memory: this is no amount of memory a guest can have: give at least 1 and less than 8 "
			"EiB" },
	{ "memory = 0x80000000000", "1:10: memory: this is no amount of memory a guest can have: give at least 1 and "
				    "less than 8 EiB" },
	{ "memory = 18446744073709551615", "1:10: memory: this is no amount of memory a guest can have: give at least "
					   "1 and less than 8 EiB" },
	{ "vcpus = 18446744073709551616", "1:9: vcpus: \"18446744073709551616\" is no number: give a decimal, 0x "
					  "hexadecimal or 0 octal one" },
	{ "vcpus = 08", "1:9: vcpus: \"08\" is no number: give a decimal, 0x hexadecimal or 0 octal one" },
	{ "vcpus = ' 1'", "1:9: vcpus: \" 1\" is no number: give a decimal, 0x hexadecimal or 0 octal one" },
	{ "vcpus = 33", "1:9: vcpus: 33 is out of range: give a number from 1 to 32" },
	{ "max_grant_frames = 0", "1:20: max_grant_frames: 0 is out of range: give a number from 1 to 2147483647" },
	{ "type = 'hvm'", "1:8: type: dom1 runs no HVM guests: say type=\"pv\" or type=\"pvh\", with a kernel" },
	{ "type = 'pvm'", "1:8: type: \"pvm\" is no such word: give one of pv, pvh" },
	{ "builder = 'hvm'", "1:11: builder: dom1 runs no HVM guests: say type=\"pv\" or type=\"pvh\", with a kernel" },
	{ "on_crash = 'explode'", "1:12: on_crash: \"explode\" is no such word: give one of destroy, restart, "
				  "preserve" },
	{ "firmware = 'uefi'", "1:12: firmware: uefi is for HVM guests: give pvgrub32 or pvgrub64, or a kernel" },
	{ "firmware = 'x'", "1:12: firmware: \"x\" is no such word: give one of pvgrub32, pvgrub64" },
	{ "bootloader = 'pygrub'", "1:14: bootloader: \"pygrub\" would read the guest's disks on the host, which dom1 "
				   "never does: give "
				   "firmware=\"pvgrub64\", or a kernel" },
	{ "firmware='pvgrub32'\nbootloader='pvgrub64'", "2:12: bootloader: in line 1 the other pvgrub is asked for: "
							"leave one out" },
	/* Values beside others. */
	{ "memory = 2; maxmem = 1", "1:22: maxmem: it is less than memory: raise it, or leave it out" },
	{ "maxvcpus = 1\nvcpus = 2", "1:12: maxvcpus: it is less than vcpus: raise it, or leave it out" },
	{ "firmware = 'pvgrub64'; kernel = '/x'", "1:12: firmware: there is a kernel too, and only one of them can "
						  "start: leave one out" },
	{ "firmware = 'pvgrub64'; type = 'pvh'", "1:12: firmware: pvgrub is a program for PV guests: say type=\"pv\", "
						 "or give "
						 "grub-i386-xen_pvh.bin as kernel" },
	/* Devices: that the place is right; the rest is below. */
	{ "disk = [ '/a',\n '' ]", "2:2: disk: \"\" has no target: give the path of a device or image" },
	{ "vif = [ 'up' ]", "1:9: vif: up: no such word: give one of mac, bridge, ifname, vifname, script, rate, "
			    "hostfwd, type, backend" },
	{ "p9 = [ 'x=1' ]", "1:8: p9: x: no such word: give one of tag, path, security_model, backend" },
	{ "channel = [ 3 ]", "1:13: channel: 3: no such word: give one of connection, name, path, backend" },
};

static const struct message_case WARNINGS[] = {
	{ "memory = 1\nmemory = 2", "2:1: memory: given before, in line 1: this one counts; delete the other" },
	{ "builder = 'generic'", "1:1: builder: ignored: say type=\"pv\" or type=\"pvh\"" },
	{ "cmdline = 'x'\nroot = 'y'", "2:1: root: ignored: cmdline, in line 1, says all" },
	{ "extra = 'y'\ncmdline = 'x'", "1:1: extra: ignored: cmdline, in line 2, says all" },
	{ "on_crash = 'coredump-destroy'", "1:12: on_crash: coredump-destroy is taken as destroy: there are no core "
					   "dumps" },
	{ "on_crash = 'coredump-restart'", "1:12: on_crash: coredump-restart is taken as restart: there are no core "
					   "dumps" },
	{ "on_reboot = 'rename-restart'", "1:13: on_reboot: rename-restart is taken as restart: the domain that ended "
					  "is gone" },
	{ "on_watchdog = 'soft-reset'", "1:15: on_watchdog: soft-reset is taken as restart: the machine starts anew" },
	{ "pvshim = 0", "1:10: pvshim: 0 is ignored: here a PV guest always runs in the shim; for a guest without it "
			"say type=\"pvh\"" },
	{ "type = 'pvh'\npvshim_path = '/x'", "2:15: pvshim_path: ignored: a PVH guest has no shim; say type=\"pv\" "
					      "for one that has" },
	{ "type = 'pvh'; pvshim = 0\npvshim_extra = '/x'", "2:16: pvshim_extra: ignored: a PVH guest has no shim; say "
							   "type=\"pv\" for one "
							   "that has" },
	{ "vfb = [ 'vnc=1' ]", "1:1: vfb: ignored: there is no display: the console is the terminal" },
	{ "hap = 0", "1:1: hap: ignored: it asks for nothing here; leave it out" },
	{ "disk = [ '/a,cdrom,access=rw' ]", "1:10: disk: access=rw: ignored: a cdrom is read only; say access=ro" },
};

static void check_error(const char *text, const char *message)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *expected = g_strconcat("guest.cfg:", message, NULL);

	if (parse(text, NULL, &error))
		g_error("accepted: %s", text);
	g_assert_error(error, DOM1_ERROR, DOM1_STATUS_FILE);
	g_assert_cmpstr(error->message, ==, expected);
	assert_is_message(error->message, "guest.cfg");
}

static void check_warning(const char *text, const char *message)
{
	g_autoptr(GPtrArray) warnings = warnings_new();
	g_autoptr(GError) error = NULL;
	g_autofree char *expected = g_strconcat("guest.cfg:", message, NULL);
	struct guest_config *config = parse(text, warnings, &error);

	g_assert_no_error(error);
	g_assert_cmpuint(warnings->len, ==, 1);
	g_assert_cmpstr(warnings->pdata[0], ==, expected);
	assert_is_message(warnings->pdata[0], "guest.cfg");
	guest_config_free(config);
	guest_config_free(parse(text, NULL, NULL)); /* nobody asks for warnings */
}

static void test_errors(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(ERRORS); i++)
		check_error(ERRORS[i].text, ERRORS[i].message);
}

static void test_warnings(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(WARNINGS); i++)
		check_warning(WARNINGS[i].text, WARNINGS[i].message);
}

static void test_taken_as(void)
{
	struct guest_config *config = parse("on_crash='coredump-restart'; on_reboot='coredump-destroy'", NULL, NULL);

	g_assert_cmpuint(config->on_crash.value, ==, CONFIG_ACTION_RESTART);
	g_assert_cmpuint(config->on_reboot.value, ==, CONFIG_ACTION_DESTROY);
	guest_config_free(config);
	config = parse("memory = 1\nvcpus = 2\nmemory = 3", NULL, NULL);
	g_assert_cmpuint(config->memory_bytes.value, ==, 3 * MIB);
	assert_at(&config->memory_bytes.origin, 3, 10);
	guest_config_free(config);
	config = parse_good("type = 'pvh'; pvshim = 1; firmware = 'pvgrub32'; bootloader = 'pvgrub32'");
	g_assert_cmpint(guest_config_type(config), ==, CONFIG_TYPE_PV);
	g_assert_cmpuint(config->firmware.value, ==, CONFIG_FIRMWARE_PVGRUB32);
	guest_config_free(config);
	config = parse_good("type = 'pvh'");
	g_assert_cmpint(guest_config_type(config), ==, CONFIG_TYPE_PVH);
	guest_config_free(config);
}

/* What a hostile file is quoted with. */
static void test_messages_are_clean(void)
{
	static const char nul[] = "name = 'a\0b'", nul_outside[] = "\0";
	g_autoptr(GError) error = NULL;
	struct guest_config *config;

	check_error("name = 'a\\n\\x1b[2J\\xc2\\x9b'", "1:8: name: \"a??[2J?\" is no name for a domain: give 1 to 32 "
						       "of the characters A-Z a-z 0-9 . _ -");
	check_error("name = '\xff'", "1:8: name: \"\xef\xbf\xbd\" is no name for a domain: give 1 to 32 of the "
				     "characters A-Z a-z 0-9 . _ -");
	g_assert_false(xl_cfg_parse(nul, sizeof(nul) - 1, "a\nb", &config, NULL, &error));
	g_assert_cmpstr(error->message, ==, "a?b:1:10: string: it holds a NUL byte: is this a text file?");
	g_clear_error(&error);
	g_assert_false(xl_cfg_parse(nul_outside, 1, "x", &config, NULL, &error));
	g_assert_cmpstr(error->message, ==,
			"x:1:1: byte 0x00: it has no meaning here: is this a text file, in ASCII outside of strings?");
}

static void test_length(void)
{
	g_autofree char *text = g_strnfill(GUEST_CONFIG_MAX_BYTES + 1, '\n');
	g_autoptr(GError) error = NULL;
	struct guest_config *config;

	g_assert_true(xl_cfg_parse(text, GUEST_CONFIG_MAX_BYTES, "x", &config, NULL, NULL));
	guest_config_free(config);
	g_assert_false(xl_cfg_parse(text, GUEST_CONFIG_MAX_BYTES + 1, "x", &config, NULL, &error));
	g_assert_cmpstr(error->message, ==,
			"x:1:1: configuration: it is longer than 1024 KiB: is this the right file?");
	/* Work that could grow with the square of the length. */
	memset(text, '[', GUEST_CONFIG_MAX_BYTES);
	g_assert_false(xl_cfg_parse(text, GUEST_CONFIG_MAX_BYTES, "x", &config, NULL, NULL));
	g_autoptr(GString) additions = g_string_new("cmdline=''");
	while (additions->len < GUEST_CONFIG_MAX_BYTES - 16)
		g_string_append(additions, ";cmdline+='x'");
	g_assert_true(xl_cfg_parse(additions->str, additions->len, "x", &config, NULL, NULL));
	guest_config_free(config);
}

/* Keys */

static void test_keys(void)
{
	size_t n_keys;
	const struct xl_key *keys = xl_key_table(&n_keys);

	for (size_t i = 0; i < n_keys; i++) {
		g_autofree char *key = g_strdelimit(g_strdup(keys[i].key), "*", 'x');
		g_autofree char *text = g_strconcat(key, " = 'y'", NULL), *off = g_strconcat(key, "=0", NULL);
		g_autofree char *empty = g_strconcat(key, "=''", NULL), *none = g_strconcat(key, "=[]", NULL);
		gboolean refused = keys[i].verdict == XL_REFUSED;
		g_autofree char *message =
			g_strdup_printf("1:1: %s: %s%s", key, refused ? "" : "ignored: ", keys[i].why);
		g_autofree char *nothing =
			g_strdup_printf("1:1: %s: ignored: it asks for nothing here; leave it out", key);

		(refused ? check_error : check_warning)(text, message);
		check_warning(off, refused ? nothing : message);
		check_warning(empty, refused ? nothing : message);
		check_warning(none, refused ? nothing : message);
	}
}

/* Random */

static void test_random_configs(void)
{
	for (unsigned int i = 0; i < N_RANDOM; i++) {
		struct guest_config *config = random_config(MIB), *again = NULL;
		g_autofree char *text = print_xl(config);
		g_autoptr(GError) error = NULL;

		if (!xl_cfg_parse(text, strlen(text), "random", &again, NULL, &error))
			g_error("%s\n%s", error->message, text);
		assert_same_config(config, again);
		guest_config_free(config);
		guest_config_free(again);
	}
}

/* Whatever the bytes are: a configuration, or one line. The bytes end where an allocation ends. */
static gboolean survive(const void *bytes, size_t len_bytes)
{
	g_autofree char *exact = g_memdup2(bytes, len_bytes);
	g_autoptr(GPtrArray) warnings = warnings_new();
	g_autoptr(GError) error = NULL;
	struct guest_config *config = NULL;

	gboolean ok = xl_cfg_parse(exact ? exact : "", len_bytes, "guest.cfg", &config, warnings, &error);
	for (unsigned int i = 0; i < warnings->len; i++)
		assert_is_message(warnings->pdata[i], "guest.cfg");
	g_assert_true(ok == (error == NULL));
	if (!ok)
		assert_is_message(error->message, "guest.cfg");
	guest_config_free(config);
	return ok;
}

static void test_prefixes(void)
{
	for (size_t len_bytes = 0; len_bytes < sizeof(EXAMPLE); len_bytes++)
		survive(EXAMPLE, len_bytes);
	for (unsigned int i = 0; i < 20; i++) {
		struct guest_config *config = random_config(MIB);
		g_autofree char *text = print_xl(config);

		for (size_t len_bytes = 0; len_bytes <= strlen(text); len_bytes++)
			survive(text, len_bytes);
		guest_config_free(config);
	}
}

static const char *const WORDS[] = { "[",       "]",
				     "]]",      "[[[[[[[[[",
				     "'",       "\"",
				     "\\",      "\\x",
				     "=",       "+=",
				     ",",       ";",
				     "\n",      "#",
				     "disk",    "vif",
				     "target=", "phy:",
				     "tap:",    "nbd://",
				     "format=", "rate=",
				     "@",       "/s",
				     "0x",      "999999999999999999999",
				     "cpus",    "'^-'",
				     "memory",  "socket:",
				     "mac=",    "\xff",
				     "hvm",     NULL };

static void test_mutations(void)
{
	unsigned int n_good = 0;

	for (unsigned int i = 0; i < N_MUTATED; i++) {
		struct guest_config *config = random_config(MIB);
		g_autofree char *text = i % 2 ? print_xl(config) : g_strdup(EXAMPLE);
		g_autoptr(GByteArray) bytes = mutate(text, strlen(text), WORDS);

		n_good += (unsigned int)survive(bytes->data, bytes->len);
		guest_config_free(config);
	}
	/* Else the mutations test the first lines alone. */
	g_assert_cmpuint(n_good, >, N_MUTATED / 50);
}

static void test_cpu_lists(void)
{
	static const char *const good[] = { "0",           "all",    "^1",   "0-3,^1",   "nodes:0-3,^node:2",
					    "all,^node:1", " 1 , 2", "^all", "node:all", "99999" };
	static const char *const bad[] = { "",      ",",    "0,",     "-1", "1-",  "3-2",     "a",  "0-3 4",
					   "node:", "node", "100000", "^",  "^^1", "node:^1", "0x1" };

	for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
		g_assert_true(guest_config_is_cpu_list(good[i]));
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		if (guest_config_is_cpu_list(bad[i]))
			g_error("%s", bad[i]);
}

static void test_uuid(void)
{
	static const char *const bad[] = { "",
					   "-",
					   "0123456789abcdef0123456789abcde",
					   "0123456789abcdef0123456789abcdef0",
					   "0123456789abcdef0123456789abcdeg",
					   "0-123456789abcdef0123456789abcdef" };
	uint8_t bytes[CONFIG_UUID_BYTES];

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_false(guest_config_uuid_bytes(bad[i], bytes));
	g_assert_true(guest_config_uuid_bytes("0123456789ABCDEF0123456789abcdef", bytes));
	g_assert_cmpuint(bytes[0], ==, 0x01);
	g_assert_cmpuint(bytes[15], ==, 0xef);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/xl_cfg/example", test_example);
	g_test_add_func("/xl_cfg/nothing", test_nothing);
	g_test_add_func("/xl_cfg/strings", test_strings);
	g_test_add_func("/xl_cfg/lists", test_lists);
	g_test_add_func("/xl_cfg/errors", test_errors);
	g_test_add_func("/xl_cfg/warnings", test_warnings);
	g_test_add_func("/xl_cfg/taken_as", test_taken_as);
	g_test_add_func("/xl_cfg/messages_are_clean", test_messages_are_clean);
	g_test_add_func("/xl_cfg/length", test_length);
	g_test_add_func("/xl_cfg/keys", test_keys);
	g_test_add_func("/xl_cfg/cpu_lists", test_cpu_lists);
	g_test_add_func("/xl_cfg/uuid", test_uuid);
	g_test_add_func("/xl_cfg/random/configs", test_random_configs);
	g_test_add_func("/xl_cfg/hostile/prefixes", test_prefixes);
	g_test_add_func("/xl_cfg/hostile/mutations", test_mutations);
	return g_test_run();
}
