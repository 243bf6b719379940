// SPDX-License-Identifier: MIT
/*
 * A network interface's specification, after xl-network-configuration(5), with the words of dom1's --net: user, tap,
 * socket:PATH, none (bridge= is xl's already), and hostfwd= for user.
 */
#include "config/xl_cfg.h"

#include <string.h>

#include "config/xl_cfg_spec.h"

#define MAX_IFNAME_BYTES    15    /* IFNAMSIZ - 1 */
#define DEFAULT_INTERVAL_US 50000 /* xl's */

static struct vif_config *vif_of(struct spec *spec)
{
	return spec->device;
}

static gboolean set_kind(struct spec *spec, enum vif_kind kind, const char *word)
{
	struct vif_config *vif = vif_of(spec);

	if (vif->kind != VIF_DEFAULT)
		return spec_fail(spec,
				 "%.60s: an interface ends in one place only: give one of user, tap, bridge=, "
				 "socket:PATH, none",
				 word);
	vif->kind = kind;
	return TRUE;
}

static gboolean set_mac(struct spec *spec, const char *value)
{
	struct vif_config *vif = vif_of(spec);
	gboolean ok = strlen(value) == 17;

	for (unsigned int i = 0; ok && i < 6; i++) {
		int high = g_ascii_xdigit_value(value[3 * i]), low = g_ascii_xdigit_value(value[3 * i + 1]);

		ok = high >= 0 && low >= 0 && (i == 5 || value[3 * i + 2] == ':');
		vif->mac[i] = (uint8_t)(ok ? high << 4 | low : 0);
	}
	if (!ok)
		return spec_fail(spec,
				 "mac=%.60s: no such address: give six bytes in hexadecimal, as in 00:16:3e:12:34:56",
				 value);
	if (vif->mac[0] & 1)
		return spec_fail(spec, "mac=%s: it is a multicast address: make the first byte even", value);
	vif->has_mac = TRUE;
	return TRUE;
}

static gboolean check_ifname(struct spec *spec, const char *key, const char *value)
{
	gboolean ok = strlen(value) <= MAX_IFNAME_BYTES && strcmp(value, ".") != 0 && strcmp(value, "..") != 0;

	for (const char *c = value; *c; c++)
		ok = ok && g_ascii_isgraph(*c) && *c != '/' && *c != ':';
	return ok || spec_fail(spec,
			       "%s=%.60s: no interface can have this name: give 1 to %d characters without blanks, / "
			       "and :",
			       key, value, MAX_IFNAME_BYTES);
}

static gboolean set_bridge(struct spec *spec, const char *value)
{
	vif_of(spec)->bridge = g_strdup(value);
	return check_ifname(spec, "bridge", value) && set_kind(spec, VIF_BRIDGE, "bridge");
}

static gboolean set_ifname(struct spec *spec, const char *value)
{
	if (vif_of(spec)->ifname)
		return spec_fail(spec, "ifname: given twice, vifname is the same: leave one out");
	vif_of(spec)->ifname = g_strdup(value);
	return check_ifname(spec, "ifname", value);
}

static gboolean set_script(struct spec *spec, const char *value)
{
	vif_of(spec)->script = g_strdup(value);
	return TRUE;
}

static gboolean set_hostfwd(struct spec *spec, const char *value)
{
	struct vif_config *vif = vif_of(spec);

	if (!vif->hostfwd)
		vif->hostfwd = g_ptr_array_new_with_free_func(g_free);
	g_ptr_array_add(vif->hostfwd, g_strdup(value));
	return TRUE;
}

static gboolean set_type(struct spec *spec, const char *value)
{
	static const char *const words[] = { "vif", "ioemu", NULL };
	unsigned int index;

	if (!spec_word(spec, "type", value, words, &index))
		return FALSE;
	if (index == 1)
		spec_warn(spec, "type=ioemu: ignored: no network card is emulated, the guest gets a PV interface");
	return TRUE;
}

/* "10Mb/s", "250KB/s@20ms": decimal multiples, b for bits; the interval in microseconds when it says nothing. */
static gboolean parse_rate(const char *text, uint64_t *rate_bytes_per_s, uint64_t *interval_us)
{
	static const char letters[] = "KMG";
	char *end;
	guint64 rate = g_ascii_strtoull(text, &end, 10), factor = 1;

	if (!g_ascii_isdigit(*text))
		return FALSE;
	for (size_t i = 0; i < sizeof(letters) - 1; i++)
		if (*end == letters[i]) {
			factor = i == 0 ? 1000 : i == 1 ? 1000000 : 1000000000;
			end++;
			break;
		}
	guint64 bits = *end == 'b' ? 8 : 1;
	if ((*end != 'b' && *end != 'B') || rate > G_MAXUINT64 / factor)
		return FALSE;
	end++;
	*rate_bytes_per_s = rate * factor / bits;
	*interval_us = DEFAULT_INTERVAL_US;
	if (!g_str_has_prefix(end, "/s"))
		return FALSE;
	end += 2;
	if (*end == '\0')
		return TRUE;
	if (*end++ != '@' || !g_ascii_isdigit(*end))
		return FALSE;
	*interval_us = g_ascii_strtoull(end, &end, 10);
	factor = *end == 'm' ? 1000 : *end == 's' ? 1000000 : 1;
	end += *end == 'm' || *end == 'u';
	end += *end == 's';
	/* What is too much already stays too much, and the product does not overflow. */
	*interval_us = MIN(*interval_us, (uint64_t)G_MAXUINT32 + 1) * factor;
	return *end == '\0';
}

static gboolean set_rate(struct spec *spec, const char *value)
{
	struct vif_config *vif = vif_of(spec);
	uint64_t rate, interval_us;

	if (!parse_rate(value, &rate, &interval_us))
		return spec_fail(spec,
				 "rate=%.60s: no rate: give a number with KB, MB, GB, Kb, Mb or Gb per second, as in "
				 "10Mb/s or 1MB/s@20ms",
				 value);
	if (rate == 0 || interval_us == 0 || interval_us > G_MAXUINT32)
		return spec_fail(spec,
				 "rate=%.60s: it is out of range: give at least 1B/s, and an interval of 1us to 4294s",
				 value);
	vif->rate_bytes_per_s = rate;
	vif->rate_interval_us = (uint32_t)interval_us;
	return TRUE;
}

#define ROUTED "no script that reads it is run"

static const struct spec_key KEYS[] = {
	{ "mac", set_mac },
	{ "bridge", set_bridge },
	{ "ifname", set_ifname },
	{ "vifname", set_ifname },
	{ "script", set_script },
	{ "rate", set_rate },
	{ "hostfwd", set_hostfwd, .may_repeat = TRUE },
	{ "type", set_type },
	{ "backend", spec_backend },
	{ "model", .ignored = "no network card is emulated, the guest gets a PV interface" },
	{ "ip", .ignored = ROUTED },
	{ "gatewaydev", .ignored = ROUTED },
	{ "netdev", .ignored = ROUTED },
	{ "vlan", .ignored = ROUTED },
	{ "devid", .ignored = "interfaces are numbered in the order of the list" },
	{ "mtu", .ignored = "the guest sets its own, the host's side is yours" },
	{ "accel", .ignored = "it has no meaning in xl either" },
	{ "trusted", .ignored = "the back end is dom1's own" },
	{ "untrusted", .ignored = "the guest is told nothing of it" },
};

/* Words that have no "=", or one in a path. TRUE in *mine, or nothing was done. */
static gboolean read_kind(struct spec *spec, const char *word, gboolean *mine)
{
	static const struct {
		const char *word;
		enum vif_kind kind;
	} kinds[] = { { "user", VIF_USER }, { "tap", VIF_TAP }, { "none", VIF_NONE } };

	*mine = TRUE;
	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
		if (strcmp(word, kinds[i].word) == 0)
			return set_kind(spec, kinds[i].kind, word);
	if (g_str_has_prefix(word, "socket:")) {
		const char *path = word + strlen("socket:");

		if (*path == '\0')
			return spec_fail(spec, "socket: it has no path: give socket:PATH");
		if (!set_kind(spec, VIF_SOCKET, word))
			return FALSE;
		vif_of(spec)->socket_path = g_strdup(path);
		return TRUE;
	}
	*mine = FALSE;
	return TRUE;
}

static gboolean read_spec(struct spec *spec, const char *text)
{
	g_auto(GStrv) words = g_strsplit(text, ",", -1);

	for (unsigned int i = 0; words[i]; i++) {
		gboolean mine;

		if (!read_kind(spec, g_strstrip(words[i]), &mine) || (!mine && !spec_set_all(spec, words[i])))
			return FALSE;
	}
	return TRUE;
}

static gboolean finish(struct spec *spec)
{
	const struct vif_config *vif = vif_of(spec);

	if (vif->hostfwd && vif->kind != VIF_USER)
		return spec_fail(spec, "hostfwd: only user networking forwards ports: say user too");
	if (vif->ifname && (vif->kind == VIF_USER || vif->kind == VIF_SOCKET || vif->kind == VIF_NONE))
		return spec_fail(spec, "ifname: there is no interface on the host's side: say tap or bridge=, or leave "
				       "it out");
	return TRUE;
}

struct vif_config *xl_vif_parse(const char *text, const struct config_origin *origin, GPtrArray *warnings,
				GError **error)
{
	struct vif_config *vif = g_new0(struct vif_config, 1);
	struct spec spec = { .what = "vif",
			     .keys = KEYS,
			     .n_keys = G_N_ELEMENTS(KEYS),
			     .origin = origin,
			     .warnings = warnings,
			     .error = error,
			     .device = vif };

	vif->origin = *origin;
	vif->raw = g_strdup(text);
	if (read_spec(&spec, text) && finish(&spec))
		return vif;
	vif_config_free(vif);
	return NULL;
}

char *xl_vif_to_text(const struct vif_config *vif)
{
	static const char *const kinds[] = {
		[VIF_DEFAULT] = "", [VIF_USER] = "user,", [VIF_TAP] = "tap,",
		[VIF_BRIDGE] = "",  [VIF_SOCKET] = "",    [VIF_NONE] = "none,",
	};
	GString *text = g_string_new(kinds[vif->kind]);

	if (vif->bridge)
		g_string_append_printf(text, "bridge=%s,", vif->bridge);
	if (vif->socket_path)
		g_string_append_printf(text, "socket:%s,", vif->socket_path);
	if (vif->has_mac)
		g_string_append_printf(text, "mac=%02x:%02x:%02x:%02x:%02x:%02x,", vif->mac[0], vif->mac[1],
				       vif->mac[2], vif->mac[3], vif->mac[4], vif->mac[5]);
	if (vif->ifname)
		g_string_append_printf(text, "ifname=%s,", vif->ifname);
	if (vif->script)
		g_string_append_printf(text, "script=%s,", vif->script);
	if (vif->rate_bytes_per_s)
		g_string_append_printf(text, "rate=%" G_GUINT64_FORMAT "B/s@%" G_GUINT32_FORMAT "us,",
				       vif->rate_bytes_per_s, vif->rate_interval_us);
	for (unsigned int i = 0; vif->hostfwd && i < vif->hostfwd->len; i++)
		g_string_append_printf(text, "hostfwd=%s,", (const char *)vif->hostfwd->pdata[i]);
	if (text->len)
		g_string_truncate(text, text->len - 1);
	return g_string_free(text, FALSE);
}
