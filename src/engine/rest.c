/* SPDX-License-Identifier: Apache-2.0 */
/* rest - see rest.h. */
#include "engine/rest.h"

#include <link.h>
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HEAP_KEEP (64u << 10)

/* Segments that are never written are pages of a file and nothing else: dropped, they are read again when they are touched. */
static int drop_segments(struct dl_phdr_info *info, size_t size, void *ctx)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)size;
	(void)ctx;
	if (strncmp(info->dlpi_name, "linux-vdso", 10) == 0) /* the kernel's */
		return 0;
	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t from = info->dlpi_addr + p->p_vaddr, to = from + p->p_filesz;

		if (p->p_type != PT_LOAD || p->p_flags & PF_W)
			continue;
		from &= ~(page - 1);
		to = (to + page - 1) & ~(page - 1);
		(void)madvise((void *)from, to - from, MADV_DONTNEED);
	}
	return 0;
}

void rest_give_memory_back(void)
{
	(void)malloc_trim(HEAP_KEEP);
	(void)dl_iterate_phdr(drop_segments, NULL);
}
