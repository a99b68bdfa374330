/* SPDX-License-Identifier: Apache-2.0 */
/* test_probe - facts about what a machine is found to have; the machines are trees in test/data/machine-*. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "io/probe.h"

static struct probe p;

static void look(const char *machine)
{
	char root[512];
	struct err e;

	(void)snprintf(root, sizeof(root), "%s/test/data/%s", OSIER_SOURCE_ROOT, machine);
	if (probe_machine(root, "/", &p, &e) < 0)
		fail_msg("%s", e.msg);
}

static void device_is(size_t i, const char *resource, uint32_t index, enum probe_vendor vendor,
        uint32_t vendor_index, const char *id, const char *model, uint64_t memory)
{
	const struct probe_device *d = &p.devices[i];

	assert_true(i < p.n_devices);
	assert_string_equal(d->resource, resource);
	assert_int_equal(d->index, index);
	assert_int_equal(d->vendor, vendor);
	assert_int_equal(d->vendor_index, vendor_index);
	assert_string_equal(d->id, id);
	assert_string_equal(d->model, model);
	assert_int_equal(d->memory_bytes, memory);
}

static void this_machine_has_processors_memory_and_disk(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(probe_machine(NULL, "/", &p, &e), 0);
	assert_true(p.cpus >= 1 && p.cpu_milli >= 1 && p.cpu_milli <= p.cpus * 1000);
	assert_true(p.memory_bytes > (64u << 20));
	assert_true(p.disk_total_bytes > 0 && p.disk_bytes <= p.disk_total_bytes);
	assert_int_equal(probe_machine(NULL, "/no/such/folder", &p, &e), -1);
	assert_int_equal(e.code, ERR_SYSTEM);
}

static void gpus_of_three_vendors_are_found_in_bus_order(void **state)
{
	(void)state;
	look("machine-gpus");
	assert_int_equal(p.cpus, 7);
	assert_int_equal(p.cpu_milli, 7000);
	assert_int_equal(p.memory_bytes, 32768000ull * 1024);
	assert_int_equal(p.n_devices, 5);
	device_is(0, "gpu", 0, PROBE_INTEL, 0, "0000:00:02.0", "Intel DG2 [Arc A770]", 17179869184u);
	device_is(1, "gpu", 1, PROBE_AMD, 0, "GPU-7f3a1b2c4d5e6f70",
	        "AMD Navi 21 [Radeon RX 6800/6800 XT / 6900 XT]", 17163091968u);
	device_is(2, "gpu", 2, PROBE_NVIDIA, 0, "GPU-6d1c0b5e-1111-2222-3333-444455556666",
	        "NVIDIA H100 PCIe", 0);
	device_is(3, "gpu", 3, PROBE_NVIDIA, 1, "0000:af:00.0", "Unknown", 0);
	device_is(4, "gpu", 4, PROBE_AMD, 1, "0000:c1:00.0", "AMD Instinct MI210", 0);
	assert_string_equal(p.notice, "NVIDIA GPU at 0000:5e:00.0 has no driver and cannot be used\n"
	                              "NVIDIA GPU at 0000:86:00.0 belongs to a virtual machine (vfio-pci)");
}

static void fpgas_are_counted_once_each(void **state)
{
	(void)state;
	look("machine-fpgas");
	assert_int_equal(p.n_devices, 4);
	device_is(0, "fpga", 0, PROBE_XILINX, 0, "region0", "Xilinx Zynq FPGA Manager", 0);
	device_is(1, "fpga", 1, PROBE_INTEL, 0, "region2-f3c99413508146018cd4ef2d1d5b6f4c",
	        "Intel DFL 0x23000410010309", 0);
	assert_string_equal(p.devices[1].bus, "0000:5e:00.0");
	device_is(2, "fpga", 2, PROBE_INTEL, 1, "0000:b0:00.0", "Intel DFL 0x360571655976424", 0);
	device_is(3, "fpga", 3, PROBE_XILINX, 1, "21290594G00L", "xilinx_u200_gen3x16_xdma_base_2", 0);
	assert_string_equal(p.notice, "Xilinx card at 0000:66:00.1 has no driver and cannot be used");
}

static void container_has_what_its_cgroups_allow(void **state)
{
	(void)state;
	look("machine-container-v2");
	assert_int_equal(p.cpus, 8);
	assert_int_equal(p.cpu_milli, 2500);
	assert_int_equal(p.memory_bytes, 2147483648u);
	look("machine-container-v1");
	assert_int_equal(p.cpu_milli, 1500);
	assert_int_equal(p.memory_bytes, 1073741824u);
	assert_int_equal(p.n_devices, 0);
	assert_string_equal(p.notice, "");
}

static void nonsense_in_sysfs_is_lived_with(void **state)
{
	(void)state;
	look("machine-broken");
	assert_int_equal(p.cpu_milli, 8000);
	assert_int_equal(p.memory_bytes, 32768000ull * 1024);
	assert_int_equal(p.n_devices, 1);
	device_is(0, "gpu", 0, PROBE_NVIDIA, 0, "0000:01:00.0", "NVIDIA 0x0000", 0);
}

static void empty_root_is_an_error_that_says_what_was_read(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(probe_machine("/no/such/root", "/", &p, &e), -1);
	assert_string_equal(
	        e.msg, "cannot count the processors in '/no/such/root/sys/devices/system/cpu/online'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(this_machine_has_processors_memory_and_disk),
	        cmocka_unit_test(gpus_of_three_vendors_are_found_in_bus_order),
	        cmocka_unit_test(fpgas_are_counted_once_each),
	        cmocka_unit_test(container_has_what_its_cgroups_allow),
	        cmocka_unit_test(nonsense_in_sysfs_is_lived_with),
	        cmocka_unit_test(empty_root_is_an_error_that_says_what_was_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
