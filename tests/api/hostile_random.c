/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Random callers and random guests, from fixed seeds: whatever is answered, nobody crashes, and the
 * target works afterwards. HOSTILE_SEED=N in the environment gives other ones.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/guest.h"
#include "../lib/ioctls.h"
#include "../lib/signals.h"
#include "../lib/words.h"

#define ROUNDS 3000
#define THREADS 4

/* xorshift64*: the same everywhere. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

static void fill_random(uint64_t *state, void *memory, size_t size)
{
	uint64_t *words = memory;

	for (size_t i = 0; i < size / 8; i++)
		words[i] = next_random(state);
}

/* Small values are more interesting than noise: let each word be one of them half of the time. */
static void soften(uint64_t *state, void *memory, size_t size)
{
	uint64_t *at = memory;

	for (size_t i = 0; i < size / 8; i++)
		if (next_random(state) & 1)
			at[i] = interesting_words[next_random(state) % INTERESTING_WORDS];
}

/* Where a structure names host memory, it must be ours: the guest may write there later. */
static void tame(const struct ioctl_info *info, void *argument, uint8_t *memory)
{
	if (info->request == KVM_SET_USER_MEMORY_REGION) {
		struct kvm_userspace_memory_region *region = argument;

		region->userspace_addr = (uintptr_t)memory;
		if (region->memory_size > MACHINE_MEMORY)
			region->memory_size = MACHINE_MEMORY;
		region->slot |= 1; /* slot 0 is the code's */
	} else if (info->request == KVM_GET_DIRTY_LOG) {
		((struct kvm_dirty_log *)argument)->dirty_bitmap = memory;
	} else if (info->request == KVM_CLEAR_DIRTY_LOG) {
		((struct kvm_clear_dirty_log *)argument)->dirty_bitmap = memory;
	} else if (info->request == KVM_X86_SET_MSR_FILTER) {
		struct kvm_msr_filter *filter = argument;

		for (int i = 0; i < KVM_MSR_FILTER_MAX_RANGES; i++)
			filter->ranges[i].bitmap = memory;
	} else if (info->request == KVM_SET_SIGNAL_MASK) {
		struct kvm_signal_mask *mask = argument;

		/* A mask that blocks the kick would let a halted vCPU sleep for ever. */
		mask->len = 8;
		memset(mask->sigset, 0, 8);
	}
}

struct caller {
	struct machine *machine;
	struct cpu *cpu;
	uint8_t *memory;
	uint64_t seed;
	pthread_t thread;
};

static struct kt *object_of(struct caller *caller, enum ioctl_object object)
{
	return object == IOCTL_SYSTEM ? caller->machine->sys
	       : object == IOCTL_VM   ? caller->machine->vm
				      : caller->cpu->kt;
}

static void call_randomly(struct caller *caller, unsigned int rounds)
{
	static _Thread_local uint64_t argument[4096];
	uint64_t *seed = &caller->seed;

	for (unsigned int round = 0; round < rounds; round++) {
		const struct ioctl_info *info = &ioctl_table[next_random(seed) % ioctl_count];
		uint64_t value = next_random(seed);

		if (info->makes_object || info->request == KVM_RUN)
			continue;
		if (info->direction == IOCTL_VALUE) {
			soften(seed, &value, sizeof(value));
			kt_ioctl_int(object_of(caller, info->object), info->request, value);
			continue;
		}
		/* The variable parts (entries) behind the structure are random, too. */
		fill_random(seed, argument, sizeof(argument));
		soften(seed, argument, sizeof(argument));
		if (next_random(seed) & 1)
			((uint32_t *)argument)[0] %= 64;
		tame(info, argument, caller->memory);
		kt_ioctl(object_of(caller, info->object), info->request, argument);
	}
}

GUEST(works, 64, "mov eax, 0x5a\n" DONE);

/* A new VM on the same system still does its work. */
static void check_target_works(void)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);

	guest_start(cpu, GUEST_LONG, works);
	check_eq(cpu_run_to_done(cpu), 0x5a);
}

static struct caller caller_new(unsigned int flags, uint64_t seed)
{
	const char *other = getenv("HOSTILE_SEED");
	struct caller caller = { .machine = machine_new(flags), .seed = seed };

	if (other)
		caller.seed += strtoull(other, NULL, 0) * 0x9e3779b97f4a7c15ull;
	caller.cpu = cpu_new(caller.machine, 0);
	caller.memory = host_memory(MACHINE_MEMORY);
	return caller;
}

TEST(hostile_random_arguments)
{
	struct caller caller = caller_new(0, 0x1234567);

	call_randomly(&caller, ROUNDS);
	check_target_works();
}

TEST(hostile_random_arguments_with_irqchip)
{
	struct caller caller = caller_new(MACHINE_PIT, 0x7654321);

	call_randomly(&caller, ROUNDS);
	check_target_works();
}

static void *random_thread(void *opaque)
{
	call_randomly(opaque, ROUNDS / 2);
	return NULL;
}

GUEST(loop, 64, "1: inc dword ptr [0x9000]\n out 0x80, al\n mov eax, [0xd0000]\n cpuid\n jmp 1b\n");

/* The same from several threads, while the vCPU runs and is kicked. */
static void random_threads(unsigned int flags, uint64_t seed)
{
	struct caller base = caller_new(flags, seed), callers[THREADS];
	struct signal_kicker kicker;

	guest_start(base.cpu, GUEST_LONG, loop);
	signal_handle(SIGUSR1);
	signal_kicker_start(&kicker, SIGUSR1, NULL);
	for (unsigned int i = 0; i < THREADS; i++) {
		callers[i] = base;
		callers[i].seed = base.seed + i * 77777;
		check_eq(pthread_create(&callers[i].thread, NULL, random_thread, &callers[i]), 0);
	}
	for (int i = 0; i < 300; i++)
		cpu_run(base.cpu);
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(callers[i].thread, NULL);
	signal_kicker_stop(&kicker);
	check_target_works();
}

TEST(hostile_random_threads)
{
	random_threads(0, 0xabcdef);
}

TEST(hostile_random_threads_with_irqchip)
{
	random_threads(MACHINE_PIT, 0xfedcba);
}

/* Many threads make, use and drop VMs and vCPUs of one system. */
static void *make_and_drop(void *opaque)
{
	struct kt *sys = opaque, *vm, *vcpu, *again;
	struct kvm_regs regs;

	for (int i = 0; i < 20; i++) {
		check_ok(kt_make(sys, KVM_CREATE_VM, NULL, &vm));
		if (i & 1)
			check_ok(kt_ioctl(vm, KVM_CREATE_IRQCHIP, NULL));
		check_ok(kt_make(vm, KVM_CREATE_VCPU, (void *)1, &vcpu));
		check_error(kt_make(vm, KVM_CREATE_VCPU, (void *)1, &again), EEXIST);
		check_ok(kt_ioctl(vcpu, KVM_GET_REGS, &regs));
		kt_close(i & 2 ? vcpu : vm);
		kt_close(i & 2 ? vm : vcpu);
	}
	return NULL;
}

TEST(hostile_make_and_drop_from_many_threads)
{
	struct kt *sys;
	pthread_t threads[THREADS];

	check_ok(kt_open(&sys));
	for (int i = 0; i < THREADS; i++)
		check_eq(pthread_create(&threads[i], NULL, make_and_drop, sys), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

/* Several threads run one vCPU: its lock lets them through one by one. */
static void *run_often(void *opaque)
{
	for (int i = 0; i < 100; i++)
		cpu_run(opaque);
	return NULL;
}

TEST(hostile_one_vcpu_from_many_threads)
{
	struct cpu *cpu = cpu_new(machine_new(0), 0);
	pthread_t threads[THREADS];

	guest_start(cpu, GUEST_LONG, loop);
	for (int i = 0; i < THREADS; i++)
		check_eq(pthread_create(&threads[i], NULL, run_often, cpu), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	check(*(uint32_t *)(cpu->machine->mem + GUEST_DATA) > 50);
}

/* Memory of random bytes, executed: exits of every kind, ended by kicks. */
static void random_guest(enum guest_mode mode, uint64_t seed)
{
	struct caller caller = caller_new(0, seed);
	struct cpu *cpu = caller.cpu;
	struct signal_kicker kicker;

	signal_handle(SIGUSR1);
	signal_kicker_start(&kicker, SIGUSR1, NULL);
	for (int round = 0; round < 40; round++) {
		struct kvm_regs regs;

		guest_start(cpu, mode, works);
		fill_random(&caller.seed, caller.machine->mem + GUEST_CODE, 0x8000);
		guest_log(caller.machine)->silent = 1;
		guest_log(caller.machine)->skip = 1;
		regs = cpu_regs(cpu);
		fill_random(&caller.seed, &regs, 14 * 8);
		regs.rsp = GUEST_STACK;
		cpu_set_regs(cpu, &regs);
		for (int exits = 0; exits < 30; exits++) {
			int ret = cpu_run(cpu);

			if (ret < 0 && ret != -EINTR && ret != -EAGAIN && ret != -EFAULT)
				fail("KVM_RUN: %s", test_errno_name(-ret));
			if (cpu->run->exit_reason == KVM_EXIT_SHUTDOWN ||
			    cpu->run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
				break;
		}
	}
	signal_kicker_stop(&kicker);
	check_target_works();
}

TEST(hostile_random_guest_real_mode)
{
	random_guest(GUEST_REAL, 11);
}

TEST(hostile_random_guest_protected_mode)
{
	random_guest(GUEST_PROT, 22);
}

TEST(hostile_random_guest_long_mode)
{
	random_guest(GUEST_LONG, 33);
}

/* Random register files: what is refused is refused, what is taken can be run. */
TEST(hostile_random_sregs)
{
	struct caller caller = caller_new(0, 99);
	struct kvm_sregs good = cpu_sregs(caller.cpu);
	struct signal_kicker kicker;
	unsigned int taken = 0;

	signal_handle(SIGUSR1);
	signal_kicker_start(&kicker, SIGUSR1, NULL);
	for (int round = 0; round < 400; round++) {
		struct kvm_sregs sregs = good;
		uint64_t *words = (uint64_t *)&sregs;
		unsigned int changes = next_random(&caller.seed) % 6;

		for (unsigned int i = 0; i < changes; i++) {
			uint64_t *word = &words[next_random(&caller.seed) % (sizeof(sregs) / 8)];

			*word = next_random(&caller.seed);
			soften(&caller.seed, word, 8);
		}
		/* QEMU's AMD-V: #VMEXIT keeps the guest's CR0 then, and the machine stands. */
		if (sregs.efer & 0x100 && !(sregs.cr4 & 0x20))
			continue;
		if (kt_ioctl(caller.cpu->kt, KVM_SET_SREGS, &sregs) < 0)
			continue;
		taken++;
		cpu_run(caller.cpu);
	}
	signal_kicker_stop(&kicker);
	check(taken > 20);
	check_target_works();
}
