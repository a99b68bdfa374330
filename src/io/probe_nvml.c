/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe_nvml - what NVIDIA's own library says of its GPUs: name, UUID, memory; see probe.h.
 *
 * Loaded by dlopen, with the few declarations that are needed here (NVML API reference, versions since 5), so that nothing of
 * NVIDIA's is needed to build. A device that sysfs does not show (a container without /sys) is added.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "io/probe_int.h"

#define NVML_SUCCESS 0

typedef void *nvml_device; /* opaque there, too; typedef because the library's own calls need a name for it */

struct nvml_memory {
	unsigned long long total, free, used;
};

struct nvml_pci { /* nvmlPciInfo_t of nvmlDeviceGetPciInfo_v3; more room than it needs */
	char bus_id_legacy[16];
	unsigned domain, bus, device, pci_device_id, pci_subsystem_id;
	char bus_id[32];
	char room[64];
};

struct nvml {
	int (*init)(void);
	int (*shutdown)(void);
	int (*count)(unsigned *);
	int (*handle)(unsigned, nvml_device *);
	int (*name)(nvml_device, char *, unsigned);
	int (*uuid)(nvml_device, char *, unsigned);
	int (*memory)(nvml_device, struct nvml_memory *);
	int (*pci)(nvml_device, struct nvml_pci *);
};

static int load(void *lib, struct nvml *n)
{
	static const char *const names[] = {"nvmlInit_v2", "nvmlShutdown", "nvmlDeviceGetCount_v2",
	        "nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetName", "nvmlDeviceGetUUID",
	        "nvmlDeviceGetMemoryInfo", "nvmlDeviceGetPciInfo_v3"};
	void *at[8];

	for (size_t i = 0; i < 8; i++) {
		at[i] = dlsym(lib, names[i]);
		if (!at[i])
			return -1;
	}
	memcpy(n, at, sizeof(at)); /* POSIX: what dlsym gives may be called */
	return 0;
}

static struct probe_device *find(struct probe *out, const char *bus)
{
	for (size_t i = 0; i < out->n_devices; i++)
		if (out->devices[i].vendor == PROBE_NVIDIA && strcmp(out->devices[i].bus, bus) == 0)
			return &out->devices[i];
	return NULL;
}

static void one(struct probe *out, const struct nvml *n, unsigned i)
{
	struct nvml_memory memory;
	struct nvml_pci pci;
	struct probe_device *d;
	nvml_device dev;
	char bus[24], text[96];

	memset(&pci, 0, sizeof(pci));
	if (n->handle(i, &dev) != NVML_SUCCESS || n->pci(dev, &pci) != NVML_SUCCESS)
		return;
	(void)snprintf(
	        bus, sizeof(bus), "%04x:%02x:%02x.0", pci.domain & 0xffff, pci.bus & 0xff, pci.device & 0xff);
	d = find(out, bus);
	if (!d)
		d = probe_add(out, "gpu", PROBE_NVIDIA);
	if (!d)
		return;
	(void)snprintf(d->bus, sizeof(d->bus), "%s", bus);
	if (n->name(dev, text, sizeof(text)) == NVML_SUCCESS)
		(void)snprintf(d->model, sizeof(d->model), "%s", text);
	if (n->uuid(dev, text, sizeof(text)) == NVML_SUCCESS)
		(void)snprintf(d->id, sizeof(d->id), "%.63s", text);
	if (n->memory(dev, &memory) == NVML_SUCCESS)
		d->memory_bytes = memory.total;
}

void probe_nvml(struct probe *out)
{
	void *lib = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
	unsigned count = 0;
	struct nvml n;

	if (!lib)
		return;
	if (load(lib, &n) == 0 && n.init() == NVML_SUCCESS) {
		if (n.count(&count) == NVML_SUCCESS)
			for (unsigned i = 0; i < count && i < PROBE_DEVICES_MAX; i++)
				one(out, &n, i);
		(void)n.shutdown();
	}
	(void)dlclose(lib);
}
