/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * soft.h - the soft engine's own data: guest code run in user space, without hardware support.
 *
 *	engine.c	the engine vtable, creation and destruction, ops of the instruction library
 *	interp.c	enter(): events, the block loop, single steps, breakpoints
 *	block.c		decoded instructions, cached by guest-physical address
 *	code_page.c	which guest pages hold decoded code; stores into them
 *	stub.c		executable memory for host instructions (see x86/native.h)
 *	fpu.c		guest vector state in the host's registers
 *
 * Self-modifying and cross-modifying code. Every page of a slot has a struct code_page: a mark "holds decoded
 * code", a mask of the 16-byte granules that do, and a generation. A marked page is never cached for writing in any
 * vCPU's TLB, so each store to it passes soft_ram_written(), which moves the generation when the store hits a
 * marked granule. A block is valid while its page's generation is the one it was decoded under; that is looked at
 * each time a block is entered, and after a store the running block ends.
 *
 * Stores by the VMM itself (DMA of its device models) pass no gate. The guest learns of them by an interrupt or an exit, or by polling
 * memory; therefore each vCPU has an epoch, which moves with each KVM_RUN, with what user space tells the guest meanwhile
 * (vm.outside) and at PAUSE, and a page whose epoch is old is compared with memory once before a block of it is looked up again. Timers
 * and other vCPUs bring no news from devices by themselves.
 */
#ifndef SOFT_H
#define SOFT_H

#include "vcpu.h"
#include "native.h"
#include "translate/lockstep.h"
#include "translate/translate.h"

extern const struct engine_ops soft_engine;             /* translator, interpreter for what it does not take */
extern const struct engine_ops soft_interpreter_engine; /* interpreter only */
extern const struct engine_ops soft_lockstep_engine;    /* both, compared: translate/lockstep.h */

/* vm->engine_vm. */
struct soft_vm {
	bool translate;
	bool lockstep;
	u64 code_changes; /* a  how often a store has hit decoded code */
	struct lockstep_turns turns;
};

/* --- code pages ------------------------------------------------------------------------------------ */

/* MARKING: marked, but other vCPUs may still hold write permissions; whoever sees it waits for them as well. */
enum { CODE_PAGE_PLAIN, CODE_PAGE_MARKING, CODE_PAGE_MARKED };

/* Parts of a page: code that a JIT appends mostly begins a granule of its own, and hits nothing. */
#define GRANULE 16u
#define GRANULE_WORDS (X86_PAGE_SIZE / GRANULE / 64)
struct granules {
	u64 word[GRANULE_WORDS];
};

struct code_page {
	struct granules code; /* under locked: that hold decoded code */
	u32 generation;       /* changes under locked, read anywhere */
	u8 marked;            /* changes under locked, read anywhere: stores must be noticed */
	u8 quiet;             /* under locked: stores since the last hit, to give up the mark */
	u8 locked;            /* a */
	bool crossed;         /* an instruction of the page before ends here: its block is in that page's lists */
};

/* memslot->engine of every slot. */
struct soft_slot {
	struct code_page *page; /* one for each page of the slot */
	size_t size;            /* bytes allocated for page */
};

int soft_slot_create(struct vm *vm, struct memslot *slot);
void soft_slot_free(struct vm *vm, struct memslot *slot);

/* Of the granules that [gpa, gpa+len), within one page, touches, those in word n. */
static inline u64 granule_bits(u64 gpa, unsigned len, unsigned n)
{
	unsigned first = (unsigned)(gpa & ~X86_PAGE_MASK) / GRANULE;
	unsigned last = ((unsigned)(gpa & ~X86_PAGE_MASK) + len - 1) / GRANULE;

	if (first / 64 > n || last / 64 < n)
		return 0;
	return (first / 64 == n ? ~0ull << first % 64 : ~0ull) & (last / 64 == n ? ~0ull >> (63 - last % 64) : ~0ull);
}

static inline void granules_add(struct granules *g, u64 gpa, unsigned len)
{
	unsigned n;

	for (n = 0; n < GRANULE_WORDS; n++)
		g->word[n] |= granule_bits(gpa, len, n);
}

static inline bool granules_none(const struct granules *g)
{
	return !(g->word[0] | g->word[1] | g->word[2] | g->word[3]);
}

/*
 * Note that [gpa, gpa+len), within one page, is about to be decoded by v; on return no vCPU can write to the page
 * unnoticed. *generation is the one under which bytes read from now on are valid. NULL: not RAM.
 */
struct code_page *soft_mark_code(struct vcpu *v, u64 gpa, unsigned len, u32 *generation);
/* What v has decoded in the page is not what memory holds: every block of the page becomes invalid. */
void soft_invalidate_page(struct vcpu *v, struct code_page *p);
/* Forget all permissions to write. */
void soft_drop_writes(struct vcpu *v);
/* struct x86_ops: ram and ram_written. */
bool soft_ram(struct x86_state *s, u64 gpa, bool write, struct x86_ram *out);
void soft_ram_written(struct x86_state *s, u64 gpa, unsigned size);

/* --- blocks ---------------------------------------------------------------------------------------- */

#define BLOCK_MAX_INSNS 32
#define BLOCK_SMM 0x80 /* in the address space of system management mode */

/* A translation that branches look up: what the tables need of it, in one piece. */
struct soft_target {
	const u8 *code; /* tr_block.saved */
	u16 offset;     /* in the page */
	u8 mode;
	bool crossing; /* goes on in another page, which only a look-up of the block knows */
};

/*
 * A page of guest code as this vCPU has decoded it: its blocks, and a copy of the granules they lie in, to compare with
 * memory once an epoch. Stands in the arena, as blocks do.
 */
struct soft_page {
	u64 gpa;
	const u8 *host;
	struct code_page *page;
	bool in_smm;                /* of which address space gpa is */
	u64 lin;                    /* linear address that entries of the branch tables are for; LIN_NONE yet */
	u32 cell;                   /* 0: lin is a constant in translations; else the number of the cell that has it */
	u32 generation;             /* of page, for what is in the copy */
	u32 epoch;                  /* when the copy was last compared */
	struct granules copied;     /* that are in the copy */
	struct soft_target *target; /* translations of its blocks, of this generation, that branches look up */
	u16 nr_targets, max_targets;
	struct soft_page *next; /* same bucket */
	u8 copy[X86_PAGE_SIZE];
};

#define LIN_NONE 1u /* a value of soft_page.lin that is no address of a page */

/*
 * A run of instructions within one page that ends at a branch, at the page's end, or when full; or the one instruction
 * that crosses into the next page. Whether that is still the next page only a look-up of the block can tell: it is never
 * linked to.
 */
struct soft_block {
	u64 gpa;
	struct soft_page *page, *page2; /* page2: where a crossing instruction goes on, else NULL */
	u32 generation, generation2;    /* of the pages, when it was decoded */
	u16 nr;
	u16 len;  /* bytes of guest code */
	u16 room; /* instructions that fit */
	u8 mode;
	u8 kind;                 /* mode | BLOCK_SMM */
	u8 lost;                 /* groups of accesses in tr (group.c), so often */
	bool before_crossing;    /* the instruction behind the block crosses the page's end */
	u8 heat;                 /* executions by the interpreter */
	u8 trust;                /* so often code that is rewritten here is translated before it is hot (tr_usable) */
	struct soft_block *next; /* same bucket */
	struct tr_block *tr;     /* generated code, or NULL */
	struct tr_block *plain;  /* the same without groups, which goes on where one is lost, or NULL */
	struct tr_block *stale;  /* generated code of what stood here before, which nothing reaches any more, or NULL */
	struct x86_insn insn[];
};

/*
 * Where a linear page leads for fetches, as the last page walk found it; valid while key is the present one (block.c: context_key,
 * global_key).
 */
struct fetch_entry {
	u64 lin, key;
	u64 gpa;
	const u8 *host;
	u32 filled; /* tr_targets.emptied when the table got what is known of the page */
	bool global;
};

#define FETCH_BITS 13
#define BLOCK_HASH_BITS 18
#define PAGE_HASH_BITS 13
#define JUMP_CACHE_BITS 14

/* Where rip leads in the current context; valid as a fetch_entry is. */
struct jump_entry {
	u64 lin;
	u64 key;
	struct soft_block *block;
};

#define LONG_SPIN 512 /* so many PAUSEs: ten microseconds or more */

struct soft_vcpu {
	struct vcpu *vcpu;
	struct x86_ops ops;
	struct x86_tlb tlb;

	u64 context;        /* moves when linear addresses may lead elsewhere */
	u64 global_context; /* likewise, for global pages of the kernel's half */
	u32 epoch;          /* moves when memory may have been changed behind our back */
	u32 outside;        /* vm.outside when it last moved for that */

	bool code_breakpoints;  /* an execution breakpoint is enabled */
	bool breakpoints_stale; /* the guest has written its debug registers in this entry */

	struct fetch_entry fetch[1 << FETCH_BITS];
	struct jump_entry jump[1 << JUMP_CACHE_BITS];
	struct soft_block *bucket[1 << BLOCK_HASH_BITS];
	struct soft_page *page_bucket[1 << PAGE_HASH_BITS];
	u8 *arena; /* pages and blocks; all dropped when full */
	size_t arena_used, arena_size;

	struct host_code stubs; /* native stubs; dropped together with the blocks */
	size_t stubs_used;
	bool flush_wanted; /* stub memory is full: drop all blocks before the next one */
	u32 *stub_hash;    /* offset + 1 of a stub, by its bytes */

	/* What is running, for soft_abandoned(): the block, rip at its start; NULL: a single step from running_rip. */
	const struct soft_block *running;
	u64 running_rip;
	u64 host_gs_base; /* of the thread, while in enter() */
	bool in_enter;

	struct tr_state tr;
	u64 code_changes; /* soft_vm.code_changes when the targets were last good */

	struct {
		u64 blocks_made, blocks_flushed, blocks_stale, pages_checked;
	} stat;
};

static inline struct soft_vcpu *soft_of(struct x86_state *s)
{
	return state_vcpu(s)->engine_vcpu;
}

/*
 * RF, which every return from a fault sets, holds back instruction breakpoints until an instruction has ended. Where there
 * are none the instruction needs no step of its own for that.
 */
static inline void soft_end_resume(struct soft_vcpu *sv)
{
	if (!sv->code_breakpoints)
		sv->vcpu->state.rflags &= ~(u64)RFLAGS_RF;
}

/*
 * The block at linear address lin (CS base added, current mode). X86_OK: *b. X86_FAULT: fetch fault in s->fault.
 * X86_UNHANDLED: no block can be made here (MMIO, #UD): take a single step.
 */
enum x86_result soft_find_block(struct soft_vcpu *sv, u64 lin, struct soft_block **b);
/* The decoded block at that offset in b's page that is good while b is, or NULL. */
struct soft_block *soft_neighbour(struct soft_vcpu *sv, const struct soft_block *b, unsigned offset);
/* The page that code at lin is fetched from; NULL: none. */
struct fetch_entry *soft_fetched(struct soft_vcpu *sv, u64 lin);
/* Linear addresses may lead elsewhere; all: those of global pages too. */
void soft_new_context(struct soft_vcpu *sv, bool all);
/* Branches may lead to the block's translation from now on. False: no, the block is stale or there is no room to note it. */
bool soft_note_target(struct soft_vcpu *sv, struct soft_block *b);
/* The page is at another address now; the branch tables forget it at the old one. Without a cell its translations are no good there. */
void soft_set_address(struct soft_vcpu *sv, struct soft_page *p, u64 lin);
void soft_flush_blocks(struct soft_vcpu *sv);
/* The blocks that begin in page p, which gpa is in, are invalid: their generated code must not be found any more. */
void soft_drop_page(struct soft_vcpu *sv, u64 gpa, const struct code_page *p);
int soft_blocks_init(struct soft_vcpu *sv);
void soft_blocks_free(struct soft_vcpu *sv);

/* --- stubs (stub.c) ---------------------------------------------------------------------------------- */
int soft_stubs_init(struct soft_vcpu *sv);
void soft_stubs_free(struct soft_vcpu *sv);
/*
 * Executable copy of the stub code; equal stubs are shared. NULL when full: the caller returns X86_RETRY, and
 * everything is dropped before the instruction runs again.
 */
void soft_stubs_reset(struct soft_vcpu *sv); /* forget all stubs */
void *soft_stub_alloc(struct x86_state *s, const u8 *code, unsigned len);

/* --- interp.c ------------------------------------------------------------------------------------------ */
void soft_load(struct vcpu *v); /* KVM_RUN begins */
void soft_enter(struct vcpu *v, struct vm_exit *exit);
void soft_abandoned(struct vcpu *v);

#endif /* SOFT_H */
