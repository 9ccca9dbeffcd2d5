/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * translate.h - the translator: hot soft_blocks (engine/soft/soft.h) become host code.
 *
 * The guest's instruction set is the host's, so most instructions are copied with their operands redirected:
 *
 *	guest rax..rdi (but rsp)		the same host registers
 *	guest r12-r15				host r8-r11
 *	guest rsp				host r14 (host rsp is the host's stack: signals must find one)
 *	guest r8-r11				memory: gs:[x86_state.gpr]
 *	host r15				base of the flat table in force | 12 (also a shift count)
 *	host r12, r13				scratch
 *	host gs base				struct x86_state of this vCPU
 *	guest arithmetic flags			host flags, or (saved form) the cell GEN_FLAGS
 *	guest vector and x87 state		the host's registers (x86_state.fpu_live is true in all generated code)
 *
 * Memory. flat.c keeps a sparse table with one addend per guest page for each kind of access and privilege; the inline
 * part checks alignment, looks the addend up and uses it. Accesses off one base share a look-up (group.c); those off the stack
 * pointer mostly need none (stack.c). Whatever has no
 * addend (absent, MMIO, code page, watchpoint, unaligned across pages) leaves the block, and the interpreter executes the
 * whole instruction.
 *
 * Flags. A check in front of an access needs flags. Where the guest's are live they are saved first, once for a run of
 * accesses, and stay saved until somebody reads them, or the block ends: blocks have two entries, for native and for saved
 * flags, and the code behind is for the form that the block asks for first (tr_first_form). Where the guest overwrites them
 * before it reads them, in the block or in all blocks of the page that follow it, they are not saved: the RFLAGS that a memory
 * fault pushes at such a place may then show other arithmetic flags than the guest's last instruction left (docs/status.md).
 *
 * Position. Blocks are found by physical address. As long as their page has been seen at one linear address only
 * (soft_page.lin), translations have that as a constant; from then on they find it in a cell of their page's own, in front of the
 * stubs. The branch tables lead to a page at soft_page.lin only, so whatever enters it finds the right one; a cell of the address
 * being executed would be waited for through every call and return.
 *
 * 32-bit code (X86_MODE_PROT32: compatibility mode; protected mode, paged or not) is translated where CS, DS, ES and SS are
 * flat: tr_context_ok() looks at that before generated code is entered, and so does every helper afterwards, as it may have
 * loaded a segment. Other segments are the interpreter's, as are 16-bit code and all real-mode code. What differs:
 *	- upper halves of rax..rdi and rsp are zero, and stay so as every 32-bit result is extended: a register is an address
 *	  as it is. 64-bit code that leaves something there is interpreted in 32-bit mode until it is gone.
 *	- sums that form addresses are 32-bit (struct front.m32), so they wrap as the guest's; stack slots have 4 bytes.
 *	- FS and GS have a base, added in line. If they are not usable as they are (null, limit, alignment) their cell GEN_NO_FS
 *	  or GEN_NO_GS has a bit beyond 4 GiB, which makes the access miss.
 *	- encodings that 64-bit mode has not get another form (emit_guest); all else that it has not are helpers.
 *	- a hash table leads to code of one mode, and is emptied when another is entered with it.
 * Guest r8-r15 are not touched. Without paging the flat tables hold the identity, and as no flush ever tells of new code there, the
 * hash tables are emptied at each entry into guest mode.
 *
 * Control flow. Jumps within the page are linked directly (patched), but to an instruction that crosses into the next
 * page, as only a look-up knows which page that is. In 64-bit code a CALL is the host's, and its RET comes back to the code behind it,
 * which compares the address (branch.c, land). Every other branch goes through a hash table by linear
 * address, one for user and one for supervisor mode, emptied whenever translations of code addresses may change. Loops
 * pass a check of vcpu->requests: in each backward link and in each look-up but direct ones forward and returns to where their call was. A block that control
 * falls into, and that has been decoded but not translated, is translated along and follows directly (a chain, front.c).
 *
 * Invalidation. Blocks of a page whose generation has moved are reached from that page alone (links, chains) or by the hash
 * tables; they depend on each other (flags), so all blocks of a page go together. What stands in their place is mostly translated into
 * their place (front.c).
 * A store that hits code is executed by the interpreter, outside; so emptying the tables before generated code is entered
 * again is enough; other vCPUs are told by REQ_PAUSE, and every entry into guest mode empties them.
 */
#ifndef TRANSLATE_H
#define TRANSLATE_H

#include "vcpu.h"

struct soft_vcpu;
struct soft_block;
struct soft_page;
struct lockstep;
struct tr_counters;

/* --- cells of generated code: x86_state.gen[] ----------------------------------------------------------- */

enum gen_cell {
	GEN_FLAGS,       /* saved form of the arithmetic flags: AH as LAHF leaves it, AL = OF */
	GEN_RAX,         /* rax while it is used to save or restore flags */
	GEN_WRITE_DELTA, /* entries from the read table in force to the write table */
	GEN_HASH,        /* base of the hash table in force */
	GEN_HOST_RSP,    /* stack pointer of the entry: that of helpers */
	GEN_PAIRS,       /* the stack of generated code when it is empty (stubs.c) */
	GEN_RSP,         /* the stack pointer of generated code while a helper runs */
	GEN_TARGET,      /* where the entry jumps */
	GEN_SOFT_VCPU,   /* struct soft_vcpu */
	GEN_R13,         /* scratch kept over a helper */
	GEN_NO_FS,       /* 32-bit code: 0, or a bit beyond 4 GiB if FS cannot be used inline: such an address misses */
	GEN_NO_GS,
	GEN_TABLE,       /* r15 */
	GEN_OVERWRITTEN, /* 64-bit code: what an indirect CALL's return address has replaced */
	/* What the tables, the write delta and x86_state.mmu_index become by STAC and CLAC. */
	GEN_STAC_TABLE,
	GEN_STAC_DELTA,
	GEN_STAC_INDEX,
	GEN_CLAC_TABLE,
	GEN_CLAC_DELTA,
	GEN_CLAC_INDEX,
	GEN_STACK_PAGE,   /* linear address of a page that may be written in the mode in force, or NO_STACK_PAGE, and */
	GEN_STACK_ADDEND, /* what makes it, or since then the page of the last look-up through r14, a host address */
	GEN_SITE, /* number of the site that a stub works for, where r12 is needed: that look-up, a RET (stubs.c) */
	GEN_HOST, /* host addresses of groups of accesses (group.c) */
	GEN_VECTORS = GEN_HOST + 4, /* three vector registers of a gather (vector.c) */
	GEN_CELLS = GEN_VECTORS + 12
};

_Static_assert(GEN_CELLS <= ARRAY_SIZE(((struct x86_state *)0)->gen), "x86_state has room for all cells");

#define GEN_HOSTS (GEN_VECTORS - GEN_HOST)

/* No address is near it but what no page has: an access there faults on the host, whatever is added. */
#define NO_STACK_PAGE (1ull << 62)

/* --- flat tables (flat.c) --------------------------------------------------------------------------------- */

enum { FLAT_READ, FLAT_WRITE, FLAT_KINDS };

#define FLAT_BYTES (1ull << 39) /* 2^36 pages of a 48-bit address space, 8 bytes each */
#define FLAT_LIST 16384         /* filled entries remembered; more: the table is dropped as a whole */

struct flat_table {
	u8 *reservation;
	u64 base; /* of entry 0, in the middle */
	struct flat_list {
		u32 nr;
		u64 *page; /* linear addresses of filled entries */
	} list[2];         /* of ordinary and of global pages */
};

int flat_init(struct soft_vcpu *sv);
void flat_free(struct soft_vcpu *sv);
/* The TLB was flushed: entirely, or one page. Follows the tagged TLB, whose large pages may have made one into all. */
void flat_flush(struct soft_vcpu *sv, enum x86_flush what, u64 lin);
void flat_flush_write(struct soft_vcpu *sv);
/* Likewise of those that lead to the page at that host address. */
void flat_forget_writes_to(struct soft_vcpu *sv, u64 host);
/* The stack's page is not known any more: another mode is in force, or the page may not be written as it was. */
void flat_forget_stack(struct soft_vcpu *sv);
/* Try to make an access of the current mmu_index possible inline. False: the interpreter must do it. */
bool flat_fill(struct soft_vcpu *sv, u64 lin, bool write);
/* struct x86_ops.known: by the table, which is filled if it can be. */
u8 *flat_known(struct soft_vcpu *sv, u64 lin, bool write);

/* --- the stack of generated code ----------------------------------------------------------------------------- */

/*
 * Guest calls are host calls and guest returns host returns, so that the processor's return stack predicts them; what the guest
 * has on its own stack decides (branch.c). The host's return addresses have a stack of their own, which may be emptied at
 * any time, and is whenever control leaves generated code, so none outlives what it leads to. A call reads far below it: at the
 * stack's end that faults, and the call is the interpreter's. The room between is for signal handlers. It is no whole number of
 * pages: a load that has its offset in the page in common with a store just before it waits for that.
 */
#define PAIRS_ROOM (256u << 10)
#define PAIRS_SIZE (PAIRS_ROOM + (64u << 10))
#define PAIRS_PROBE (0x7c0 - (s32)PAIRS_ROOM)

/* --- code cache ---------------------------------------------------------------------------------------------- */

#define HASH_BITS 18
#define HASH_ENTRIES (1u << HASH_BITS)
struct hash_entry {
	u64 lin;        /* linear address; where there is none, one that is looked up in another entry */
	const u8 *code; /* saved-flags entry of the block; NULL: not in the list of entries to empty */
};
#define HASH_SHIFT 4

/* Generated code has the same (branch.c). Sums of the address's parts have too many pairs that hit each other. */
#define HASH_FACTOR 0x9e3779b1u
static inline u32 hash_index(u64 lin)
{
	return (u32)lin * HASH_FACTOR >> (32 - HASH_BITS);
}

/* The table of one privilege. The filter speaks for one half of the address space. */
#define PAGE_FILTER_BITS 15
struct tr_targets {
	struct hash_entry *hash;
	u32 *used; /* indices filled */
	u32 nr;
	u32 emptied;                                   /* how often */
	u8 mode;                                       /* that all of its code is for */
	bool noted;                                    /* the filter is not empty */
	u64 page_filter[(1 << PAGE_FILTER_BITS) / 64]; /* linear pages that were fetched from, hashed */
};

/* The translation of a block: soft_block.tr. All code addresses are executable ones. */
struct tr_block {
	struct soft_block *block;
	const u8 *kick;            /* entry for backward links: native flags, looks at requests */
	const u8 *saved;           /* entry with flags in GEN_FLAGS */
	const u8 *native;          /* entry with flags in the host's */
	const u8 *body;            /* the first instruction's code, behind all entries */
	const u8 *end;             /* of what is executed in order; the next block's code may follow */
	const u8 *cold, *cold_end; /* parts out of line, behind the chain that the block is in (front.c) */
	const u8 *start;           /* of its room, if it has that for itself, */
	u32 room;                  /* bytes, else 0; and the numbers of its sites (tr_translate) */
	u32 first_site, end_site;
	u64 live;     /* bit k: the arithmetic flags mean something in front of instruction k */
	u32 saved_in; /* bit k: should instruction k fault, the flags in front of it are in GEN_FLAGS, else the host's */
	u32 saved_at; /* bit k: where the code of instruction k begins they are in GEN_FLAGS; it may itself save them, see saved_in */
	u16 nr;
	u16 page_offset; /* of block->gpa */
	u64 lin;         /* soft_page.lin that it was made for */
	u8 mode;         /* block->mode */
	bool crossing;   /* block->page2: which page that is only a look-up knows */
	bool noted;      /* it is in soft_page.target */
	u32 offset[];    /* of each guest instruction's host code from body; [nr] is the end */
};

enum tr_fpu_level { TR_FPU_NONE, TR_FPU_SSE, TR_FPU_AVX };

/* A place in generated code that leaves it: index is in r12 at the exit. */
enum tr_site_kind {
	SITE_LINK,
	SITE_INSN,
	SITE_INDIRECT /* after an indirect branch: its instruction; target in r13 */
};
#define MISS_NONE 0xff
struct tr_site {
	struct tr_block *tr; /* whose code it is */
	u8 *jump; /* SITE_LINK: rw address of the rel32 to patch, or NULL. A group's: what is executed when it is lost */
	u16 insn;   /* SITE_INSN: the instruction */
	u16 offset; /* in the page: of the instruction; SITE_LINK: of the target */
	u8 kind;
	bool flags_saved; /* the guest's flags are in GEN_FLAGS here */
	bool flags_dead;  /* SITE_LINK: what follows overwrites the flags, which are neither saved nor native */
	bool write;       /* SITE_INSN of an access */
	bool group;       /* likewise: of a group of accesses, which may be lost (group.c) */
	bool backward;    /* SITE_LINK: the way must pass a look at requests */
	u8 miss_at; /* a group's: from jump to what is executed when its page is missed; MISS_NONE: that stays as it is */
};

/*
 * Room for the code that a compiler or a browser executes at least some times: some 300000 blocks. With a quarter of it gcc
 * spent two thirds of its time on making again what had been dropped. What is not used is not touched.
 */
#define TR_MAX_SITES (1u << 21)
#define TR_MAX_BLOCKS (1u << 19)
#define TR_META_SIZE (64u << 20)
#define TR_CODE_SIZE (96u << 20)
#define TR_PAGE_CELLS                                                                                                  \
	(1u                                                                                                            \
	 << 15) /* cells of 8 bytes at the start of the code memory, which nothing else is on a line with; 0 is none */
#define TR_INSN_ROOM 1024u /* bytes of generated code for a guest instruction, at most */
#define TR_HOT 3           /* executions in the interpreter before a block is translated */

/* Index values of exits that are no sites. */
enum tr_exit { TR_EXIT_LOOKUP = 0xfffffff0, TR_EXIT_UNWOUND };

struct tr_state {
	bool wanted; /* start it when the first block is hot; cleared where the host cannot */
	bool ready;  /* started */
	bool start;  /* a block is hot: start at the next entry */
	struct host_code code;
	size_t used, stubs_end;
	u32 nr_cells;
	u8 *meta; /* struct tr_block one after the other */
	size_t meta_used;
	struct tr_block **order; /* by code address */
	u32 nr_blocks;
	struct tr_site *site;
	u32 nr_sites, end_sites; /* end_sites: there is no more room for sites; site 0 is what there is none for */
	u8 fpu_level;            /* enum tr_fpu_level that the code assumes */
	struct flat_table flat[MMU_USER_AC][FLAT_KINDS];
	u64 flat_generation;          /* of the tagged TLB at the last flush */
	struct tr_targets targets[2]; /* supervisor, user */
	bool targets_stale;           /* empty both before entering generated code */
	bool targets_stale_nonglobal; /* likewise, but supervisor entries of global pages stay */
	bool targets_local;           /* the supervisor table has entries of pages that are not global */
	u8 hot;                       /* executions in the interpreter before a block is translated */
	struct lockstep *lockstep;    /* NULL: not wanted (lockstep.h) */
	struct tr_counters *counters; /* NULL: not wanted (trace.h) */
	u32 traces;                   /* bit set of enum host_trace: wanted */
	bool flags_unknown;           /* x86_state.rflags lacks arithmetic flags, which are dead */
	bool full;                    /* code memory or sites used up: drop everything */

	/* Stubs (stubs.c); exits and thunks expect the site number in r12d. */
	u32 (*enter)(void);
	u8 *pairs; /* stack of generated code: PAIRS_SIZE bytes */
	const u8 *exit_native, *exit_saved, *exit_lookup, *exit_string;
	const u8 *thunk_exec, *thunk_exec_saved, *thunk_miss, *thunk_gather, *thunk_stack_read, *thunk_stack_write,
		*return_lookup, *thunk_lockstep, *thunk_lockstep_saved;

	/* Set by helpers that leave generated code (TR_EXIT_UNWOUND). */
	struct tr_site stop_site;
	enum x86_result stop_result;
	bool stop_before; /* the instruction has not been executed: let the interpreter do it */

	struct {
		u64 blocks, bytes, reused, links, lookups, resumed, misses, unfillable, helper_calls, interpreted,
			flushes;
	} stat;
};

/*
 * Start the translator for a vCPU that has hot code (not earlier: it takes tables and code memory). Where the host has
 * not what it needs the interpreter does all.
 */
/* Could tr_init() succeed here and now? 0; -ENOSYS: the processor or its kernel; else why memory is refused. */
int tr_probe(void);
void tr_init(struct soft_vcpu *sv);
void tr_free(struct soft_vcpu *sv);
/* All blocks are being dropped: forget everything generated. */
void tr_reset(struct soft_vcpu *sv);
/* targets.c */
int tr_targets_init(struct soft_vcpu *sv);
void tr_targets_free(struct soft_vcpu *sv);
/* Code addresses may lead elsewhere (TLB, generation of a page): all; or the translations of a page have been dropped. */
void tr_forget_targets(struct soft_vcpu *sv);
void tr_forget_page(struct soft_vcpu *sv, const struct soft_page *p);
/* The page of a linear address has been fetched from: flushing it matters. */
void tr_note_page(struct soft_vcpu *sv, u64 lin);
/* The TLB is flushed. False: a page that nothing was fetched from, nothing changes. */
bool tr_flush_targets(struct soft_vcpu *sv, enum x86_flush what, u64 lin);
/* The table in force, ready for the present mode, before generated code is entered. */
struct tr_targets *tr_targets_in_force(struct soft_vcpu *sv);
/* The code at rip that look-ups of the current mode find, or NULL. Empties tables that are stale. */
const u8 *tr_known_code(struct soft_vcpu *sv);
/* Look-ups of rip find b's code from now on. */
void tr_add_target(struct soft_vcpu *sv, struct soft_block *b);

/* Can generated code run in the current mode? May ask for a flush (soft_vcpu.flush_wanted). */
bool tr_context_ok(struct soft_vcpu *sv);
/* What translations in the page have for its address: the address itself, or that it is in the page's cell. */
#define TR_IN_CELL 1u
u64 tr_address_in(const struct soft_page *p);
/* Does b have generated code? Translates hot blocks. */
bool tr_usable(struct soft_vcpu *sv, struct soft_block *b);
/* Translate the block. False: no room (tr_state.full). */
bool tr_translate(struct soft_vcpu *sv, struct soft_block *b);
/* Code of b without groups of accesses, in front of instruction k, with flags in GEN_FLAGS. NULL: no room (tr_state.full). */
const u8 *tr_plain_code(struct soft_vcpu *sv, struct soft_block *b, unsigned k);

/*
 * Run generated code from rip, whose block is b, until it leaves. X86_OK: go on at rip; X86_EXIT: the instruction before
 * rip has retired with it; else what the instruction at rip returned.
 */
enum x86_result tr_run(struct soft_vcpu *sv, struct soft_block *b);

/* From the host's signal handler: let a fault inside generated code be the interpreter's. False: not there. */
bool tr_fixup(struct soft_vcpu *sv, const struct host_fault *f);

/* stubs.c */
void tr_make_stubs(struct soft_vcpu *sv);
/*
 * Called by generated code. TR_LEAVE: leave it; TR_GO_ON: behind the call; else the entry (saved flags) of the block at rip,
 * for which the cells are set.
 */
enum { TR_LEAVE, TR_GO_ON };
u64 tr_helper_exec(struct soft_vcpu *sv, u32 site);
u64 tr_helper_miss(struct soft_vcpu *sv, u32 site, u64 lin);
/* The elements of a gather; the cell GEN_R13 says whether they are there (vector.c). */
u64 tr_helper_gather(struct soft_vcpu *sv, u32 site);
u64 tr_helper_block(struct soft_vcpu *sv, u32 site); /* lockstep only: a block begins */

#endif /* TRANSLATE_H */
