/* SPDX-License-Identifier: Apache-2.0 */
/* probe_gpu - GPUs of NVIDIA, AMD and Intel among the PCI devices; see probe.h. */
#include <inttypes.h>
#include <string.h>

#include "io/probe_int.h"

#define PCI "sys/bus/pci/devices"

struct gpu_vendor {
	uint32_t number;
	enum probe_vendor vendor;
	const char *word;
};

static const struct gpu_vendor vendors[] = {
        {0x10de, PROBE_NVIDIA, "NVIDIA"}, {0x1002, PROBE_AMD, "AMD"}, {0x8086, PROBE_INTEL, "Intel"}};

/* The name behind "<tab>NNNN  " under the vendor's line "NNNN  Name" (pci.ids(5)). */
static bool find_name(FILE *f, uint32_t vendor, uint32_t device, char *out, size_t max)
{
	char line[512];
	bool ours = false;

	while (fgets(line, sizeof(line), f)) {
		char *end;
		unsigned long n;

		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#' || line[0] == '\0' || (line[0] == '\t' && (!ours || line[1] == '\t')))
			continue;
		n = strtoul(line, &end, 16);
		if (line[0] != '\t') {
			if (ours)
				return false; /* the next vendor begins */
			ours = n == vendor && end == line + 4;
		} else if (n == device && end == line + 5) {
			return (size_t)snprintf(out, max, "%s", end + strspn(end, " ")) < max;
		}
	}
	return false;
}

void probe_pci_name(const struct probe_at *p, const char *vendor_word, uint32_t vendor, uint32_t device,
        char *out, size_t max)
{
	static const char *const places[] = {"usr/share/misc/pci.ids", "usr/share/hwdata/pci.ids"};
	char path[1024], name[80];

	for (size_t i = 0; i < 2; i++) {
		FILE *f;
		bool found;

		if ((size_t)snprintf(path, sizeof(path), "%s/%s", p->root, places[i]) >= sizeof(path))
			continue;
		f = fopen(path, "re");
		if (!f)
			continue;
		found = find_name(f, vendor, device, name, sizeof(name));
		(void)fclose(f);
		if (found) {
			(void)snprintf(out, max, "%s %s", vendor_word, name);
			return;
		}
	}
	(void)snprintf(out, max, "%s 0x%04x", vendor_word, device);
}

/* "Key: \t value" of /proc/driver/nvidia/gpus/ADDRESS/information. */
static bool nvidia_says(const char *text, const char *key, char *out, size_t max)
{
	const char *at = strstr(text, key);
	size_t n;

	if (!at)
		return false;
	at += strlen(key);
	at += strspn(at, ": \t");
	n = strcspn(at, "\n");
	while (n && (at[n - 1] == ' ' || at[n - 1] == '\t'))
		n--;
	if (n == 0 || n >= max || strchr(at, '?') == at)
		return false;
	memcpy(out, at, n);
	out[n] = '\0';
	return true;
}

static void nvidia_details(const struct probe_at *p, struct probe_device *d)
{
	char text[4096], uuid[64];

	if (probe_read(p, text, sizeof(text), "proc/driver/nvidia/gpus/%s/information", d->bus) <= 0)
		return;
	(void)nvidia_says(text, "Model", d->model, sizeof(d->model));
	/* Printed as "GPU-????????..." until the device was used for the first time. */
	if (nvidia_says(text, "GPU UUID", uuid, sizeof(uuid)) && !strchr(uuid, '?'))
		(void)snprintf(d->id, sizeof(d->id), "%s", uuid);
}

static void amd_details(const struct probe_at *p, struct probe_device *d)
{
	char text[96], path[128];

	if (probe_read(p, text, sizeof(text), PCI "/%s/product_name", d->bus) > 0)
		(void)snprintf(d->model, sizeof(d->model), "%s", text);
	if (probe_read(p, text, sizeof(text), PCI "/%s/unique_id", d->bus) > 0)
		(void)snprintf(d->id, sizeof(d->id), "GPU-%.56s", text); /* as ROCm writes it */
	(void)snprintf(path, sizeof(path), PCI "/%s/mem_info_vram_total", d->bus);
	d->memory_bytes = probe_number(p, 0, path);
}

static void intel_details(const struct probe_at *p, struct probe_device *d)
{
	char path[160];
	struct probe_names cards;

	(void)snprintf(path, sizeof(path), PCI "/%s/drm", d->bus);
	cards = probe_names(p, path);
	for (size_t i = 0; i < cards.n; i++) {
		if (strncmp(cards.v[i], "card", 4) != 0)
			continue;
		(void)snprintf(path, sizeof(path), PCI "/%s/drm/%.20s/lmem_total_bytes", d->bus, cards.v[i]);
		d->memory_bytes = probe_number(p, d->memory_bytes, path);
	}
	probe_names_free(&cards);
}

static void one_gpu(const struct probe_at *p, const char *bus, const struct gpu_vendor *v)
{
	char path[160], driver[64];
	struct probe_device *d;
	uint32_t number;

	(void)snprintf(path, sizeof(path), PCI "/%.20s/device", bus);
	number = (uint32_t)probe_number(p, 0, path);
	(void)snprintf(path, sizeof(path), PCI "/%.20s/driver", bus);
	if (!probe_link(p, path, driver, sizeof(driver))) {
		probe_notice(p->out, "%s GPU at %s has no driver and cannot be used", v->word, bus);
		return;
	}
	if (strcmp(driver, "vfio-pci") == 0) {
		probe_notice(p->out, "%s GPU at %s belongs to a virtual machine (vfio-pci)", v->word, bus);
		return;
	}
	d = probe_add(p->out, "gpu", v->vendor);
	if (!d)
		return;
	(void)snprintf(d->bus, sizeof(d->bus), "%.20s", bus);
	(void)snprintf(d->id, sizeof(d->id), "%s", d->bus);
	probe_pci_name(p, v->word, v->number, number, d->model, sizeof(d->model));
	if (v->vendor == PROBE_NVIDIA)
		nvidia_details(p, d);
	else if (v->vendor == PROBE_AMD)
		amd_details(p, d);
	else
		intel_details(p, d);
}

void probe_gpus(const struct probe_at *p)
{
	struct probe_names pci = probe_names(p, PCI);

	for (size_t i = 0; i < pci.n; i++) {
		char path[160];
		uint64_t class;

		/* 0x0300xx VGA, 0x0302xx 3D controller, 0x0380xx display: class 03 is "display controller"; 0x1200xx is
		 * "processing accelerator", which AMD's Instinct cards are. */
		(void)snprintf(path, sizeof(path), PCI "/%.20s/class", pci.v[i]);
		class = probe_number(p, 0, path) >> 8;
		(void)snprintf(path, sizeof(path), PCI "/%.20s/vendor", pci.v[i]);
		for (size_t v = 0; v < 3; v++)
			if (probe_number(p, 0, path) == vendors[v].number &&
			        (class >> 8 == 0x03 || (class == 0x1200 && vendors[v].vendor == PROBE_AMD)))
				one_gpu(p, pci.v[i], &vendors[v]);
	}
	probe_names_free(&pci);
	if (p->root[0] == '\0')
		probe_nvml(p->out);
}
