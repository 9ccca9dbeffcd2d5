/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The real-time clock. No interrupts: nothing asks for them before user space programs alarms. */
#include "devices.h"

#include <string.h>

enum {
	REG_SECONDS = 0x00,
	REG_MINUTES = 0x02,
	REG_HOURS = 0x04,
	REG_WEEKDAY = 0x06,
	REG_DAY = 0x07,
	REG_MONTH = 0x08,
	REG_YEAR = 0x09,
	REG_A = 0x0a,
	REG_B = 0x0b,
	REG_C = 0x0c,
	REG_D = 0x0d,
};

#define A_UPDATING 0x80
#define A_32KHZ_1024HZ 0x26 /* the divider and rate that firmware sets */
#define B_SET 0x80
#define B_INTERRUPTS 0x70
#define B_BINARY 0x04
#define B_24_HOURS 0x02
#define D_VALID 0x80
#define HOURS_PM 0x80

static uint8_t encode(const struct rtc *rtc, int value)
{
	return rtc->memory[REG_B] & B_BINARY ? value : (value / 10) << 4 | value % 10;
}

static int decode(const struct rtc *rtc, uint8_t value)
{
	return rtc->memory[REG_B] & B_BINARY ? value : (value >> 4) * 10 + (value & 0x0f);
}

static uint8_t encode_hours(const struct rtc *rtc, int hours)
{
	if (rtc->memory[REG_B] & B_24_HOURS)
		return encode(rtc, hours);
	return encode(rtc, hours % 12 ? hours % 12 : 12) | (hours >= 12 ? HOURS_PM : 0);
}

static int decode_hours(const struct rtc *rtc, uint8_t value)
{
	if (rtc->memory[REG_B] & B_24_HOURS)
		return decode(rtc, value);
	return decode(rtc, value & ~HOURS_PM) % 12 + (value & HOURS_PM ? 12 : 0);
}

/* Bring the time registers up to date. */
static void latch_time(struct rtc *rtc)
{
	time_t now = time(NULL) + rtc->offset;
	struct tm tm;

	gmtime_r(&now, &tm);
	rtc->memory[REG_SECONDS] = encode(rtc, tm.tm_sec);
	rtc->memory[REG_MINUTES] = encode(rtc, tm.tm_min);
	rtc->memory[REG_HOURS] = encode_hours(rtc, tm.tm_hour);
	rtc->memory[REG_WEEKDAY] = encode(rtc, tm.tm_wday + 1);
	rtc->memory[REG_DAY] = encode(rtc, tm.tm_mday);
	rtc->memory[REG_MONTH] = encode(rtc, tm.tm_mon + 1);
	rtc->memory[REG_YEAR] = encode(rtc, tm.tm_year % 100);
	rtc->memory[RTC_CENTURY] = encode(rtc, (tm.tm_year + 1900) / 100);
}

/* The guest has written the time registers: go on from there. */
static void accept_time(struct rtc *rtc)
{
	struct tm tm = {
		.tm_sec = decode(rtc, rtc->memory[REG_SECONDS]),
		.tm_min = decode(rtc, rtc->memory[REG_MINUTES]),
		.tm_hour = decode_hours(rtc, rtc->memory[REG_HOURS]),
		.tm_mday = decode(rtc, rtc->memory[REG_DAY]),
		.tm_mon = decode(rtc, rtc->memory[REG_MONTH]) - 1,
		.tm_year = decode(rtc, rtc->memory[RTC_CENTURY]) * 100 + decode(rtc, rtc->memory[REG_YEAR]) - 1900,
	};
	time_t set = timegm(&tm);

	if (set != (time_t)-1)
		rtc->offset = set - time(NULL);
}

static bool is_time(uint8_t index)
{
	switch (index) {
	case REG_SECONDS:
	case REG_MINUTES:
	case REG_HOURS:
	case REG_WEEKDAY:
	case REG_DAY:
	case REG_MONTH:
	case REG_YEAR:
	case RTC_CENTURY: return true;
	default: return false;
	}
}

static void write_memory(struct rtc *rtc, uint8_t value)
{
	uint8_t index = rtc->index;

	if (index == REG_C || index == REG_D)
		return; /* read only */
	if (is_time(index) && !rtc->frozen) {
		latch_time(rtc);
		rtc->memory[index] = value;
		accept_time(rtc);
		return;
	}
	if (index == REG_A)
		value &= ~A_UPDATING;
	if (index == REG_B) {
		if ((value & B_SET) && !rtc->frozen)
			latch_time(rtc);
		if (!(value & B_SET) && rtc->frozen)
			accept_time(rtc);
		rtc->frozen = value & B_SET;
		value &= ~B_INTERRUPTS;
	}
	rtc->memory[index] = value;
}

static uint32_t rtc_read(void *device, unsigned int offset, unsigned int size)
{
	struct rtc *rtc = device;
	uint32_t value = UINT32_MAX;

	(void)size;
	pthread_mutex_lock(&rtc->lock);
	if (offset == 1) {
		if (is_time(rtc->index) && !rtc->frozen)
			latch_time(rtc);
		value = rtc->memory[rtc->index];
	}
	pthread_mutex_unlock(&rtc->lock);
	return value;
}

static void rtc_write(void *device, unsigned int offset, unsigned int size, uint32_t value)
{
	struct rtc *rtc = device;

	pthread_mutex_lock(&rtc->lock);
	if (offset == 0) {
		rtc->index = value & 0x7f; /* bit 7 would mask NMIs */
		if (size > 1)
			write_memory(rtc, value >> 8);
	} else {
		write_memory(rtc, value);
	}
	pthread_mutex_unlock(&rtc->lock);
}

void rtc_init(struct rtc *rtc, struct machine *m)
{
	memset(rtc, 0, sizeof(*rtc));
	rtc->machine = m;
	rtc->memory[REG_A] = A_32KHZ_1024HZ;
	rtc->memory[REG_B] = B_24_HOURS;
	rtc->memory[REG_D] = D_VALID;
	pthread_mutex_init(&rtc->lock, NULL);
	bus_claim(&m->bus, &(struct bus_range){
				   .base = RTC_PORT, .count = 2, .device = rtc, .read = rtc_read, .write = rtc_write });
}
