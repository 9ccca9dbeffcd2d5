/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The vmx engine's own structures. */
#ifndef VMX_VMX_H
#define VMX_VMX_H

#include "hwvm.h"
#include "insn.h"
#include "vmcs.h"
#include "hw_engines.h"

/* What the processor has, and the controls that follow from it (cpu.c). */
struct vmx_caps {
	u32 revision; /* of its VMCS */
	u32 pin, proc, proc2, exit, entry;
	u64 cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
	u64 ept_vpid;
	u64 arch_capabilities; /* for guests */
	bool unrestricted;     /* guests without protection or paging need no help */
	bool vpid, tpr_shadow;
	bool monitor_trap; /* debuggers' steps need no TF */
	bool virtual_nmis; /* else nmi.c */
	bool looks_first;  /* the library may have to do the processor's work */
	bool large;        /* pages of 2 MiB */
	bool pml;          /* page-modification logging */
	bool flush;        /* hw_flush() before each entry */
	bool renew_spec;   /* IA32_SPEC_CTRL is the host's to write at each exit */
};
extern struct vmx_caps vmx_caps;
/* MSR bitmaps of all guests: all intercepts each, for guests with a filter; open lets through what the world switch loads and stores. */
enum { MAP_SPEC_CTRL = 1, MAP_PRED_CMD = 2, MAP_CSTATE = 4, MAPS = 8 };
extern u64 vmx_msr_bitmap_open_pa[MAPS], vmx_msr_bitmap_all_pa;

struct vmx_vcpu;

/* Per CPU (cpu.c). With interrupts off, on that CPU. */
struct vmx_cpu {
	void *region;             /* VMXON's */
	struct vmx_vcpu *current; /* whose VMCS is the current one */
	struct vmx_vcpu *loaded;  /* list of those that this CPU may have in its caches */
};
extern struct vmx_cpu *vmx_cpus; /* by CPU */

/* MSRs in the areas, in this order; the last one not always. */
enum { AREA_STAR, AREA_LSTAR, AREA_SFMASK, AREA_KERNEL_GS_BASE, AREA_ALWAYS, AREA_SPEC_CTRL = AREA_ALWAYS, AREA_SIZE };

/* Fields as the VMCS has them: a VMWRITE that changes nothing is saved. */
struct vmx_written {
	u64 rip, rsp, rflags, cr0, cr3, cr4, cr4_owned, dr7, pending_debug;
	u64 host_cr3, host_cr4, host_fs_base, tsc_offset, msr_bitmap, ept_pointer;
	u64 proc, proc2, entry, exceptions, interruptibility, tpr_threshold;
	u64 cr0_shadow, cr4_shadow, efer;
	u64 entry_load, exit_store, exit_load; /* sizes of the areas */
	u64 activity;
};

struct vmx_vcpu {
	struct hwvm_vcpu hw; /* first */
	struct vcpu *vcpu;
	void *vmcs;
	u64 vmcs_pa;
	int loaded_cpu; /* a  where the VMCS may be in the processor; changed on that CPU only, or by the vCPU when it is HW_NO_CPU */
	struct vmx_vcpu *next, **link; /* in that CPU's list */
	bool launched;                 /* since it was last cleared */
	bool ready;                    /* its fields have been filled */
	bool two_roots;                /* it has used the EPT of system management mode too */
	u16 vpid;                      /* 0: none */
	u64 host_rsp;
	struct hw_segments segments; /* the host's, of this KVM_RUN */
	u64 pending_debug;           /* traps that the last exit has interrupted */
	struct vmx_written w;
	bool irq_window, nmi_window;            /* in w.proc */
	bool in_smm;                            /* in w.ept_pointer */
	u8 tpr;                                 /* of the TPR shadow at the entry */
	struct vmx_msr *guest_msrs, *host_msrs; /* one page for both */
	u8 *apic_page;                          /* of the TPR shadow; NULL: CR8 is intercepted */
	bool nmi_blocked;                       /* nmi.c: as it was at the entry */
	u64 nmi_since;                          /* nmi.c: when the last one was delivered */
	bool has_spec_ctrl;                     /* the guest has that MSR... */
	bool owns_spec_ctrl;                    /* ...and uses it: reads and writes do not exit */
	u64 *noted;                             /* page-modification log; NULL: the processor has none */
	bool notes;                             /* it is in use */
	bool halts;                             /* HLT does not exit: the guest halts in guest mode */
	bool touched;                           /* for hw_flush() */
	bool unusual;                           /* there may be more to do at entries and exits */
};

/* Write a field of the current VMCS unless it holds val already. */
static inline void vmwrite_new(u64 field, u64 *written, u64 val)
{
	if (*written == val)
		return;
	*written = val;
	vmwrite(field, val);
}

static inline struct vmx_vcpu *vmx_of(const struct vcpu *v)
{
	return v->engine_vcpu;
}

/* cpu.c */
int vmx_cpus_init(const struct vmx_options *want);
void vmx_cpus_exit(void);
int vmx_cpu_on(void);
void vmx_cpu_off(void);
/*
 * Make the VMCS current on this CPU; interrupts are off. False: it is on another CPU, vmx_unload() with interrupts on, and try
 * again.
 */
bool vmx_take_vmcs(struct vmx_vcpu *vv, int cpu);
static inline bool vmx_load_vmcs(struct vmx_vcpu *vv, int cpu)
{
	return likely(vmx_cpus[cpu].current == vv) || vmx_take_vmcs(vv, cpu);
}
void vmx_unload(struct vmx_vcpu *vv); /* on return no CPU has it */
u16 vmx_vpid_alloc(void);             /* 0: none left */
void vmx_vpid_free(u16 vpid);

/* state.c */
void vmx_vmcs_init(struct vcpu *v); /* VMCS is current */
void vmx_get_state(struct vcpu *v, u32 mask);
void vmx_state_to_vmcs(struct vcpu *v);      /* what is dirty */
void vmx_state_after_exit(struct vcpu *v);   /* general registers now, the rest on demand */
void vmx_host_state(struct vmx_vcpu *vv);    /* what stays the same on a CPU */
void vmx_spec_ctrl(struct vmx_vcpu *vv);     /* before an entry, of a guest that has it or a host that renews it */
bool vmx_can_run(const struct x86_state *s); /* without the library's help */

/* exit.c: what the VMCS, which is current, says of the exit; then, with interrupts on, if it may be needed (true), what may sleep */
bool vmx_decode_exit(struct vcpu *v, struct vm_exit *exit);
void vmx_serve_exit(struct vcpu *v, struct vm_exit *exit);

/*
 * nmi.c: processors without virtual NMIs. While an NMI waits, before an entry: true: instead of it. At
 * each entry and exit: whether NMIs are blocked is not the VMCS's to say.
 */
bool vmx_nmi_waits(struct vcpu *v, struct vm_exit *exit);
void vmx_nmi_entry(struct vcpu *v);
void vmx_nmi_exit(struct vcpu *v, const struct vm_exit *exit);

/* enter.c */
void vmx_load(struct vcpu *v);
void vmx_enter(struct vcpu *v, struct vm_exit *exit);

/* world.S: gpr is vcpu->state.gpr; RSP of the guest is in the VMCS. *host_rsp: what HOST_RSP is. False: the VMCS was refused. */
bool vmx_world_switch(u64 *gpr, bool launched, u64 *host_rsp);
extern char vmx_guest_left[]; /* HOST_RIP */

#endif /* VMX_VMX_H */
