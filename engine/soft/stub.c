/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Executable memory for host instructions that stand for guest ones (x86/native.h). */
#include "soft.h"

#define STUB_MEMORY (1u << 20)
#define STUB_ALIGN 16
#define STUB_HASH (1u << 15)

int soft_stubs_init(struct soft_vcpu *sv)
{
	int err;

	sv->stub_hash = host_alloc_pages(STUB_HASH * sizeof(u32));
	if (!sv->stub_hash)
		return -ENOMEM;
	err = host_code_alloc(&sv->stubs, STUB_MEMORY);
	if (err)
		host_log(LOG_ERROR, "no executable memory (%d): x87 and vector instructions cannot run", err);
	return err;
}

void soft_stubs_free(struct soft_vcpu *sv)
{
	host_code_free(&sv->stubs);
	if (sv->stub_hash)
		host_free_pages(sv->stub_hash, STUB_HASH * sizeof(u32));
}

void soft_stubs_reset(struct soft_vcpu *sv)
{
	sv->stubs_used = 0;
	memset(sv->stub_hash, 0, STUB_HASH * sizeof(u32));
}

static u32 hash_bytes(const u8 *p, unsigned len)
{
	u64 h = len;

	while (len--)
		h = (h ^ *p++) * 0x100000001b3ull;
	return (u32)(h ^ h >> 29) & (STUB_HASH - 1);
}

static bool same_stub(const struct soft_vcpu *sv, u32 at, const u8 *code, unsigned len)
{
	while (len--)
		if (sv->stubs.rw[at + len] != code[len])
			return false;
	return true;
}

void *soft_stub_alloc(struct x86_state *s, const u8 *code, unsigned len)
{
	struct soft_vcpu *sv = soft_of(s);
	u32 h = hash_bytes(code, len), probes;

	/* A stub ends with RET, so no stub is a prefix of another. */
	for (probes = 0; probes < 16 && sv->stub_hash[h]; probes++) {
		u32 at = sv->stub_hash[h] - 1;

		if (at + len <= sv->stubs_used && same_stub(sv, at, code, len))
			return sv->stubs.rx + at;
		h = (h + 1) & (STUB_HASH - 1);
	}
	if (sv->stubs_used + len > sv->stubs.size) {
		sv->flush_wanted = true;
		return NULL;
	}
	memcpy(sv->stubs.rw + sv->stubs_used, code, len);
	if (probes < 16)
		sv->stub_hash[h] = (u32)sv->stubs_used + 1;
	code = sv->stubs.rx + sv->stubs_used;
	sv->stubs_used = (sv->stubs_used + len + STUB_ALIGN - 1) & ~(size_t)(STUB_ALIGN - 1);
	return (void *)code;
}
