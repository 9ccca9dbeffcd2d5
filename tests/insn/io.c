/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Instructions whose operand is a device: memory-mapped or port. Reads that user space answers later
 * (X86_PENDING), string instructions in parts, and what must not be done twice.
 *
 * The device is a FIFO: each read takes the next number. What has been read for an unfinished instruction is
 * recorded, as core/ does, and the same reads are answered from there when the instruction runs again.
 */
#include <string.h>
#include "sys_env.h"

#define DEVICE 0x300000u /* behind RAM */
#define RECORDS 16

static struct {
	unsigned taken; /* numbers that the FIFO has given */
	bool late;      /* a first read is X86_PENDING */
	unsigned recorded, replayed;
	u64 record[RECORDS];
	unsigned written;
	u64 last_write;
	/* Ports: elements for each call, whether calls end with X86_EXIT or begin with X86_PENDING. */
	unsigned chunk;
	bool exits, waits, ready;
	unsigned port_calls;
	u8 sent[64];
	unsigned nr_sent;
} device;

static enum x86_result device_read(struct x86_state *s, u64 gpa, void *buf, unsigned size)
{
	if (device.replayed == device.recorded) {
		if (device.recorded == RECORDS)
			return X86_HOST_FAULT;
		device.record[device.recorded++] = device.taken++;
		if (device.late)
			return X86_PENDING;
	}
	memcpy(buf, &device.record[device.replayed++], size);
	return X86_OK;
}

static enum x86_result device_write(struct x86_state *s, u64 gpa, const void *buf, unsigned size)
{
	device.last_write = 0;
	memcpy(&device.last_write, buf, size);
	device.written++;
	return X86_OK;
}

static unsigned part(unsigned count)
{
	return device.chunk && device.chunk < count ? device.chunk : count;
}

static enum x86_result port_in(struct x86_state *s, u16 port, unsigned size, void *buf, unsigned count, unsigned *done)
{
	unsigned n;

	device.port_calls++;
	*done = 0;
	if (device.waits && !device.ready) {
		device.ready = true;
		return X86_PENDING;
	}
	device.ready = false;
	for (n = 0; n < part(count); n++, device.taken++)
		memcpy((u8 *)buf + n * size, &device.taken, size);
	*done = n;
	return device.exits ? X86_EXIT : X86_OK;
}

static enum x86_result port_out(struct x86_state *s, u16 port, unsigned size, const void *buf, unsigned count,
				unsigned *done)
{
	device.port_calls++;
	*done = part(count);
	memcpy(device.sent + device.nr_sent, buf, *done * size);
	device.nr_sent += *done * size;
	return device.exits ? X86_EXIT : X86_OK;
}

static struct sys_env *with_device(struct sys_env *e)
{
	static struct x86_ops ops;

	ops = *e->s.ops;
	ops.mmio_read = device_read;
	ops.mmio_write = device_write;
	ops.in = port_in;
	ops.out = port_out;
	e->s.ops = &ops;
	memset(&device, 0, sizeof(device));
	return e;
}

/* One instruction to its end; the number of calls that it took, 0 if it ended otherwise. */
static unsigned finish_one(struct sys_env *e)
{
	unsigned turns;
	u64 rip = e->s.rip;
	enum x86_result r;

	for (turns = 1; turns < 1000; turns++) {
		device.replayed = 0;
		r = x86_step(&e->s, &e->insn);
		if (r != X86_PENDING)
			device.recorded = 0;
		if ((r == X86_OK || r == X86_EXIT) && e->s.rip != rip)
			return turns;
		if (r == X86_FAULT || r == X86_UNHANDLED || r == X86_HOST_FAULT)
			break;
	}
	insn_fail("the instruction did not end");
	return 0;
}

SYS_CODE_DEF(io_movs, 32, "rep movsw");
SYS_CODE_DEF(io_add, 32, "add [esi], eax");
SYS_CODE_DEF(io_xadd, 32, "lock xadd [esi], eax");
SYS_CODE_DEF(io_pop, 32, "pop dword ptr [esi]");
SYS_CODE_DEF(io_push, 32, "push dword ptr [esi]");
SYS_CODE_DEF(io_cmps, 32, "cmpsd");
SYS_CODE_DEF(io_lods, 32, "rep lodsb");
SYS_CODE_DEF(io_stos, 32, "rep stosd");

SYS_TEST(mmio_strings, "io: strings from and to memory-mapped devices")
{
	struct sys_env *e;
	unsigned late, n;

	for (late = 0; late < 2; late++) {
		e = with_device(sys_prot(0));
		device.late = late;
		SYS_LOAD(e, SYS_CODE, io_movs);
		e->s.gpr[X86_RSI] = DEVICE;
		e->s.gpr[X86_RDI] = SYS_DATA + 0xff1; /* crosses a page, not aligned */
		e->s.gpr[X86_RCX] = 40;
		finish_one(e);
		EXPECT_EQ(device.taken, 40);
		for (n = 0; n < 40; n++)
			EXPECT_EQ(sys_read(e, SYS_DATA + 0xff1 + 2 * n, 2), n);
		EXPECT_EQ(e->s.gpr[X86_RCX], 0);
		EXPECT_EQ(e->s.gpr[X86_RSI], DEVICE + 80);

		e = with_device(sys_prot(0));
		device.late = late;
		SYS_LOAD(e, SYS_CODE, io_lods);
		e->s.gpr[X86_RSI] = DEVICE;
		e->s.gpr[X86_RCX] = 7;
		finish_one(e);
		EXPECT_EQ(device.taken, 7);
		EXPECT_EQ(e->s.gpr[X86_RAX] & 0xff, 6);

		e = with_device(sys_prot(0));
		device.late = late;
		SYS_LOAD(e, SYS_CODE, io_cmps);
		e->s.gpr[X86_RSI] = e->s.gpr[X86_RDI] = DEVICE;
		finish_one(e);
		EXPECT_EQ(device.taken, 2);
		EXPECT(e->s.rflags & RFLAGS_CF); /* 0 - 1 */
	}
	e = with_device(sys_prot(0));
	SYS_LOAD(e, SYS_CODE, io_stos);
	e->s.gpr[X86_RDI] = DEVICE;
	e->s.gpr[X86_RCX] = 5;
	e->s.gpr[X86_RAX] = 0x12345678;
	finish_one(e);
	EXPECT_EQ(device.written, 5);
	EXPECT_EQ(device.last_write, 0x12345678);
}

SYS_TEST(mmio_once, "io: read-modify-write of a device reads once and writes once")
{
	struct sys_env *e;
	unsigned late;

	for (late = 0; late < 2; late++) {
		e = with_device(sys_prot(0));
		device.late = late;
		device.taken = 100;
		SYS_LOAD(e, SYS_CODE, io_add);
		e->s.gpr[X86_RSI] = DEVICE;
		e->s.gpr[X86_RAX] = 7;
		finish_one(e);
		EXPECT_EQ(device.taken, 101);
		EXPECT_EQ(device.written, 1);
		EXPECT_EQ(device.last_write, 107);

		e = with_device(sys_prot(0));
		device.late = late;
		device.taken = 100;
		SYS_LOAD(e, SYS_CODE, io_xadd);
		e->s.gpr[X86_RSI] = DEVICE;
		e->s.gpr[X86_RAX] = 7;
		finish_one(e);
		EXPECT_EQ(e->s.gpr[X86_RAX], 100);
		EXPECT_EQ(device.last_write, 107);

		e = with_device(sys_prot(0));
		device.late = late;
		device.taken = 55;
		SYS_LOAD(e, SYS_CODE, io_push);
		e->s.gpr[X86_RSI] = DEVICE;
		finish_one(e);
		EXPECT_EQ(sys_stack(e, 0, 4), 55);
		EXPECT_EQ(device.taken, 56);
	}
	e = with_device(sys_prot(0));
	SYS_LOAD(e, SYS_CODE, io_pop);
	e->s.gpr[X86_RSI] = DEVICE;
	e->s.gpr[X86_RSP] = SYS_STACK0 - 4;
	sys_write(e, SYS_STACK0 - 4, 4, 0xabcd);
	finish_one(e);
	EXPECT_EQ(device.written, 1);
	EXPECT_EQ(device.last_write, 0xabcd);
}

SYS_CODE_DEF(io_insd, 32, "rep insd");
SYS_CODE_DEF(io_insb_down, 32, "std\nrep insb");
SYS_CODE_DEF(io_outsb, 32, "rep outsb");
SYS_CODE_DEF(io_ins_one, 32, "insw");

SYS_TEST(port_strings, "io: port strings in parts, waiting, and leaving in between")
{
	static const struct {
		unsigned chunk;
		bool waits, exits;
	} how[] = {
		{ 0, false, false }, { 3, false, false }, { 0, true, false }, { 5, true, true }, { 1, false, true },
	};
	struct sys_env *e;
	unsigned k, n;

	for (k = 0; k < ARRAY_SIZE(how); k++) {
		e = with_device(sys_prot(0));
		device.chunk = how[k].chunk;
		device.waits = how[k].waits;
		device.exits = how[k].exits;
		SYS_LOAD(e, SYS_CODE, io_insd);
		e->s.gpr[X86_RDX] = 0x170;
		e->s.gpr[X86_RDI] = SYS_DATA + 0xfca;
		e->s.gpr[X86_RCX] = 50;
		finish_one(e);
		EXPECT_EQ(device.taken, 50);
		EXPECT_EQ(e->s.gpr[X86_RCX], 0);
		EXPECT_EQ(e->s.gpr[X86_RDI], SYS_DATA + 0xfca + 200);
		for (n = 0; n < 50; n++)
			EXPECT_EQ(sys_read(e, SYS_DATA + 0xfca + 4 * n, 4), n);

		e = with_device(sys_prot(0));
		device.chunk = how[k].chunk;
		device.exits = how[k].exits;
		SYS_LOAD(e, SYS_CODE, io_outsb);
		for (n = 0; n < 48; n++)
			sys_write(e, SYS_DATA + 0xff0 + n, 1, 'A' + n);
		e->s.gpr[X86_RSI] = SYS_DATA + 0xff0;
		e->s.gpr[X86_RCX] = 48;
		finish_one(e);
		EXPECT_EQ(device.nr_sent, 48);
		for (n = 0; n < 48; n++)
			EXPECT_EQ(device.sent[n], 'A' + n);

		e = with_device(sys_prot(0));
		device.waits = how[k].waits;
		SYS_LOAD(e, SYS_CODE, io_insb_down);
		e->s.gpr[X86_RDI] = SYS_DATA + 0x1003;
		e->s.gpr[X86_RCX] = 10;
		finish_one(e);
		finish_one(e);
		EXPECT_EQ(e->s.gpr[X86_RDI], SYS_DATA + 0x1003 - 10);
		for (n = 0; n < 10; n++)
			EXPECT_EQ(sys_read(e, SYS_DATA + 0x1003 - n, 1), n);
	}
}

SYS_TEST(port_fault, "io: nothing is read from a port for a destination that faults")
{
	struct sys_env *e = with_device(sys_prot(0));

	e->s.seg[SEG_ES].limit = 0xfff;
	SYS_LOAD(e, SYS_CODE, io_ins_one);
	e->s.gpr[X86_RDI] = 0xfff;
	EXPECT_EQ(x86_step(&e->s, &e->insn), X86_FAULT);
	EXPECT_EQ(e->s.fault.vector, X86_EXC_GP);
	EXPECT_EQ(device.port_calls, 0);
	EXPECT_EQ(e->s.gpr[X86_RDI], 0xfff);
}

SYS_TEST(string_steps, "io: a single-stepped string instruction stops after each iteration")
{
	struct sys_env *e = with_device(sys_prot(0));
	unsigned n;

	SYS_LOAD(e, SYS_CODE, io_stos);
	e->s.gpr[X86_RDI] = SYS_DATA;
	e->s.gpr[X86_RCX] = 3;
	e->s.step_strings = true;
	for (n = 1; n <= 3; n++) {
		EXPECT_EQ(x86_step(&e->s, &e->insn), n < 3 ? X86_REPEAT : X86_OK);
		EXPECT_EQ(e->s.gpr[X86_RCX], 3 - n);
		EXPECT_EQ(e->s.rip, n < 3 ? SYS_CODE : SYS_CODE + 2);
	}
}
