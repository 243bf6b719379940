// SPDX-License-Identifier: MIT
/*
 * The specifications of disks, interfaces, shared folders and channels: the forms of xl's documentation, every
 * message, random devices printed and read back, and texts that are none.
 */
#include <stddef.h>
#include <string.h>

#include <glib.h>

#include "config/config_builders.h"
#include "config/xl_cfg.h"
#include "vmm/error.h"

#define N_MUTATED 10000
#define N_SPECS   20000

static const struct config_origin OPTION = { "--device", 0, 0 };

static GPtrArray *warnings_new(void)
{
	return g_ptr_array_new_with_free_func(g_free);
}

/* Disks */

static struct disk_config *disk_good(const char *text)
{
	g_autoptr(GPtrArray) warnings = warnings_new();
	g_autoptr(GError) error = NULL;
	struct disk_config *disk = xl_disk_parse(text, &OPTION, warnings, &error);

	if (error)
		g_error("%s", error->message);
	g_assert_cmpuint(warnings->len, ==, 0);
	g_assert_cmpstr(disk->raw, ==, text);
	return disk;
}

static void check_disk(const char *text, const char *canonical)
{
	struct disk_config *disk = disk_good(text);
	g_autofree char *printed = xl_disk_to_text(disk);

	g_assert_cmpstr(printed, ==, canonical);
	disk_config_free(disk);
}

/* The first three groups are those of xl-disk-configuration(5). */
static void test_disk_forms(void)
{
	static const struct {
		const char *text, *canonical;
	} cases[] = {
		{ "/dev/vg/guest-volume,,hda", "vdev=hda,access=rw,target=/dev/vg/guest-volume" },
		{ "/dev/vg/guest-volume,raw,hda,rw", "format=raw,vdev=hda,access=rw,target=/dev/vg/guest-volume" },
		{ "format=raw, vdev=hda, access=rw, target=/dev/vg/guest-volume", "format=raw,vdev=hda,access=rw,"
										  "target=/dev/vg/guest-volume" },
		{ "raw:/dev/vg/guest-volume,hda,w", "format=raw,vdev=hda,access=rw,target=/dev/vg/guest-volume" },

		{ "/root/image.iso,,hdc,cdrom", "vdev=hdc,access=ro,devtype=cdrom,target=/root/image.iso" },
		{ "/root/image.iso,,hdc,,cdrom", "vdev=hdc,access=ro,devtype=cdrom,target=/root/image.iso" },
		{ "/root/image.iso,raw,hdc,devtype=cdrom", "format=raw,vdev=hdc,access=ro,devtype=cdrom,target=/root/"
							   "image.iso" },
		{ "format=raw, vdev=hdc, access=ro, devtype=cdrom, target=/root/image.iso", "format=raw,vdev=hdc,"
											    "access=ro,devtype=cdrom,"
											    "target=/root/image.iso" },
		{ "raw:/root/image.iso,hdc:cdrom,ro", "format=raw,vdev=hdc,access=ro,devtype=cdrom,target=/root/"
						      "image.iso" },

		{ "tap:aio:/x,xvda,w", "vdev=xvda,access=rw,target=/x" },
		{ "tapdisk:tap2:ioemu:qcow2:/x,xvda,r", "format=qcow2,vdev=xvda,access=ro,target=/x" },
		{ "file:/x,xvda,w", "vdev=xvda,access=rw,target=/x" },
		{ "file:x,xvda:disk,w", "vdev=xvda,access=rw,target=x" },
		{ "phy:vg/lv,xvda,w", "vdev=xvda,access=rw,target=/dev/vg/lv" },
		{ "phy:/dev/vg/lv,xvda,w", "vdev=xvda,access=rw,target=/dev/vg/lv" },
		{ "format=raw,phy:vg/lv,xvda", "format=raw,vdev=xvda,access=rw,target=/dev/vg/lv" },

		{ "/x", "access=rw,target=/x" },
		{ "x.img,ro", "access=ro,target=x.img" },
		{ "ro,x.img", "access=ro,target=x.img" },
		{ "x.img , snapshot=on\t,rw,  vdev=xvdb ,", "vdev=xvdb,access=rw,snapshot=on,target=x.img" },
		{ "x.img,snapshot=off", "access=rw,target=x.img" },
		{ "/x,cache=direct", "access=rw,cache=direct,target=/x" },
		{ "/x,cache=writeback", "access=rw,cache=writeback,target=/x" },
		{ "/x,cache=unsafe,cache=", "access=rw,cache=unsafe,target=/x" },
		{ "/x,discard", "access=rw,discard=on,target=/x" },
		{ "/x,no-discard", "access=rw,discard=off,target=/x" },
		{ "/x,discard=on,on-error=report", "access=rw,discard=on,on-error=report,target=/x" },
		{ "/x,discard=off,on-error=stop", "access=rw,discard=off,on-error=stop,target=/x" },
		{ "/x,on-error=enospc-pause,serial=A-1:2", "access=rw,on-error=enospc-pause,serial=A-1:2,target=/x" },
		{ "/x,qcow2,,r,backend=0,specification=xen", "format=qcow2,access=ro,target=/x" },
		{ "vdev=xvda,/x,qcow2,ro", "format=qcow2,vdev=xvda,access=ro,target=/x" },
		{ "/x,raw,xvda,w,,", "format=raw,vdev=xvda,access=rw,target=/x" },
		{ ",raw,xvda,w,target=/a,b=c ,ro ", "format=raw,vdev=xvda,access=rw,target=/a,b=c ,ro " },
		{ "target=ro", "access=rw,target=ro" },
		{ "a:b.img", "access=rw,target=a:b.img" },
		{ "A:/b", "access=rw,target=A:/b" },
		{ "nbd://host:10809/export", "format=nbd,access=rw,target=nbd://host:10809/export" },
		{ "nbd+unix:///e?socket=/s,,xvda,r", "format=nbd,vdev=xvda,access=ro,target=nbd+unix:///e?socket=/s" },
		{ "target=nbds+unix:///e?socket=/a,b", "format=nbd,access=rw,target=nbds+unix:///e?socket=/a,b" },
		{ "nbds://host,raw", "format=raw,access=rw,target=nbds://host" },
		{ "file:nbd://host,xvda", "format=nbd,vdev=xvda,access=rw,target=nbd://host" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
		check_disk(cases[i].text, cases[i].canonical);
}

/* What a parser says of a text: an error, or with a leading "!" the only warning. */
typedef void *(*parser)(const char *text, const struct config_origin *origin, GPtrArray *warnings, GError **error);

struct spec_case {
	const char *text, *message;
};

static void check_specs(const char *what, parser parse_spec, void (*free_spec)(void *), const struct spec_case *cases,
			size_t n_cases)
{
	for (size_t i = 0; i < n_cases; i++) {
		g_autoptr(GPtrArray) warnings = warnings_new();
		g_autoptr(GError) error = NULL;
		void *device = parse_spec(cases[i].text, &OPTION, warnings, &error);
		gboolean warned = cases[i].message[0] == '!';
		g_autofree char *expected = g_strdup_printf("--device: %s: %s", what, cases[i].message + warned);

		if ((device != NULL) != warned)
			g_error("%s: %s", cases[i].text, error ? error->message : "accepted");
		g_assert_cmpuint(warnings->len, ==, warned ? 1 : 0);
		g_assert_cmpstr(warned ? warnings->pdata[0] : error->message, ==, expected);
		if (device)
			free_spec(device);
	}
}

static void *parse_disk(const char *text, const struct config_origin *origin, GPtrArray *warnings, GError **error)
{
	return xl_disk_parse(text, origin, warnings, error);
}

static void *parse_vif(const char *text, const struct config_origin *origin, GPtrArray *warnings, GError **error)
{
	return xl_vif_parse(text, origin, warnings, error);
}

static void *parse_p9(const char *text, const struct config_origin *origin, GPtrArray *warnings, GError **error)
{
	return xl_p9_parse(text, origin, warnings, error);
}

static void *parse_channel(const char *text, const struct config_origin *origin, GPtrArray *warnings, GError **error)
{
	return xl_channel_parse(text, origin, warnings, error);
}

static void free_disk(void *disk)
{
	disk_config_free(disk);
}

static void free_vif(void *vif)
{
	vif_config_free(vif);
}

static void free_p9(void *p9)
{
	p9_config_free(p9);
}

static void free_channel(void *channel)
{
	channel_config_free(channel);
}

#define NO_SCRIPT "script: dom1 runs no block script: attach the device on the host, and give its path"
#define NO_COLO   "dom1 does not replicate disks (COLO): leave it out"

static const struct spec_case DISK_MESSAGES[] = {
	{ "", "\"\" has no target: give the path of a device or image" },
	{ ",raw,xvda", "\",raw,xvda\" has no target: give the path of a device or image" },
	{ "target=", "\"target=\" has no target: give the path of a device or image" },
	{ "/x,format=qcow", "format=qcow: dom1 does not read it: convert the image with qemu-img to qcow2 or "
			    "raw" },
	{ "/x,vhd", "format=vhd: dom1 does not read it: convert the image with qemu-img to qcow2 or raw" },
	{ "qcow:/x", "format=qcow: dom1 does not read it: convert the image with qemu-img to qcow2 or raw" },
	{ "vdev=hda,format=empty", "format=empty: there are no empty drives: give a target, or leave the disk "
				   "out" },
	{ "/x,iso", "format=iso: no such value: give one of raw, qcow2, nbd" },
	{ "/x,,sda0", "vdev=sda0: no such device: give xvda, xvdb and so on, perhaps with a partition's "
		      "number" },
	{ "/x,vdev=vda", "vdev=vda: no such device: give xvda, xvdb and so on, perhaps with a partition's "
			 "number" },
	{ "/x,access=x", "access=x: no such value: give one of ro, rw, r, w" },
	{ "file:/x,xvda:floppy", "devtype=floppy: no such value: give one of disk, cdrom" },
	{ "/x,snapshot=yes", "snapshot=yes: no such value: give one of off, on" },
	{ "/x,cache=none", "cache=none: no such value: give one of direct, writeback, unsafe" },
	{ "/x,discard=1", "discard=1: no such value: give one of off, on" },
	{ "/x,on-error=die", "on-error=die: no such value: give one of report, stop, enospc-pause" },
	{ "/x,serial=a b", "serial=a b: it is too long or has odd characters: give 1 to 20 printable ones "
			   "without blanks" },
	{ "/x,serial=123456789012345678901", "serial=123456789012345678901: it is too long or has odd "
					     "characters: give 1 to 20 "
					     "printable ones without blanks" },
	{ "/x,backend=storage", "backend=storage: there is no driver domain: the back ends are dom1's own, "
				"leave it out" },
	{ "/x,specification=virtio", "specification=virtio: the disks are Xen's PV disks: leave it out" },
	{ "/x,script=block-iscsi", NO_SCRIPT },
	{ "iscsi:x", NO_SCRIPT },
	{ "nbd:x", NO_SCRIPT },
	{ "enbd:x", NO_SCRIPT },
	{ "drbd:x", NO_SCRIPT },
	{ "/x,colo", "colo: " NO_COLO },
	{ "/x,colo-host=h", "colo-host: " NO_COLO },
	{ "/x,colo-port=1", "colo-port: " NO_COLO },
	{ "/x,colo-export=e", "colo-export: " NO_COLO },
	{ "/x,active-disk=/y", "active-disk: " NO_COLO },
	{ "/x,hidden-disk=/y", "hidden-disk: " NO_COLO },
	{ "/x,raw,xvda,w,what", "what: one word too many: by position there are target, format, vdev and "
				"access" },
	{ "/x,raw,format=raw", "format: given twice: leave one out" },
	{ "/x,ro,rw", "access: given twice: leave one out" },
	{ "/x,target=/y", "target: given twice: leave one out" },
	{ "http:/x", "http:/x: no such prefix: give a path, or target=http:/x at the end if that is one" },
	{ "file:foo:", "foo:: no such prefix: give a path, or target=foo: at the end if that is one" },
	{ "/images/a=b.img", "/images/a=: no such word: a path that has a = is given as target= at the end" },
	{ "/x,frob=1", "frob: no such word: give one of target, format, vdev, access, devtype, snapshot, "
		       "cache, discard, "
		       "on-error, serial, backend, specification" },
	{ "/x,backendtype=phy", "!backendtype: ignored: there is one back end, dom1's own" },
	{ "/x,direct-io-safe", "!direct-io-safe: ignored: say cache=direct if you want O_DIRECT" },
	{ "/x,trusted", "!trusted: ignored: the back end is dom1's own" },
	{ "/x,untrusted", "!untrusted: ignored: the guest is told nothing of it" },
	{ "/x,grant_usage=1", "!grant_usage: ignored: the PV disk always uses grants" },
	{ "/x,no-colo", "!no-colo: ignored: dom1 never replicates disks" },
	{ "/x,cdrom,rw", "!access=rw: ignored: a cdrom is read only; say access=ro" },
};

static void test_disk_messages(void)
{
	check_specs("disk", parse_disk, free_disk, DISK_MESSAGES, G_N_ELEMENTS(DISK_MESSAGES));
}

/* xen-vbd-interface(7), both ways: the names of a disk and partition, and their number. */
static void check_vdev(const char *kind, unsigned int disk, unsigned int partition, gboolean valid, uint32_t expected)
{
	g_autoptr(GString) name = g_string_new(NULL);
	uint32_t number = 0;

	for (unsigned int n = disk + 1; n > 0; n = (n - 1) / 26)
		g_string_prepend_c(name, (char)('a' + (n - 1) % 26));
	g_string_prepend(name, kind);
	if (partition)
		g_string_append_printf(name, "%u", partition);
	gboolean ok = xl_disk_vdev_number(name->str, &number);
	if (ok != valid || (ok && number != expected))
		g_error("%s: %d, %u", name->str, ok, number);
}

static void test_vdev(void)
{
	static const char *const bad[] = { "",       "xvd",           "xvd1", "xvdA",  "xvda01",  "xvda0",
					   "xvda1x", "xvdaaaaaa",     "d",    "d1p",   "d01",     "dx",
					   "vda",    "sdq",           "hde",  "hda64", "xvda256", "d1048576",
					   "d1p256", "xvda999999999", "d-1",  "nvme0" };
	uint32_t number;

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		if (xl_disk_vdev_number(bad[i], &number))
			g_error("%s", bad[i]);
	for (unsigned int disk = 0; disk < 800; disk++)
		for (unsigned int partition = 0; partition < 300; partition += partition < 70 ? 1 : 37) {
			gboolean small = disk < 16 && partition < 16;

			check_vdev("xvd", disk, partition, partition < 256,
				   small ? 51712 + disk * 16 + partition : 0x10000000 + disk * 256 + partition);
			check_vdev("sd", disk, partition, small, 2048 + disk * 16 + partition);
			check_vdev("hd", disk, partition, disk < 4 && partition < 64,
				   (disk < 2 ? 768 : 5632) + disk % 2 * 64 + partition);
		}
	g_assert_true(xl_disk_vdev_number("d1048575p255", &number));
	g_assert_cmpuint(number, ==, 0x1fffffff);
	g_assert_true(xl_disk_vdev_number("d0p1", &number));
	g_assert_cmpuint(number, ==, 51713);
}

/* Interfaces, folders, channels */

static void test_vif_forms(void)
{
	static const struct {
		const char *text, *canonical;
	} cases[] = {
		{ "", "" },
		{ " , ,", "" },
		{ "user", "user" },
		{ "tap,ifname=tap0", "tap,ifname=tap0" },
		{ "vifname = web0 , mac=00:16:3E:aa:bb:CC", "mac=00:16:3e:aa:bb:cc,ifname=web0" },
		{ "bridge=br0,script=/etc/x y", "bridge=br0,script=/etc/x y" },
		{ "socket:/run/a=b", "socket:/run/a=b" },
		{ "none", "none" },
		{ "user,hostfwd=tcp::2222-:22,hostfwd=udp::53-:53", "user,hostfwd=tcp::2222-:22,hostfwd=udp::53-:53" },
		{ "rate=10Mb/s", "rate=1250000B/s@50000us" },
		{ "rate=250KB/s", "rate=250000B/s@50000us" },
		{ "rate=1MB/s@20ms", "rate=1000000B/s@20000us" },
		{ "rate=1Gb/s@1s", "rate=125000000B/s@1000000us" },
		{ "rate=2GB/s@7", "rate=2000000000B/s@7us" },
		{ "rate=8b/s@7us", "rate=1B/s@7us" },
		{ "rate=1B/s@4294s", "rate=1B/s@4294000000us" },
		{ "rate=1B/s@5m", "rate=1B/s@5000us" },
		{ "type=vif,backend=Domain-0,bridge=", "" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GPtrArray) warnings = warnings_new();
		g_autoptr(GError) error = NULL;
		struct vif_config *vif = xl_vif_parse(cases[i].text, &OPTION, warnings, &error);

		g_assert_no_error(error);
		g_assert_cmpuint(warnings->len, ==, 0);
		g_autofree char *printed = xl_vif_to_text(vif);
		g_assert_cmpstr(printed, ==, cases[i].canonical);
		vif_config_free(vif);
	}
}

#define ONE_END  "an interface ends in one place only: give one of user, tap, bridge=, socket:PATH, none"
#define NO_MAC   "no such address: give six bytes in hexadecimal, as in 00:16:3e:12:34:56"
#define NO_RATE  "no rate: give a number with KB, MB, GB, Kb, Mb or Gb per second, as in 10Mb/s or 1MB/s@20ms"
#define RANGE    "it is out of range: give at least 1B/s, and an interval of 1us to 4294s"
#define IFNAME   "no interface can have this name: give 1 to 15 characters without blanks, / and :"
#define NO_CARD  "no network card is emulated, the guest gets a PV interface"
#define NO_REACH "ifname: there is no interface on the host's side: say tap or bridge=, or leave it out"

static void test_vif_messages(void)
{
	static const struct spec_case cases[] = {
		{ "user,tap", "tap: " ONE_END },
		{ "tap,bridge=br0", "bridge: " ONE_END },
		{ "none,socket:/x", "socket:/x: " ONE_END },
		{ "mac=1:2:3:4:5:6", "mac=1:2:3:4:5:6: " NO_MAC },
		{ "mac=00:16:3e:12:34:5g", "mac=00:16:3e:12:34:5g: " NO_MAC },
		{ "mac=00-16-3e-12-34-56", "mac=00-16-3e-12-34-56: " NO_MAC },
		{ "mac=01:16:3e:12:34:56", "mac=01:16:3e:12:34:56: it is a multicast address: make the first byte "
					   "even" },
		{ "bridge=a/b", "bridge=a/b: " IFNAME },
		{ "ifname=abcdefghijklmnop", "ifname=abcdefghijklmnop: " IFNAME },
		{ "ifname=..", "ifname=..: " IFNAME },
		{ "ifname=.", "ifname=.: " IFNAME },
		{ "ifname=a:b", "ifname=a:b: " IFNAME },
		{ "ifname=a,vifname=b", "ifname: given twice, vifname is the same: leave one out" },
		{ "mac=00:16:3e:12:34:56,mac=00:16:3e:12:34:56", "mac: given twice: leave one out" },
		{ "type=emu", "type=emu: no such value: give one of vif, ioemu" },
		{ "rate=10", "rate=10: " NO_RATE },
		{ "rate=x", "rate=x: " NO_RATE },
		{ "rate=10M/s", "rate=10M/s: " NO_RATE },
		{ "rate=10MB", "rate=10MB: " NO_RATE },
		{ "rate=10MB/s@", "rate=10MB/s@: " NO_RATE },
		{ "rate=10MB/s!", "rate=10MB/s!: " NO_RATE },
		{ "rate=10MB/s@20x", "rate=10MB/s@20x: " NO_RATE },
		{ "rate=10MB/s@20sm", "rate=10MB/s@20sm: " NO_RATE },
		{ "rate=99999999999999999999GB/s", "rate=99999999999999999999GB/s: " NO_RATE },
		{ "rate=0B/s", "rate=0B/s: " RANGE },
		{ "rate=7b/s", "rate=7b/s: " RANGE },
		{ "rate=1B/s@0", "rate=1B/s@0: " RANGE },
		{ "rate=1B/s@4295s", "rate=1B/s@4295s: " RANGE },
		{ "rate=1B/s@99999999999999999999s", "rate=1B/s@99999999999999999999s: " RANGE },
		{ "socket:", "socket: it has no path: give socket:PATH" },
		{ "backend=net", "backend=net: there is no driver domain: the back ends are dom1's own, leave it out" },
		{ "hostfwd=tcp::1-:2", "hostfwd: only user networking forwards ports: say user too" },
		{ "user,ifname=x", NO_REACH },
		{ "socket:/x,ifname=x", NO_REACH },
		{ "ifname=x,none", NO_REACH },
		{ "xenbr0", "xenbr0: no such word: give one of mac, bridge, ifname, vifname, script, rate, hostfwd, "
			    "type, backend" },
		{ "type=ioemu", "!type=ioemu: ignored: " NO_CARD },
		{ "model=e1000", "!model: ignored: " NO_CARD },
		{ "ip=10.0.0.1", "!ip: ignored: no script that reads it is run" },
		{ "gatewaydev=eth0", "!gatewaydev: ignored: no script that reads it is run" },
		{ "netdev=eth0", "!netdev: ignored: no script that reads it is run" },
		{ "vlan=10", "!vlan: ignored: no script that reads it is run" },
		{ "devid=3", "!devid: ignored: interfaces are numbered in the order of the list" },
		{ "mtu=1400", "!mtu: ignored: the guest sets its own, the host's side is yours" },
		{ "accel=1", "!accel: ignored: it has no meaning in xl either" },
		{ "trusted", "!trusted: ignored: the back end is dom1's own" },
		{ "untrusted", "!untrusted: ignored: the guest is told nothing of it" },
	};

	check_specs("vif", parse_vif, free_vif, cases, G_N_ELEMENTS(cases));
}

static void test_p9_messages(void)
{
	static const struct spec_case cases[] = {
		{ "tag=x", "\"tag=x\" has no path: give tag= and path=" },
		{ "path=/x", "\"path=/x\" has no tag: give tag= and path=" },
		{ "tag=x,path=/x,security_model=mapped", "security_model=mapped: no such value: give one of none" },
		{ "tag=x,path=/x,backend=3", "backend=3: there is no driver domain: the back ends are dom1's own, "
					     "leave it out" },
		{ "tag=x,tag=y", "tag: given twice: leave one out" },
		{ "tag=x,path=/x,type=qemu", "!type: ignored: there is one back end, dom1's own" },
	};

	check_specs("p9", parse_p9, free_p9, cases, G_N_ELEMENTS(cases));
}

static void test_channel_messages(void)
{
	static const struct spec_case cases[] = {
		{ "name=x", "\"name=x\" has no connection: give connection=pty or connection=socket" },
		{ "connection=pty", "\"connection=pty\" has no name: give name=, the guest finds the channel by it" },
		{ "connection=socket,name=x", "connection=socket: it has no path: give path=" },
		{ "connection=tcp,name=x", "connection=tcp: no such value: give one of pty, socket, file" },
		{ "name=x,backend=3", "backend=3: there is no driver domain: the back ends are dom1's own, leave it "
				      "out" },
		{ "connection=pty,name=x,path=/y", "!path: ignored: the path of a pty is the kernel's choice; leave it "
						   "out" },
	};

	check_specs("channel", parse_channel, free_channel, cases, G_N_ELEMENTS(cases));
}

/* Random */

static void test_random_devices(void)
{
	for (unsigned int i = 0; i < N_SPECS; i++) {
		struct disk_config *disk = random_disk();
		struct vif_config *vif = random_vif();
		g_autofree char *any = print_disk(disk), *canonical = xl_disk_to_text(disk),
				*vif_text = xl_vif_to_text(vif);
		struct disk_config *from_any = disk_good(any), *from_canonical = disk_good(canonical);
		struct vif_config *vif_again = xl_vif_parse(vif_text, &OPTION, NULL, NULL);

		assert_same_disk(disk, from_any);
		assert_same_disk(disk, from_canonical);
		assert_same_vif(vif, vif_again);
		disk_config_free(disk);
		disk_config_free(from_any);
		disk_config_free(from_canonical);
		vif_config_free(vif);
		vif_config_free(vif_again);
	}
}

static const char *const WORDS[] = { "=",       ",",       ":",     " ",    "target=", "phy:",  "tap:",
				     "nbd://",  "format=", "rate=", "@",    "/s",      "ro",    "999999999999999999999",
				     "socket:", "mac=",    "user",  "\xff", "cdrom",   "vdev=", NULL };

static void test_mutated_specs(void)
{
	for (unsigned int i = 0; i < N_MUTATED; i++) {
		struct disk_config *disk = random_disk(), *again;
		struct vif_config *vif = random_vif(), *vif_again;
		g_autofree char *text = print_disk(disk), *vif_text = xl_vif_to_text(vif);
		g_autoptr(GByteArray) bytes = mutate(text, strlen(text), WORDS);
		g_autoptr(GByteArray) vif_bytes = mutate(vif_text, strlen(vif_text), WORDS);
		g_autofree char *mutated = g_strndup(bytes->len ? (char *)bytes->data : "", bytes->len);
		g_autofree char *vif_mutated = g_strndup(vif_bytes->len ? (char *)vif_bytes->data : "", vif_bytes->len);

		disk_config_free(disk);
		vif_config_free(vif);
		disk = xl_disk_parse(mutated, &OPTION, NULL, NULL);
		if (disk) { /* what is accepted can be written down */
			g_autofree char *canonical = xl_disk_to_text(disk);
			again = disk_good(canonical);
			assert_same_disk(disk, again);
			disk_config_free(again);
		}
		vif = xl_vif_parse(vif_mutated, &OPTION, NULL, NULL);
		if (vif) {
			g_autofree char *canonical = xl_vif_to_text(vif);
			vif_again = xl_vif_parse(canonical, &OPTION, NULL, NULL);
			assert_same_vif(vif, vif_again);
			vif_config_free(vif_again);
		}
		disk_config_free(disk);
		vif_config_free(vif);
		p9_config_free(xl_p9_parse(mutated, &OPTION, NULL, NULL));
		channel_config_free(xl_channel_parse(vif_mutated, &OPTION, NULL, NULL));
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/xl_cfg_spec/disk/forms", test_disk_forms);
	g_test_add_func("/xl_cfg_spec/disk/messages", test_disk_messages);
	g_test_add_func("/xl_cfg_spec/disk/vdev", test_vdev);
	g_test_add_func("/xl_cfg_spec/vif/forms", test_vif_forms);
	g_test_add_func("/xl_cfg_spec/vif/messages", test_vif_messages);
	g_test_add_func("/xl_cfg_spec/p9/messages", test_p9_messages);
	g_test_add_func("/xl_cfg_spec/channel/messages", test_channel_messages);
	g_test_add_func("/xl_cfg_spec/random/devices", test_random_devices);
	g_test_add_func("/xl_cfg_spec/hostile/specs", test_mutated_specs);
	return g_test_run();
}
