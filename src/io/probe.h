/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe - what this machine has: processors, memory, disk, GPUs, FPGAs.
 *
 * Reads /proc, /sys and, for NVIDIA, NVML (by dlopen: no build or run needs it). Everything is read below a root folder that tests
 * replace by a tree of their own ($OSIER_PROBE_ROOT for an engine); NVML is asked only when the root is the real one. Changes nothing, starts nothing.
 * Not the node's configuration, which may add, hide and rename any of it afterwards (engine/config.h).
 *
 * Read: sys/devices/system/cpu/online, proc/meminfo, the cgroup limits of this process (cpu quota and memory: a container has less
 * than its machine), sys/bus/pci/devices (GPUs of NVIDIA, AMD and Intel; Xilinx cards with their xocl driver),
 * proc/driver/nvidia/gpus, sys/class/fpga_region, sys/bus/platform/devices/dfl-fme.N (Intel DFL), usr/share/misc/pci.ids (names).
 * Devices come in the order of their PCI addresses, which is NVML's; regions of FPGAs in the order of their numbers.
 */
#ifndef OSIER_IO_PROBE_H
#define OSIER_IO_PROBE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define PROBE_DEVICES_MAX 256u

enum probe_vendor { PROBE_NVIDIA, PROBE_AMD, PROBE_INTEL, PROBE_XILINX, PROBE_OTHER };

struct probe_device {
	const char *resource; /* "gpu" or "fpga" */
	uint32_t index;       /* 0, 1 ... among those of the resource */
	enum probe_vendor vendor;
	uint32_t
	        vendor_index; /* among those of the resource and the vendor: what the vendor's own tools count */
	char id[64];          /* lasting: GPU-<uuid> of NVIDIA, else a serial number or the bus address */
	char bus[24];         /* "0000:3b:00.0", or "" */
	char model[96];       /* "NVIDIA H100 PCIe"; at least vendor and number */
	uint64_t memory_bytes; /* its own; 0 unknown or shared with the machine */
};

struct probe {
	uint64_t cpu_milli;    /* what may be used: processors online, and no more than a cgroup allows */
	uint64_t cpus;         /* processors online */
	uint64_t memory_bytes; /* likewise */
	uint64_t
	        disk_bytes; /* of the state folder's file system: what an ordinary user could still write, now */
	uint64_t disk_total_bytes;
	struct probe_device devices[PROBE_DEVICES_MAX];
	size_t n_devices;
	char notice
	        [512]; /* what was seen and cannot be used, a line each: "GPU at 0000:01:00.0 has no driver" */
};

/* Look. root: "" or NULL for the machine itself, else a folder like / without a slash at its end. state_dir: for the disk, as it
 * is (not below root). ERR_SYSTEM when not even processors and memory can be told. Takes some ms (NVML: up to some 100). */
int probe_machine(const char *root, const char *state_dir, struct probe *out, struct err *e);

#endif
