/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * RSDP, XSDT, FADT, FACS, DSDT, MADT (ACPI specification, 'ACPI Software Programming Model').
 * The RSDP comes first, on a paragraph of the area 0xe0000 to 0xfffff, so that guests which do not
 * get its address otherwise find it by search.
 */
#include "acpi.h"

#include <stddef.h>
#include <string.h>

#include "aml.h"
#include "bootdata.h"
#include "devices.h"
#include "message.h"

#define IOAPIC_ADDRESS 0xfec00000u
#define LAPIC_ADDRESS 0xfee00000u
#define TABLE_ALIGN 64 /* what the FACS needs */

#define packed __attribute__((packed))

struct packed acpi_rsdp {
	char signature[8];
	uint8_t checksum; /* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum;
	uint8_t reserved[3];
};

struct packed acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
};

struct packed acpi_address {
	uint8_t space; /* 1: port */
	uint8_t bit_width;
	uint8_t bit_offset;
	uint8_t access_size; /* 1: byte, 2: word, 3: double word */
	uint64_t address;
};

struct packed acpi_fadt {
	struct acpi_header header;
	uint32_t facs;
	uint32_t dsdt;
	uint8_t reserved0;
	uint8_t profile;
	uint16_t sci_interrupt;
	uint32_t smi_command;
	uint8_t acpi_enable, acpi_disable, s4bios, pstate;
	uint32_t pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer;
	uint32_t gpe0, gpe1;
	uint8_t pm1_event_length, pm1_control_length, pm2_control_length, pm_timer_length;
	uint8_t gpe0_length, gpe1_length, gpe1_base, cstate;
	uint16_t c2_latency, c3_latency, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
	uint16_t boot_flags;
	uint8_t reserved1;
	uint32_t flags;
	struct acpi_address reset;
	uint8_t reset_value;
	uint16_t arm_boot_flags;
	uint8_t minor_revision;
	uint64_t x_facs, x_dsdt;
	struct acpi_address x_pm1a_event, x_pm1b_event, x_pm1a_control, x_pm1b_control;
	struct acpi_address x_pm2_control, x_pm_timer, x_gpe0, x_gpe1;
	struct acpi_address sleep_control, sleep_status;
	uint64_t hypervisor;
};

struct packed acpi_facs {
	char signature[4];
	uint32_t length;
	uint8_t rest[56];
};

struct packed acpi_madt {
	struct acpi_header header;
	uint32_t lapic;
	uint32_t flags;
};

struct packed madt_lapic {
	uint8_t type, length;
	uint8_t processor, apic_id;
	uint32_t flags;
};

struct packed madt_ioapic {
	uint8_t type, length;
	uint8_t id, reserved;
	uint32_t address, gsi_base;
};

struct packed madt_override {
	uint8_t type, length;
	uint8_t bus, source;
	uint32_t gsi;
	uint16_t flags;
};

struct packed madt_nmi {
	uint8_t type, length;
	uint8_t processor;
	uint16_t flags;
	uint8_t lint;
};

enum {
	FADT_REVISION = 6,
	FADT_MINOR = 2,
	FADT_WBINVD = 1 << 0,
	FADT_C1 = 1 << 2,
	FADT_NO_POWER_BUTTON = 1 << 4,
	FADT_NO_SLEEP_BUTTON = 1 << 5,
	FADT_TIMER_32 = 1 << 8,
	FADT_RESET = 1 << 10,
	FADT_HEADLESS = 1 << 12,
	BOOT_LEGACY_DEVICES = 1 << 0, /* the clock and the serial port; no 8042 flag: no keyboard */
	BOOT_NO_VGA = 1 << 2,
	LATENCY_NEVER = 0xfff, /* C2 and C3 do not exist */
};

enum {
	MADT_REVISION = 5,
	MADT_PCAT = 1, /* there are 8259s too */
	MADT_LAPIC = 0,
	MADT_IOAPIC = 1,
	MADT_OVERRIDE = 2,
	MADT_LAPIC_NMI = 4,
	MADT_CPU_ENABLED = 1,
	MADT_ACTIVE_HIGH_LEVEL = 0x000d,
	MADT_ALL_PROCESSORS = 0xff,
};

struct writer {
	struct machine *machine;
	uint64_t at; /* next free address */
};

static uint8_t checksum(const void *bytes, size_t size)
{
	const uint8_t *at = bytes;
	uint8_t sum = 0;

	while (size--)
		sum += *at++;
	return -sum;
}

/* Space for a table of at most size bytes, or NULL. */
static void *place(struct writer *w, size_t size)
{
	w->at = (w->at + TABLE_ALIGN - 1) & ~(uint64_t)(TABLE_ALIGN - 1);
	if (size > BOOT_HIGH_START - w->at)
		return NULL;
	return w->machine->ram + w->at;
}

/* Finish the table placed last, which starts with its header: returns its address. */
static uint64_t finish(struct writer *w, const char *signature, uint8_t revision, size_t size)
{
	uint64_t address = w->at;
	struct acpi_header *header = (struct acpi_header *)(w->machine->ram + address);

	memcpy(header->signature, signature, sizeof(header->signature));
	header->length = size;
	header->revision = revision;
	memcpy(header->oem_id, "ANYKVM", sizeof(header->oem_id));
	memcpy(header->oem_table_id, "ANYKVMPC", sizeof(header->oem_table_id));
	header->oem_revision = 1;
	memcpy(header->creator_id, "AKVM", sizeof(header->creator_id));
	header->creator_revision = 1;
	header->checksum = 0;
	header->checksum = checksum(header, size);
	w->at += size;
	return address;
}

static void describe_port_device(struct aml *aml, const char *name, const char *pnp_id, const char *hid, uint16_t port,
				 uint8_t count, int irq)
{
	size_t device = aml_open_device(aml, name);

	aml_name(aml, "_HID");
	if (pnp_id)
		aml_eisa_id(aml, pnp_id);
	else
		aml_string(aml, hid);
	aml_name(aml, "_UID");
	aml_integer(aml, 0);
	aml_name(aml, "_STA");
	aml_integer(aml, 0x0f); /* present, enabled, shown, working */
	aml_port_resources(aml, port, count, irq);
	aml_close(aml, device);
}

static void describe_cpu(struct aml *aml, unsigned int id)
{
	static const char digits[] = "0123456789ABCDEF";
	const char name[5] = { 'C', '0', digits[id >> 4 & 15], digits[id & 15], 0 };
	size_t device = aml_open_device(aml, name);

	aml_name(aml, "_HID");
	aml_string(aml, "ACPI0007");
	aml_name(aml, "_UID");
	aml_integer(aml, id);
	aml_close(aml, device);
}

static uint64_t write_dsdt(struct writer *w)
{
	uint8_t *table = place(w, sizeof(struct acpi_header));
	struct aml aml;
	size_t scope, package;

	if (!table)
		return 0;
	aml = (struct aml){ .buffer = table, .size = BOOT_HIGH_START - w->at, .used = sizeof(struct acpi_header) };
	aml_name(&aml, "\\_S5_");
	package = aml_open_package(&aml, 4);
	aml_integer(&aml, PM_SLEEP_OFF);
	aml_integer(&aml, PM_SLEEP_OFF);
	aml_integer(&aml, 0);
	aml_integer(&aml, 0);
	aml_close(&aml, package);
	scope = aml_open_scope(&aml, "\\_SB_");
	describe_port_device(&aml, "COM1", "PNP0501", NULL, SERIAL_PORT, 8, SERIAL_IRQ);
	describe_port_device(&aml, "RTC_", "PNP0B00", NULL, RTC_PORT, 2, RTC_IRQ);
	describe_port_device(&aml, "PEVT", NULL, "QEMU0001", PVPANIC_PORT, 1, -1);
	for (unsigned int i = 0; i < w->machine->cpu_count; i++)
		describe_cpu(&aml, i);
	aml_close(&aml, scope);
	return aml.failed ? 0 : finish(w, "DSDT", 2, aml.used);
}

static uint64_t write_facs(struct writer *w)
{
	struct acpi_facs *facs = place(w, sizeof(*facs));
	uint64_t address = w->at;

	if (!facs)
		return 0;
	memset(facs, 0, sizeof(*facs));
	memcpy(facs->signature, "FACS", sizeof(facs->signature));
	facs->length = sizeof(*facs);
	w->at += sizeof(*facs);
	return address;
}

static struct acpi_address port_address(uint16_t port, uint8_t bits, uint8_t access_size)
{
	return (struct acpi_address){ .space = 1, .bit_width = bits, .access_size = access_size, .address = port };
}

static uint64_t write_fadt(struct writer *w, uint64_t dsdt, uint64_t facs)
{
	struct acpi_fadt *fadt = place(w, sizeof(*fadt));

	if (!fadt)
		return 0;
	*fadt = (struct acpi_fadt){
		.facs = facs,
		.dsdt = dsdt,
		.sci_interrupt = PM_SCI_IRQ,
		.pm1a_event = PM_EVENT_PORT,
		.pm1a_control = PM_CONTROL_PORT,
		.pm_timer = PM_TIMER_PORT,
		.pm1_event_length = 4,
		.pm1_control_length = 2,
		.pm_timer_length = 4,
		.c2_latency = LATENCY_NEVER,
		.c3_latency = LATENCY_NEVER,
		.century = RTC_CENTURY,
		.boot_flags = BOOT_LEGACY_DEVICES | BOOT_NO_VGA,
		.flags = FADT_WBINVD | FADT_C1 | FADT_NO_POWER_BUTTON | FADT_NO_SLEEP_BUTTON | FADT_TIMER_32 |
			 FADT_RESET | FADT_HEADLESS,
		.reset = port_address(RESET_PORT, 8, 1),
		.reset_value = RESET_VALUE,
		.minor_revision = FADT_MINOR,
		/* Only one of the two FACS fields may be set. */
		.x_dsdt = dsdt,
		.x_pm1a_event = port_address(PM_EVENT_PORT, 32, 2),
		.x_pm1a_control = port_address(PM_CONTROL_PORT, 16, 2),
		.x_pm_timer = port_address(PM_TIMER_PORT, 32, 3),
	};
	return finish(w, "FACP", FADT_REVISION, sizeof(*fadt));
}

static uint64_t write_madt(struct writer *w)
{
	unsigned int cpus = w->machine->cpu_count;
	size_t size = sizeof(struct acpi_madt) + cpus * sizeof(struct madt_lapic) + sizeof(struct madt_ioapic) +
		      sizeof(struct madt_override) + sizeof(struct madt_nmi);
	struct acpi_madt *madt = place(w, size);
	uint8_t *at;

	if (!madt)
		return 0;
	at = (uint8_t *)(madt + 1);
	*madt = (struct acpi_madt){ .lapic = LAPIC_ADDRESS, .flags = MADT_PCAT };
	for (unsigned int i = 0; i < cpus; i++, at += sizeof(struct madt_lapic))
		*(struct madt_lapic *)at =
			(struct madt_lapic){ MADT_LAPIC, sizeof(struct madt_lapic), i, i, MADT_CPU_ENABLED };
	*(struct madt_ioapic *)at =
		(struct madt_ioapic){ MADT_IOAPIC, sizeof(struct madt_ioapic), 0, 0, IOAPIC_ADDRESS, 0 };
	at += sizeof(struct madt_ioapic);
	*(struct madt_override *)at =
		(struct madt_override){ MADT_OVERRIDE, sizeof(struct madt_override), 0, PM_SCI_IRQ,
					PM_SCI_IRQ,    MADT_ACTIVE_HIGH_LEVEL };
	at += sizeof(struct madt_override);
	*(struct madt_nmi *)at =
		(struct madt_nmi){ MADT_LAPIC_NMI, sizeof(struct madt_nmi), MADT_ALL_PROCESSORS, 0, 1 };
	return finish(w, "APIC", MADT_REVISION, size);
}

static uint64_t write_xsdt(struct writer *w, uint64_t fadt, uint64_t madt)
{
	const uint64_t tables[] = { fadt, madt };
	size_t size = sizeof(struct acpi_header) + sizeof(tables);
	uint8_t *xsdt = place(w, size);

	if (!xsdt)
		return 0;
	memcpy(xsdt + sizeof(struct acpi_header), tables, sizeof(tables));
	return finish(w, "XSDT", 1, size);
}

uint64_t acpi_write_tables(struct machine *m)
{
	struct writer w = { .machine = m, .at = BOOT_ACPI };
	struct acpi_rsdp *rsdp = place(&w, sizeof(*rsdp));
	uint64_t dsdt, facs, fadt, madt, xsdt = 0;

	w.at += sizeof(*rsdp);
	dsdt = write_dsdt(&w);
	facs = write_facs(&w);
	fadt = write_fadt(&w, dsdt, facs);
	madt = write_madt(&w);
	if (dsdt && facs && fadt && madt)
		xsdt = write_xsdt(&w, fadt, madt);
	if (!xsdt) {
		message("the ACPI tables do not fit in their area");
		return 0;
	}
	*rsdp = (struct acpi_rsdp){ .revision = 2, .length = sizeof(*rsdp), .xsdt = xsdt };
	memcpy(rsdp->signature, "RSD PTR ", sizeof(rsdp->signature));
	memcpy(rsdp->oem_id, "ANYKVM", sizeof(rsdp->oem_id));
	rsdp->checksum = checksum(rsdp, offsetof(struct acpi_rsdp, length));
	rsdp->extended_checksum = checksum(rsdp, sizeof(*rsdp));
	return BOOT_ACPI;
}
