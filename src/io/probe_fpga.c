/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe_fpga - FPGAs: regions of the kernel's framework, Intel DFL, Xilinx cards; see probe.h.
 *
 * A region (fpga_region) is what can be programmed by itself, so that is one device. A DFL card's management engine (dfl-fme.N) is
 * counted only if none of the regions lies in it; a Xilinx card has two functions, of which the user's (xocl) is counted.
 */
#include <limits.h>
#include <string.h>

#include "io/probe_int.h"

#define REGIONS "sys/class/fpga_region"
#define DFL     "sys/bus/platform/devices"
#define PCI     "sys/bus/pci/devices"

/* The folder behind a class entry, with all links followed. */
static bool real_folder(const struct probe_at *p, const char *path, char out[PATH_MAX])
{
	char full[1024];

	return (size_t)snprintf(full, sizeof(full), "%s/%s", p->root, path) < sizeof(full) &&
	       realpath(full, out);
}

/* Vendor and model, as far as they can be told. */
static void region_model(
        const struct probe_at *p, const char *region, const char *folder, struct probe_device *d)
{
	struct probe_names managers = probe_names(p, "sys/class/fpga_manager");
	const char *fme = strstr(folder, "/dfl-fme.");
	char text[80];

	if (fme) {
		size_t n = strcspn(fme + 1, "/");

		d->vendor = PROBE_INTEL;
		if (probe_read(p, text, sizeof(text), DFL "/%.*s/bitstream_id", (int)n, fme + 1) > 0)
			(void)snprintf(d->model, sizeof(d->model), "Intel DFL %s", text);
		else
			(void)snprintf(d->model, sizeof(d->model), "Intel DFL");
	} else if (managers.n == 1 &&
	           probe_read(p, text, sizeof(text), "sys/class/fpga_manager/%s/name", managers.v[0]) > 0) {
		(void)snprintf(d->model, sizeof(d->model), "%s", text);
		if (strstr(text, "Xilinx"))
			d->vendor = PROBE_XILINX;
	} else {
		(void)snprintf(d->model, sizeof(d->model), "FPGA %.40s", region);
	}
	probe_names_free(&managers);
}

/* The last part of the path that looks like a PCI address, if there is one. */
static void bus_of(const char *folder, char out[24])
{
	for (const char *at = folder; (at = strchr(at, '/')); at++) {
		unsigned domain, bus, dev, fn;
		char after;

		if (sscanf(at + 1, "%4x:%2x:%2x.%1u%c", &domain, &bus, &dev, &fn, &after) == 5 &&
		        after == '/')
			(void)snprintf(out, 24, "%04x:%02x:%02x.%u", domain, bus, dev, fn);
	}
}

static void regions(const struct probe_at *p)
{
	struct probe_names names = probe_names(p, REGIONS);

	for (size_t i = 0; i < names.n; i++) {
		char path[128], folder[PATH_MAX], compat[48];
		struct probe_device found = {.vendor = PROBE_OTHER}, *d;

		(void)snprintf(path, sizeof(path), REGIONS "/%.60s", names.v[i]);
		if (!real_folder(p, path, folder))
			continue;
		region_model(p, names.v[i], folder, &found);
		d = probe_add(p->out, "fpga", found.vendor);
		if (!d)
			break;
		memcpy(d->model, found.model, sizeof(d->model));
		bus_of(folder, d->bus);
		if (probe_read(p, compat, sizeof(compat), REGIONS "/%.60s/compat_id", names.v[i]) > 0)
			(void)snprintf(d->id, sizeof(d->id), "%.14s-%.40s", names.v[i], compat);
		else
			(void)snprintf(d->id, sizeof(d->id), "%.60s", names.v[i]);
	}
	probe_names_free(&names);
}

/* Whether a region that was found lies in the engine `fme`. */
static bool has_region(const struct probe_at *p, const char *fme)
{
	struct probe_names names = probe_names(p, REGIONS);
	char part[80], path[128], folder[PATH_MAX];
	bool found = false;

	(void)snprintf(part, sizeof(part), "/%.60s/", fme);
	for (size_t i = 0; i < names.n && !found; i++) {
		(void)snprintf(path, sizeof(path), REGIONS "/%.60s", names.v[i]);
		found = real_folder(p, path, folder) && strstr(folder, part);
	}
	probe_names_free(&names);
	return found;
}

static void dfl(const struct probe_at *p)
{
	struct probe_names names = probe_names(p, DFL);

	for (size_t i = 0; i < names.n; i++) {
		char text[64], path[128], folder[PATH_MAX];
		struct probe_device *d;

		if (strncmp(names.v[i], "dfl-fme.", 8) != 0 || has_region(p, names.v[i]))
			continue;
		d = probe_add(p->out, "fpga", PROBE_INTEL);
		if (!d)
			break;
		(void)snprintf(path, sizeof(path), DFL "/%.60s", names.v[i]);
		if (real_folder(p, path, folder))
			bus_of(folder, d->bus);
		(void)snprintf(d->id, sizeof(d->id), "%s", d->bus[0] ? d->bus : names.v[i]);
		if (probe_read(p, text, sizeof(text), DFL "/%.60s/bitstream_id", names.v[i]) > 0)
			(void)snprintf(d->model, sizeof(d->model), "Intel DFL %s", text);
		else
			(void)snprintf(d->model, sizeof(d->model), "Intel DFL");
	}
	probe_names_free(&names);
}

/* xocl puts what is in the card's flash under rom.u.NNN/VBNV (vendor, board, name, version). */
static void xilinx_details(const struct probe_at *p, struct probe_device *d)
{
	char path[64], text[64];
	struct probe_names parts;

	(void)snprintf(path, sizeof(path), PCI "/%s", d->bus);
	parts = probe_names(p, path);
	for (size_t i = 0; i < parts.n; i++) {
		const char *s = parts.v[i];

		if (strncmp(s, "rom", 3) == 0 && probe_read(p, text, sizeof(text), "%s/%s/VBNV", path, s) > 0)
			(void)snprintf(d->model, sizeof(d->model), "%s", text);
		if (strncmp(s, "xmc", 3) == 0 &&
		        probe_read(p, text, sizeof(text), "%s/%s/serial_num", path, s) > 0)
			(void)snprintf(d->id, sizeof(d->id), "%s", text);
	}
	probe_names_free(&parts);
}

static void xilinx(const struct probe_at *p)
{
	struct probe_names pci = probe_names(p, PCI);

	for (size_t i = 0; i < pci.n; i++) {
		char path[160], driver[64] = "";
		struct probe_device *d;
		uint32_t number;

		(void)snprintf(path, sizeof(path), PCI "/%.20s/vendor", pci.v[i]);
		if (probe_number(p, 0, path) != 0x10ee)
			continue;
		(void)snprintf(path, sizeof(path), PCI "/%.20s/driver", pci.v[i]);
		(void)probe_link(p, path, driver, sizeof(driver));
		if (!driver[0])
			probe_notice(p->out, "Xilinx card at %s has no driver and cannot be used", pci.v[i]);
		if (strcmp(driver, "xocl") != 0)
			continue;
		d = probe_add(p->out, "fpga", PROBE_XILINX);
		if (!d)
			break;
		(void)snprintf(d->bus, sizeof(d->bus), "%.20s", pci.v[i]);
		(void)snprintf(d->id, sizeof(d->id), "%s", d->bus);
		(void)snprintf(path, sizeof(path), PCI "/%.20s/device", pci.v[i]);
		number = (uint32_t)probe_number(p, 0, path);
		probe_pci_name(p, "Xilinx", 0x10ee, number, d->model, sizeof(d->model));
		xilinx_details(p, d);
	}
	probe_names_free(&pci);
}

void probe_fpgas(const struct probe_at *p)
{
	regions(p);
	dfl(p);
	xilinx(p);
}
