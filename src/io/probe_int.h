/* SPDX-License-Identifier: Apache-2.0 */
/* probe_int - what the files of probe share. Internal to src/io/probe*.c. */
#ifndef OSIER_IO_PROBE_INT_H
#define OSIER_IO_PROBE_INT_H

#include <stdbool.h>
#include <sys/types.h>

#include "io/probe.h"

struct probe_at {
	const char *root; /* "" the machine */
	struct probe *out;
};

/* A short file below the root as text without its last newline; -1 when it cannot be read. */
ssize_t probe_read(const struct probe_at *p, char *text, size_t max, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));
/* A number (decimal, or 0x...) in such a file, or `otherwise`. */
uint64_t probe_number(const struct probe_at *p, uint64_t otherwise, const char *path);
/* Where a symbolic link below the root leads: its last part. */
bool probe_link(const struct probe_at *p, const char *path, char *last, size_t max);
/* The names in a folder below the root, sorted (numbers by value), for probe_names_free(); n = 0 when there is none. */
struct probe_names {
	char **v;
	size_t n;
};
struct probe_names probe_names(const struct probe_at *p, const char *path);
void probe_names_free(struct probe_names *n);
void probe_notice(struct probe *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A new device with its indexes set, or NULL when there are too many (noticed). */
struct probe_device *probe_add(struct probe *out, const char *resource, enum probe_vendor vendor);

void probe_gpus(const struct probe_at *p);  /* probe_gpu.c */
void probe_fpgas(const struct probe_at *p); /* probe_fpga.c */
/* The name of a PCI device from pci.ids, or "VENDOR 0xNNNN". */
void probe_pci_name(const struct probe_at *p, const char *vendor_word, uint32_t vendor, uint32_t device,
        char *out, size_t max);
/* Better names, ids and memory for the NVIDIA devices found, if the library is here. probe_nvml.c */
void probe_nvml(struct probe *out);

#endif
