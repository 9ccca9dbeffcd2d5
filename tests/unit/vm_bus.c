/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include <sys/eventfd.h>
#include <unistd.h>
#include "vm_tests.h"

struct probe {
	struct bus_dev dev;
	unsigned reads, writes;
	u64 last_addr;
	bool refuse;
};

static int probe_read(struct bus_dev *d, struct vcpu *v, u64 addr, u32 len, void *val)
{
	struct probe *p = container_of(d, struct probe, dev);

	p->reads++;
	p->last_addr = addr;
	return p->refuse ? -EOPNOTSUPP : 0;
}

static int probe_write(struct bus_dev *d, struct vcpu *v, u64 addr, u32 len, const void *val)
{
	struct probe *p = container_of(d, struct probe, dev);

	p->writes++;
	p->last_addr = addr;
	return p->refuse ? -EOPNOTSUPP : 0;
}

static const struct bus_dev_ops probe_ops = { .read = probe_read, .write = probe_write };
static const struct bus_dev_ops write_only_ops = { .write = probe_write };

static int rd(u64 addr, u32 len)
{
	u64 val;

	return bus_read(fx.v, BUS_MMIO, addr, len, &val);
}

static int wr(enum vm_bus bus, u64 addr, u32 len, u64 val)
{
	return bus_write(fx.v, bus, addr, len, &val);
}

static void ranges_and_overlap(void **state)
{
	struct probe big = { .dev = { &probe_ops } }, small = { .dev = { &probe_ops } },
		     wo = { .dev = { &write_only_ops } };

	fixture_vcpu();
	assert_int_equal(rd(0x1000, 4), -EOPNOTSUPP);
	assert_int_equal(bus_register(fx.vm, BUS_MMIO, 0x1000, 0x1000, &big.dev), 0);
	assert_int_equal(bus_register(fx.vm, BUS_MMIO, 0x1800, 8, &small.dev), 0);
	assert_int_equal(bus_register(fx.vm, BUS_MMIO, 0x1900, 8, &wo.dev), 0);
	assert_int_equal(rd(0xfff, 4), -EOPNOTSUPP);
	assert_int_equal(rd(0x1ffc, 4), 0);
	assert_int_equal(rd(0x1ffd, 4), -EOPNOTSUPP);
	assert_int_equal(big.reads, 1);
	/* The wider one comes first; when it declines, the next is asked. */
	assert_int_equal(rd(0x1800, 8), 0);
	assert_int_equal(small.reads, 0);
	big.refuse = true;
	assert_int_equal(rd(0x1800, 8), 0);
	assert_int_equal(small.reads, 1);
	assert_int_equal(rd(0x1804, 8), -EOPNOTSUPP);
	assert_int_equal(rd(0x1900, 4), -EOPNOTSUPP);
	assert_int_equal(wr(BUS_MMIO, 0x1900, 4, 0), 0);
	assert_int_equal(wr(BUS_PIO, 0x1900, 4, 0), -EOPNOTSUPP);
	bus_unregister(fx.vm, BUS_MMIO, &small.dev);
	assert_int_equal(rd(0x1800, 8), -EOPNOTSUPP);
	bus_unregister(fx.vm, BUS_MMIO, &big.dev);
	bus_unregister(fx.vm, BUS_MMIO, &wo.dev);
}

static void unregister_without_memory(void **state)
{
	extern void host_fail_alloc(u64 n);
	struct probe a = { .dev = { &probe_ops } }, b = { .dev = { &probe_ops } };

	fixture_vcpu();
	bus_register(fx.vm, BUS_MMIO, 0x10, 4, &a.dev);
	bus_register(fx.vm, BUS_MMIO, 0x20, 4, &b.dev);
	host_fail_alloc(1);
	bus_unregister(fx.vm, BUS_MMIO, &a.dev);
	host_fail_alloc(0);
	assert_int_equal(rd(0x10, 4), -EOPNOTSUPP);
	assert_int_equal(a.reads, 0);
	assert_int_equal(rd(0x20, 4), 0);
	bus_unregister(fx.vm, BUS_MMIO, &b.dev);
}

static void limit_of_devices(void **state)
{
	static struct probe p[1001];
	unsigned i;

	for (i = 0; i < 1000; i++) {
		p[i].dev.ops = &probe_ops;
		assert_int_equal(bus_register(fx.vm, BUS_PIO, i, 1, &p[i].dev), 0);
	}
	p[1000].dev.ops = &probe_ops;
	assert_int_equal(bus_register(fx.vm, BUS_PIO, 1000, 1, &p[1000].dev), -ENOSPC);
}

/* --- ioeventfd ----------------------------------------------------------------------------------------- */

static long ioeventfd(int fd, u64 addr, u32 len, u32 flags, u64 match)
{
	struct kvm_ioeventfd args = { .fd = fd, .addr = addr, .len = len, .flags = flags, .datamatch = match };

	return vm_call(KVM_IOEVENTFD, &args);
}

static u64 taken(int fd)
{
	u64 n = 0;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static void ioeventfds(void **state)
{
	const u32 match = KVM_IOEVENTFD_FLAG_DATAMATCH, pio = KVM_IOEVENTFD_FLAG_PIO, off = KVM_IOEVENTFD_FLAG_DEASSIGN;
	int a = eventfd(0, EFD_NONBLOCK), b = eventfd(0, EFD_NONBLOCK), p[2];

	fixture_vcpu();
	assert_int_equal(ioeventfd(a, 0x100, 4, match, 1), 0);
	assert_int_equal(ioeventfd(b, 0x100, 4, match, 2), 0);
	assert_int_equal(ioeventfd(b, 0x100, 4, match, 2), -EEXIST);
	assert_int_equal(ioeventfd(b, 0x100, 4, 0, 0), -EEXIST);
	assert_int_equal(ioeventfd(b, 0x100, 0, 0, 0), -EEXIST);
	assert_int_equal(ioeventfd(b, 0x100, 2, 0, 0), 0);
	assert_int_equal(ioeventfd(b, 0x100, 4, pio | match, 2), 0);
	assert_int_equal(ioeventfd(a, 0x200, 0, 0, 0), 0);
	assert_int_equal(ioeventfd(a, 0x300, 3, 0, 0), -EINVAL);
	assert_int_equal(ioeventfd(a, 0x300, 0, match, 0), -EINVAL);
	assert_int_equal(ioeventfd(a, 0x300, 4, KVM_IOEVENTFD_FLAG_VIRTIO_CCW_NOTIFY, 0), -EINVAL);
	assert_int_equal(ioeventfd(a, ~0ull, 4, 0, 0), -EINVAL);
	assert_int_equal(ioeventfd(-1, 0x300, 4, 0, 0), -EBADF);
	assert_int_equal(pipe(p), 0);
	assert_int_equal(ioeventfd(p[0], 0x300, 4, 0, 0), -EINVAL);

	assert_int_equal(wr(BUS_MMIO, 0x100, 4, 1), 0);
	assert_int_equal(wr(BUS_MMIO, 0x100, 4, 3), -EOPNOTSUPP);
	assert_int_equal(wr(BUS_MMIO, 0x100, 8, 1), -EOPNOTSUPP);
	assert_int_equal(taken(a), 1);
	assert_int_equal(taken(b), 0);
	assert_int_equal(wr(BUS_MMIO, 0x100, 4, 2), 0);
	assert_int_equal(wr(BUS_PIO, 0x100, 4, 2), 0);
	assert_int_equal(wr(BUS_MMIO, 0x100, 2, 77), 0);
	assert_int_equal(taken(b), 3);
	assert_int_equal(wr(BUS_MMIO, 0x200, 8, 5), 0);
	assert_int_equal(wr(BUS_MMIO, 0x200, 1, 5), 0);
	assert_int_equal(taken(a), 2);
	assert_int_equal(rd(0x200, 1), -EOPNOTSUPP);

	assert_int_equal(ioeventfd(b, 0x100, 4, off | match, 1), -ENOENT);
	assert_int_equal(ioeventfd(a, 0x100, 4, off, 1), -ENOENT);
	assert_int_equal(ioeventfd(a, 0x100, 4, off | match, 1), 0);
	assert_int_equal(wr(BUS_MMIO, 0x100, 4, 1), -EOPNOTSUPP);
	close(a);
	close(b);
	close(p[0]);
	close(p[1]);
}

/*
 * --- coalesced writes ------------------------------------------------------------------------------------
 */

static void coalesced(void **state)
{
	struct kvm_coalesced_mmio_zone zone = { .addr = 0x1000, .size = 0x100 },
				       port = { .addr = 0x70, .size = 2, .pio = 1 };
	struct kvm_coalesced_mmio_ring *ring;
	unsigned i, max = (4096 - sizeof(*ring)) / sizeof(ring->coalesced_mmio[0]);

	fixture_vcpu();
	ring = (void *)((u8 *)fx.v->run + 2 * PAGE);
	port.pio = 2;
	assert_int_equal(vm_call(KVM_REGISTER_COALESCED_MMIO, &port), -EINVAL);
	port.pio = 1;
	assert_int_equal(vm_call(KVM_REGISTER_COALESCED_MMIO, &zone), 0);
	assert_int_equal(vm_call(KVM_REGISTER_COALESCED_MMIO, &port), 0);
	assert_int_equal(wr(BUS_MMIO, 0x10fe, 4, 0), -EOPNOTSUPP);
	assert_int_equal(wr(BUS_MMIO, 0x10fc, 4, 0x11223344), 0);
	assert_int_equal(wr(BUS_PIO, 0x71, 1, 0x55), 0);
	assert_true(ring->first == 0 && ring->last == 2);
	assert_int_equal(ring->coalesced_mmio[0].phys_addr, 0x10fc);
	assert_int_equal(ring->coalesced_mmio[0].len, 4);
	assert_int_equal(ring->coalesced_mmio[0].data[3], 0x11);
	assert_int_equal(ring->coalesced_mmio[0].pio, 0);
	assert_int_equal(ring->coalesced_mmio[1].pio, 1);
	for (i = 2; i < max - 1; i++)
		assert_int_equal(wr(BUS_MMIO, 0x1000, 8, i), 0);
	/* Full: one entry always stays free. */
	assert_int_equal(wr(BUS_MMIO, 0x1000, 8, i), -EOPNOTSUPP);
	ring->first = 1;
	assert_int_equal(wr(BUS_MMIO, 0x1000, 8, i), 0);
	assert_int_equal(ring->last, 0);
	/* A hostile index is not followed. */
	ring->last = 0x10000;
	assert_int_equal(wr(BUS_MMIO, 0x1000, 8, i), -EOPNOTSUPP);
	ring->last = 0;
	ring->first = 0;
	zone.addr = 0x1010;
	zone.size = 4;
	assert_int_equal(vm_call(KVM_UNREGISTER_COALESCED_MMIO, &zone), 0);
	assert_int_equal(wr(BUS_MMIO, 0x1000, 4, 0), -EOPNOTSUPP);
	assert_int_equal(wr(BUS_PIO, 0x70, 1, 0), 0);
}

int vm_bus_tests(void)
{
	const struct CMUnitTest tests[] = {
		VM_TEST(ranges_and_overlap), VM_TEST(unregister_without_memory),
		VM_TEST(limit_of_devices),   VM_TEST(ioeventfds),
		VM_TEST(coalesced),
	};

	return cmocka_run_group_tests_name("buses", tests, NULL, NULL);
}
