/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include <pthread.h>
#include "vm_tests.h"
#include "kvm_later.h"

static struct memslot *find(u64 gpa)
{
	return memslots_find(vm_slots(fx.vm, 0), gpa);
}

static void find_by_address(void **state)
{
	unsigned i;

	/* In an order that is not that of the addresses, with gaps of one page. */
	for (i = 0; i < 50; i++)
		assert_int_equal(set_slot(i, (i * 7 % 50) * 4 * PAGE, 3, i, 0), 0);
	assert_int_equal(fx.slots_live, 50);
	for (i = 0; i < 50; i++) {
		u64 base = (i * 7 % 50) * 4 * PAGE;

		assert_int_equal(find(base)->id, i);
		assert_int_equal(find(base + 3 * PAGE - 1)->id, i);
		assert_null(find(base + 3 * PAGE));
	}
	assert_null(find(~0ull));
	for (i = 0; i < 50; i += 2)
		assert_int_equal(set_slot(i, 0, 0, 0, 0), 0);
	for (i = 0; i < 50; i++) {
		if (i % 2)
			assert_int_equal(find((i * 7 % 50) * 4 * PAGE)->id, i);
		else
			assert_null(find((i * 7 % 50) * 4 * PAGE));
	}
	assert_int_equal(fx.slots_live, 25);
}

static void refuses_bad_regions(void **state)
{
	struct kvm_userspace_memory_region good = {
		.memory_size = PAGE, .userspace_addr = (u64)fx.ram,
	}, r;

#define BAD(change)                                                                                                    \
	do {                                                                                                           \
		r = good;                                                                                              \
		change;                                                                                                \
		assert_int_equal(vm_call(KVM_SET_USER_MEMORY_REGION, &r), -EINVAL);                                    \
	} while (0)
	BAD(r.memory_size = PAGE + 1);
	BAD(r.guest_phys_addr = 1);
	BAD(r.userspace_addr++);
	BAD(r.flags = 4);
	BAD(r.slot = 2 << 16);
	BAD(r.slot = VM_USER_MEM_SLOTS);
	BAD(r.guest_phys_addr = -PAGE; r.memory_size = 2 * PAGE);
	BAD(r.guest_phys_addr = 1ull << 52);
	BAD(r.userspace_addr = 1ull << 63);
	BAD(r.memory_size = 1ull << 44);
	BAD(r.memory_size = 0); /* nothing there to delete */
	assert_int_equal(vm_call(KVM_SET_USER_MEMORY_REGION, &good), 0);
	BAD(r.memory_size = 2 * PAGE);
	BAD(r.userspace_addr += PAGE);
	BAD(r.flags = KVM_MEM_READONLY);
}

/* The longer structure of Linux 6.8: what it adds counts with KVM_MEM_GUEST_MEMFD only, which is not there. */
static void longer_regions(void **state)
{
	struct kvm_userspace_memory_region2 r = {
		.memory_size = PAGE,
		.userspace_addr = (u64)fx.ram,
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_memfd = (u32)-1,
	};

	assert_int_equal(vm_call(KVM_SET_USER_MEMORY_REGION2, &r), -EINVAL);
	r.flags = 0;
	assert_int_equal(vm_call(KVM_SET_USER_MEMORY_REGION2, &r), 0);
	assert_non_null(find(0));
	r.memory_size = 0;
	assert_int_equal(vm_call(KVM_SET_USER_MEMORY_REGION2, &r), 0);
	assert_null(find(0));
}

static void overlap_and_move(void **state)
{
	assert_int_equal(set_slot(0, 0, 4, 0, 0), 0);
	assert_int_equal(set_slot(1, 3 * PAGE, 4, 4, 0), -EEXIST);
	assert_int_equal(set_slot(1, 4 * PAGE, 4, 4, 0), 0);
	assert_int_equal(set_slot(0, PAGE, 4, 0, 0), -EEXIST);
	/* It may overlap its own old place, and the other address space. */
	assert_int_equal(set_slot(1, 5 * PAGE, 4, 4, 0), 0);
	assert_int_equal(set_slot(1 << 16, 0, 4, 0, 0), 0);
	assert_null(find(4 * PAGE));
	assert_int_equal(find(8 * PAGE)->id, 1);
}

static void readonly_refuses_core_writes(void **state)
{
	u32 x = 0x12345678;

	fixture_vcpu();
	assert_int_equal(set_slot(0, 0, 1, 0, KVM_MEM_READONLY), 0);
	assert_int_equal(set_slot(1, PAGE, 1, 1, 0), 0);
	assert_int_equal(vcpu_write_guest(fx.v, 0, &x, 4), -EFAULT);
	/* Across the border of two slots, both ways. */
	assert_int_equal(vcpu_write_guest(fx.v, PAGE, &x, 4), 0);
	assert_int_equal(vm_read_guest(fx.vm, PAGE - 2, &x, 4), 0);
	assert_int_equal(x, 0x56780000);
	assert_int_equal(vm_read_guest(fx.vm, 2 * PAGE - 2, &x, 4), -EFAULT);
}

/* --- dirty log --------------------------------------------------------------------------------------- */

static u64 bitmap[4];

static long get_dirty(u32 slot)
{
	struct kvm_dirty_log log = { .slot = slot, .dirty_bitmap = bitmap };

	memset(bitmap, 0xee, sizeof(bitmap));
	return vm_call(KVM_GET_DIRTY_LOG, &log);
}

static long clear_dirty(u32 first, u32 n, u64 mask)
{
	u64 bits[4] = { mask, mask, mask, mask };
	struct kvm_clear_dirty_log log = { .slot = 0, .first_page = first, .num_pages = n, .dirty_bitmap = bits };

	return vm_call(KVM_CLEAR_DIRTY_LOG, &log);
}

static void dirty_log_reports_once(void **state)
{
	u8 x = 1;

	fixture_vcpu();
	assert_int_equal(set_slot(0, 0, 100, 0, 0), 0);
	assert_int_equal(get_dirty(0), -ENOENT);
	assert_int_equal(get_dirty(3), -ENOENT);
	assert_int_equal(get_dirty(2 << 16), -EINVAL);
	assert_int_equal(set_slot(0, 0, 100, 0, KVM_MEM_LOG_DIRTY_PAGES), 0);
	assert_int_equal(get_dirty(0), 0);
	assert_true(bitmap[0] == 0 && bitmap[1] == 0);
	assert_int_equal(bitmap[2], 0xeeeeeeeeeeeeeeeeull);
	vcpu_write_guest(fx.v, 0, &x, 1);
	vcpu_write_guest(fx.v, 99 * PAGE + 5, &x, 1);
	assert_int_equal(get_dirty(0), 0);
	assert_true(bitmap[0] == 1 && bitmap[1] == 1ull << 35);
	assert_int_equal(get_dirty(0), 0);
	assert_true(bitmap[0] == 0 && bitmap[1] == 0);
	/* A move keeps what is logged; an end of logging forgets it. */
	vcpu_write_guest(fx.v, PAGE, &x, 1);
	assert_int_equal(set_slot(0, 200 * PAGE, 100, 0, KVM_MEM_LOG_DIRTY_PAGES), 0);
	assert_int_equal(get_dirty(0), 0);
	assert_int_equal(bitmap[0], 2);
	assert_int_equal(set_slot(0, 200 * PAGE, 100, 0, 0), 0);
	assert_int_equal(get_dirty(0), -ENOENT);
}

static void manual_protection(void **state)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
				      .args = { KVM_DIRTY_LOG_INITIALLY_SET } };
	u8 x = 1;

	fixture_vcpu();
	assert_int_equal(vm_call(KVM_ENABLE_CAP, &cap), -EINVAL);
	cap.args[0] |= KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;
	assert_int_equal(vm_call(KVM_ENABLE_CAP, &cap), 0);
	assert_int_equal(set_slot(0, 0, 100, 0, KVM_MEM_LOG_DIRTY_PAGES), 0);
	assert_int_equal(get_dirty(0), 0);
	assert_true(bitmap[0] == ~0ull && bitmap[1] == (1ull << 36) - 1);
	assert_int_equal(clear_dirty(1, 64, ~0ull), -EINVAL);
	assert_int_equal(clear_dirty(0, 65, ~0ull), -EINVAL);
	assert_int_equal(clear_dirty(128, 1, ~0ull), -EINVAL);
	assert_int_equal(clear_dirty(64, 37, ~0ull), -EINVAL);
	assert_int_equal(clear_dirty(64, 36, ~0ull), 0);
	assert_int_equal(get_dirty(0), 0);
	assert_true(bitmap[0] == ~0ull && bitmap[1] == 0);
	assert_int_equal(clear_dirty(0, 64, 0xff), 0);
	vcpu_write_guest(fx.v, 3 * PAGE, &x, 1);
	assert_int_equal(get_dirty(0), 0);
	assert_int_equal(bitmap[0], (~0ull << 8) | 8);
	assert_int_equal(get_dirty(0), 0); /* reading does not clear */
	assert_int_equal(bitmap[0], (~0ull << 8) | 8);
}

/* Pages for which a ring has no room come when there is some. */
static void full_ring_loses_nothing(void **state)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_DIRTY_LOG_RING, .args = { 256 * sizeof(struct kvm_dirty_gfn) } };
	struct kvm_dirty_gfn *ring;
	bool seen[2 * RAM_PAGES] = { false };
	unsigned total = 0, turns = 0;
	u8 x = 1;
	u64 i;

	assert_int_equal(vm_call(KVM_ENABLE_CAP, &cap), 0);
	fixture_vcpu();
	ring = fx.v->ring.entry;
	assert_int_equal(set_slot(0, 0, RAM_PAGES, 0, KVM_MEM_LOG_DIRTY_PAGES), 0);
	assert_int_equal(set_slot(1, RAM_PAGES * PAGE, RAM_PAGES, 0, KVM_MEM_LOG_DIRTY_PAGES), 0);
	assert_false(dirty_ring_full(fx.v));
	for (i = 0; i < 2 * RAM_PAGES; i++) {
		assert_int_equal(vcpu_write_guest(fx.v, i * PAGE, &x, 1), 0);
		assert_int_equal(vcpu_write_guest(fx.v, i * PAGE, &x, 1), 0);
		assert_int_equal(dirty_ring_full(fx.v), i >= 127);
	}
	do {
		for (i = 0; i < 256 && ring[i].flags; i++, total++) {
			u64 page = ring[i].slot * RAM_PAGES + ring[i].offset;

			assert_int_equal(ring[i].flags, KVM_DIRTY_GFN_F_DIRTY);
			assert_false(seen[page]);
			seen[page] = true;
			ring[i].flags = KVM_DIRTY_GFN_F_RESET;
		}
		assert_int_equal(vm_call_int(KVM_RESET_DIRTY_RINGS, 0), i);
	} while (dirty_ring_full(fx.v) && ++turns < 10);
	assert_int_equal(total, 2 * RAM_PAGES);
}

/*
 * Readers against an updater: they see the old or the new world, and freed slots are really unused (run
 * under ASan, TSan).
 */
static bool stop;

static void *reader(void *arg)
{
	u64 seen = 0;

	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		int idx = host_srcu_read_lock(&fx.vm->srcu);
		struct memslot *s = find(5 * PAGE);

		if (s) {
			assert_true(s->gpa == 4 * PAGE || s->gpa == 5 * PAGE);
			memslot_mark_dirty(fx.v, s, 5 * PAGE);
			seen++;
		}
		assert_int_equal(find(0)->id, 0);
		host_srcu_read_unlock(&fx.vm->srcu, idx);
	}
	return (void *)seen;
}

static void readers_and_changes(void **state)
{
	pthread_t t[2];
	int i;

	fixture_vcpu();
	assert_int_equal(set_slot(0, 0, 1, 0, 0), 0);
	stop = false;
	for (i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, reader, NULL);
	for (i = 0; i < 300; i++) {
		assert_int_equal(set_slot(1, 4 * PAGE, 4, 1, KVM_MEM_LOG_DIRTY_PAGES), 0);
		assert_int_equal(set_slot(1, 5 * PAGE, 4, 1, KVM_MEM_LOG_DIRTY_PAGES), 0);
		assert_int_equal(set_slot(1, 0, 0, 0, 0), 0);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	for (i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(fx.slots_live, 1);
}

static void allocation_failures_change_nothing(void **state)
{
	extern void host_fail_alloc(u64 n);
	u64 n;
	long r = -ENOMEM;

	assert_int_equal(set_slot(0, 0, 4, 0, 0), 0);
	for (n = 1; r == -ENOMEM; n++) {
		host_fail_alloc(n);
		r = set_slot(1, 8 * PAGE, 4, 4, KVM_MEM_LOG_DIRTY_PAGES);
		host_fail_alloc(0);
		if (r == -ENOMEM) {
			assert_null(find(8 * PAGE));
			assert_int_equal(find(0)->id, 0);
		}
	}
	assert_int_equal(r, 0);
	assert_true(n > 3);
	assert_int_equal(find(8 * PAGE)->id, 1);
}

int vm_memslot_tests(void)
{
	const struct CMUnitTest tests[] = {
		VM_TEST(find_by_address),
		VM_TEST(refuses_bad_regions),
		VM_TEST(longer_regions),
		VM_TEST(overlap_and_move),
		VM_TEST(readonly_refuses_core_writes),
		VM_TEST(dirty_log_reports_once),
		VM_TEST(manual_protection),
		VM_TEST(full_ring_loses_nothing),
		VM_TEST(readers_and_changes),
		VM_TEST(allocation_failures_change_nothing),
	};

	return cmocka_run_group_tests_name("memory slots", tests, NULL, NULL);
}
