// SPDX-License-Identifier: MIT
#include "config/net_option.h"

#include <string.h>

#include "config/xl_cfg.h"
#include "vmm/error.h"

static const struct config_origin OPTION = { "--net", 0, 0 };

static gboolean refuse(const struct vif_config *vif, GError **error, const char *what, const char *remedy)
{
	return config_fail(error, &vif->origin, "vif: %.60s: %s: %s", vif->raw, what, remedy);
}

gboolean net_options_parse(GPtrArray *vifs, char **texts, GPtrArray *warnings, GError **error)
{
	gboolean has_none = FALSE;

	for (char **text = texts; text && *text; text++) {
		struct vif_config *vif = xl_vif_parse(*text, &OPTION, warnings, error);

		if (!vif)
			return FALSE;
		has_none = has_none || vif->kind == VIF_NONE;
		g_ptr_array_add(vifs, vif);
		if (has_none && text != texts)
			return refuse(vif, error, "none and an interface contradict each other", "leave one out");
	}
	/* The file's go, too. */
	if (has_none)
		g_ptr_array_set_size(vifs, 0);
	return TRUE;
}

static gboolean parse_port(const char *text, unsigned int *port)
{
	guint64 value;

	if (!g_ascii_string_to_unsigned(text, 10, 1, G_MAXUINT16, &value, NULL))
		return FALSE;
	*port = (unsigned int)value;
	return TRUE;
}

gboolean net_forward_parse(const char *text, struct net_forward *forward)
{
	g_auto(GStrv) sides = g_strsplit(text, "-", 2);

	*forward = (struct net_forward){ 0 };
	if (g_strv_length(sides) != 2 || (!g_str_has_prefix(text, "tcp:") && !g_str_has_prefix(text, "udp:")))
		return FALSE;
	forward->udp = text[0] == 'u';
	char *address = sides[0] + 4, *port = strrchr(address, ':');
	/* The guest has one address, and it is the one that is meant. */
	if (!port || sides[1][0] != ':' || !parse_port(port + 1, &forward->host_port) ||
	    !parse_port(sides[1] + 1, &forward->guest_port))
		return FALSE;
	*port = '\0';
	if (!g_hostname_is_ip_address(address) && address[0] != '\0')
		return FALSE;
	forward->host_address = address[0] != '\0' ? g_strdup(address) : NULL;
	return TRUE;
}

/* What is understood and not there yet, or means nothing. */
static gboolean check_offered(const struct vif_config *vif, GPtrArray *warnings, GError **error)
{
	struct net_forward forward;

	if (vif->rate_bytes_per_s)
		return refuse(vif, error, "dom1 limits no rates yet", "leave rate= out, and use tc on the host's side");
	if (vif->script)
		config_warn(warnings, &vif->origin, "vif: script=%.60s: ignored: dom1 runs no scripts, and puts a tap into its bridge itself",
			    vif->script);
	for (guint i = 0; vif->hostfwd && i < vif->hostfwd->len; i++) {
		if (!net_forward_parse(vif->hostfwd->pdata[i], &forward))
			return refuse(vif, error, "a hostfwd is none", "give tcp:[ADDRESS]:PORT-:GUESTPORT, or udp:");
		g_free(forward.host_address);
	}
	return TRUE;
}

static gboolean is_taken(const GPtrArray *vifs, guint n_vifs, const uint8_t *mac)
{
	for (guint i = 0; i < n_vifs; i++) {
		const struct vif_config *vif = vifs->pdata[i];

		if (vif->has_mac && memcmp(vif->mac, mac, sizeof(vif->mac)) == 0)
			return TRUE;
	}
	return FALSE;
}

/* In Xen's range, 00:16:3e:00:00:00 to 7f:ff:ff. */
static void choose_mac(struct vif_config *vif, const GPtrArray *vifs, const char *domain_name, guint index)
{
	static const uint8_t xen[3] = { 0x00, 0x16, 0x3e };

	for (guint attempt = 0; !vif->has_mac; attempt++) {
		g_autofree char *text = g_strdup_printf("%s %u %u", domain_name, index, attempt);
		g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
		uint8_t digest[32], mac[6];
		gsize len_bytes = sizeof(digest);

		g_checksum_update(checksum, (const guchar *)text, -1);
		g_checksum_get_digest(checksum, digest, &len_bytes);
		memcpy(mac, xen, sizeof(xen));
		memcpy(mac + sizeof(xen), digest, 3);
		mac[3] &= 0x7f;
		if (is_taken(vifs, vifs->len, mac))
			continue;
		memcpy(vif->mac, mac, sizeof(mac));
		vif->has_mac = TRUE;
	}
}

static void choose_kind(struct vif_config *vif)
{
	if (vif->kind != VIF_DEFAULT)
		return;
	vif->kind = config_is_option(&vif->origin) ? VIF_USER : VIF_BRIDGE;
	if (vif->kind == VIF_BRIDGE)
		vif->bridge = g_strdup("xenbr0");
}

gboolean nets_settle(GPtrArray *vifs, const char *domain_name, GPtrArray *warnings, GError **error)
{
	for (guint i = 0; i < vifs->len;) {
		struct vif_config *vif = vifs->pdata[i];

		if (vif->kind == VIF_NONE) {
			g_ptr_array_remove_index(vifs, i);
			continue;
		}
		if (!check_offered(vif, warnings, error))
			return FALSE;
		if (vif->has_mac && is_taken(vifs, i, vif->mac))
			return refuse(vif, error, "another interface has this mac", "give each its own, or none");
		i++;
	}
	for (guint i = 0; i < vifs->len; i++) {
		choose_mac(vifs->pdata[i], vifs, domain_name, i);
		choose_kind(vifs->pdata[i]);
	}
	return TRUE;
}

char *net_where(const struct vif_config *vif)
{
	switch (vif->kind) {
	case VIF_TAP:
		return g_strdup_printf("tap%s%s", vif->ifname ? " " : "", vif->ifname ? vif->ifname : "");
	case VIF_BRIDGE:
		return g_strdup_printf("bridge %s", vif->bridge);
	case VIF_SOCKET:
		return g_strdup_printf("socket %s", vif->socket_path);
	default:
		return g_strdup("user (passt)");
	}
}
