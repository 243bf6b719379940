// SPDX-License-Identifier: MIT
#include "saved/domain.h"

#include <string.h>

#include "config/guest_config.h"
#include "vmm/layout.h"
#include "vmm/record.h"
#include "xen/pages.h"

#define NAME_MAX_BYTES 255u
#define PATH_MAX_BYTES 4096u
#define UUID_BYTES     36u
#define MEMORY_MAX     (UINT64_C(1) << 46)
#define MEMORY_STEP    (UINT64_C(2) << 20)

static const size_t LAYOUT_FIELDS[] = {
	offsetof(struct saved_layout, low_ram_top_gpa),	   offsetof(struct saved_layout, console_gpa),
	offsetof(struct saved_layout, xenstore_gpa),	   offsetof(struct saved_layout, special_end_gpa),
	offsetof(struct saved_layout, low_window_end_gpa), offsetof(struct saved_layout, high_ram_top_gpa),
	offsetof(struct saved_layout, overlay_gpa),	   offsetof(struct saved_layout, overlay_end_gpa),
};

static uint64_t *layout_field(const struct saved_layout *layout, size_t i)
{
	return (uint64_t *)(void *)((uintptr_t)layout + LAYOUT_FIELDS[i]);
}

void saved_domain_write(GByteArray *to, const struct saved_domain *domain)
{
	saved_put_text(to, domain->name);
	saved_put_text(to, domain->uuid);
	saved_put_text(to, domain->kernel);
	saved_put_u8(to, domain->has_shim);
	saved_put_u8(to, domain->is_paused);
	saved_put_u64(to, domain->saved_s);
	saved_put_u64(to, domain->memory_bytes);
	saved_put_u64(to, domain->low_memory_bytes);
	saved_put_u32(to, domain->n_vcpus);
	saved_put_u32(to, domain->max_vcpus);
	saved_put_u32(to, domain->max_event_channels);
	saved_put_u32(to, domain->max_grant_frames);
	saved_put_u32(to, domain->xen_version);
	for (size_t i = 0; i < G_N_ELEMENTS(LAYOUT_FIELDS); i++)
		saved_put_u64(to, *layout_field(&domain->layout, i));
}

static bool is_uuid(const char *text)
{
	uint8_t bytes[CONFIG_UUID_BYTES];

	return strlen(text) == UUID_BYTES && guest_config_uuid_bytes(text, bytes);
}

static bool is_sensible(const struct saved_domain *domain)
{
	return domain->name[0] && g_utf8_validate(domain->kernel, -1, NULL) && is_uuid(domain->uuid) && domain->memory_bytes > 0 &&
	       domain->memory_bytes <= MEMORY_MAX && domain->memory_bytes % MEMORY_STEP == 0 &&
	       domain->low_memory_bytes <= MEMORY_MAX && domain->low_memory_bytes % MEMORY_STEP == 0 && domain->n_vcpus > 0 &&
	       domain->n_vcpus <= domain->max_vcpus && domain->max_vcpus <= RECORD_MAX_VCPUS && domain->max_event_channels <= G_MAXINT &&
	       domain->max_grant_frames > 0 && domain->max_grant_frames <= PAGES_MAX_GRANT_FRAMES;
}

bool saved_domain_read(struct saved_domain *domain, struct saved_cursor from)
{
	*domain = (struct saved_domain){
		.name = saved_get_text(&from, NAME_MAX_BYTES),
		.uuid = saved_get_text(&from, UUID_BYTES),
		.kernel = saved_get_text(&from, PATH_MAX_BYTES),
	};
	domain->has_shim = saved_get_flag(&from);
	domain->is_paused = saved_get_flag(&from);
	domain->saved_s = saved_get_u64(&from);
	domain->memory_bytes = saved_get_u64(&from);
	domain->low_memory_bytes = saved_get_u64(&from);
	domain->n_vcpus = saved_get_u32(&from);
	domain->max_vcpus = saved_get_u32(&from);
	domain->max_event_channels = saved_get_u32(&from);
	domain->max_grant_frames = saved_get_u32(&from);
	domain->xen_version = saved_get_u32(&from);
	for (size_t i = 0; i < G_N_ELEMENTS(LAYOUT_FIELDS); i++)
		*layout_field(&domain->layout, i) = saved_get_u64(&from);
	return !saved_is_wrong(&from) && is_sensible(domain);
}

void saved_domain_clear(struct saved_domain *domain)
{
	g_free(domain->name);
	g_free(domain->uuid);
	g_free(domain->kernel);
	*domain = (struct saved_domain){ 0 };
}

struct saved_layout saved_layout_of(const struct layout *layout)
{
	return (struct saved_layout){
		.low_ram_top_gpa = layout->low_ram_top_gpa,
		.console_gpa = layout->console_gpa,
		.xenstore_gpa = layout->xenstore_gpa,
		.special_end_gpa = layout->special_end_gpa,
		.low_window_end_gpa = layout->low_window_end_gpa,
		.high_ram_top_gpa = layout->high_ram_top_gpa,
		.overlay_gpa = layout->overlay_gpa,
		.overlay_end_gpa = layout->overlay_end_gpa,
	};
}

bool saved_layout_fits(const struct saved_layout *saved, const struct layout *layout)
{
	const struct saved_layout now = saved_layout_of(layout);

	for (size_t i = 0; i < G_N_ELEMENTS(LAYOUT_FIELDS); i++)
		if (*layout_field(saved, i) != *layout_field(&now, i))
			return false;
	return true;
}

void saved_clock_write(GByteArray *to, const struct saved_clock *clock)
{
	saved_put_u64(to, clock->clock_ns);
	saved_put_u64(to, clock->host_tsc);
	saved_put_u32(to, clock->tsc_khz);
}

bool saved_clock_read(struct saved_clock *clock, struct saved_cursor from)
{
	*clock = (struct saved_clock){ .clock_ns = saved_get_u64(&from) };
	clock->host_tsc = saved_get_u64(&from);
	clock->tsc_khz = saved_get_u32(&from);
	/* KVM's clock is signed, and ours is not to overflow it within a century. */
	return !saved_is_wrong(&from) && clock->clock_ns < UINT64_C(1) << 62;
}

void saved_rings_write(GByteArray *to, const struct saved_rings *rings)
{
	saved_put_u8(to, rings->console_holds_input);
	saved_put_u8(to, rings->xenstore_had_request);
	saved_put_u8(to, rings->xenstore_is_broken);
}

bool saved_rings_read(struct saved_rings *rings, struct saved_cursor from)
{
	*rings = (struct saved_rings){ .console_holds_input = saved_get_flag(&from) };
	rings->xenstore_had_request = saved_get_flag(&from);
	rings->xenstore_is_broken = saved_get_flag(&from);
	return !saved_is_wrong(&from);
}

uint64_t saved_memory_bytes(const struct layout *layout)
{
	return layout->high_ram_top_gpa > LAYOUT_4GIB ? layout->high_ram_top_gpa : layout->special_end_gpa;
}
