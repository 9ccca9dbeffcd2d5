/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include "serial.h"

#include <linux/serial_reg.h>
#include <string.h>

#include "machine.h"

#define REGISTERS 8

/* So many looks at an empty receiver with nothing sent in between: a guest that waits for input. */
#define POLLS_TO_LISTEN 64

#define MSR_DELTAS (UART_MSR_DCTS | UART_MSR_DDSR | UART_MSR_TERI | UART_MSR_DDCD)
/* The other side is always there. */
#define MSR_CONNECTED (UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD)

static bool fifo_enabled(const struct serial *s)
{
	return s->fcr & UART_FCR_ENABLE_FIFO;
}

static unsigned int fifo_size(const struct serial *s)
{
	return fifo_enabled(s) ? SERIAL_FIFO : 1;
}

static unsigned int fifo_trigger(const struct serial *s)
{
	static const uint8_t levels[] = { 1, 4, 8, 14 };

	return fifo_enabled(s) ? levels[s->fcr >> 6] : 1;
}

/* LSR without side effects. The transmitter is always empty. */
static uint8_t line_status(const struct serial *s)
{
	uint8_t lsr = UART_LSR_THRE | UART_LSR_TEMT;

	if (s->fill) {
		lsr |= UART_LSR_DR | s->fifo[s->head] >> 8;
		for (unsigned int i = 0; fifo_enabled(s) && i < s->fill; i++) {
			if (s->fifo[(s->head + i) % SERIAL_FIFO] >> 8)
				lsr |= 0x80; /* an error somewhere in the FIFO */
		}
	}
	if (s->overrun)
		lsr |= UART_LSR_OE;
	return lsr;
}

/* The identification of the most urgent enabled interrupt, in the data sheet's priority order. */
static uint8_t interrupt_id(const struct serial *s)
{
	if ((s->ier & UART_IER_RLSI) && (line_status(s) & UART_LSR_BRK_ERROR_BITS))
		return UART_IIR_RLSI;
	if ((s->ier & UART_IER_RDI) && s->fill) {
		/* Below the trigger level the character time-out speaks; here it passes at once. */
		return s->fill >= fifo_trigger(s) ? UART_IIR_RDI : UART_IIR_RX_TIMEOUT;
	}
	if ((s->ier & UART_IER_THRI) && s->thre_pending)
		return UART_IIR_THRI;
	if ((s->ier & UART_IER_MSI) && (s->msr & MSR_DELTAS))
		return UART_IIR_MSI;
	return UART_IIR_NO_INT;
}

static void update_irq(struct serial *s)
{
	bool level = interrupt_id(s) != UART_IIR_NO_INT;

	if (level == s->irq_level)
		return;
	s->irq_level = level;
	machine_irq(s->machine, s->irq, level);
}

static bool listens(const struct serial *s)
{
	return !(s->mcr & UART_MCR_LOOP) && ((s->ier & UART_IER_RDI) || s->idle_polls >= POLLS_TO_LISTEN);
}

static bool wants_input(const struct serial *s)
{
	return listens(s) && s->fill < fifo_size(s);
}

static void receive(struct serial *s, uint16_t entry)
{
	if (s->fill == fifo_size(s)) {
		s->overrun = true;
		return;
	}
	s->fifo[(s->head + s->fill) % SERIAL_FIFO] = entry;
	s->fill++;
	s->idle_polls = 0;
}

static void clear_receiver(struct serial *s)
{
	s->head = 0;
	s->fill = 0;
}

static void set_modem_status(struct serial *s)
{
	uint8_t lines = MSR_CONNECTED;
	uint8_t changed;

	if (s->mcr & UART_MCR_LOOP) {
		lines = (s->mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) | (s->mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
			(s->mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) | (s->mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0);
	}
	changed = lines ^ s->msr;
	s->msr = lines | (s->msr & MSR_DELTAS) | (changed & UART_MSR_CTS ? UART_MSR_DCTS : 0) |
		 (changed & UART_MSR_DSR ? UART_MSR_DDSR : 0) | (changed & UART_MSR_DCD ? UART_MSR_DDCD : 0) |
		 ((changed & ~lines) & UART_MSR_RI ? UART_MSR_TERI : 0);
}

static void poll_noted(struct serial *s)
{
	if (s->fill || s->idle_polls >= POLLS_TO_LISTEN)
		return;
	s->idle_polls++;
	if (wants_input(s))
		s->ops->input_wanted(s->context);
}

static uint8_t read_receiver(struct serial *s)
{
	uint8_t byte;

	if (!s->fill) {
		poll_noted(s);
		return 0;
	}
	byte = s->fifo[s->head];
	s->head = (s->head + 1) % SERIAL_FIFO;
	s->fill--;
	if (wants_input(s))
		s->ops->input_wanted(s->context);
	return byte;
}

static uint8_t read_interrupt_id(struct serial *s)
{
	uint8_t id = interrupt_id(s);

	if (id == UART_IIR_THRI)
		s->thre_pending = false;
	return id | (fifo_enabled(s) ? 0xc0 : 0);
}

static uint8_t read_line_status(struct serial *s)
{
	uint8_t lsr = line_status(s);

	s->overrun = false;
	if (s->fill)
		s->fifo[s->head] &= 0xff; /* errors are told once */
	poll_noted(s);
	return lsr;
}

static uint8_t read_modem_status(struct serial *s)
{
	uint8_t msr = s->msr;

	s->msr &= ~MSR_DELTAS;
	return msr;
}

static uint8_t read_register(struct serial *s, unsigned int offset)
{
	bool divisor = s->lcr & UART_LCR_DLAB;

	switch (offset) {
	case UART_RX: return divisor ? s->divisor[0] : read_receiver(s);
	case UART_IER: return divisor ? s->divisor[1] : s->ier;
	case UART_IIR: return read_interrupt_id(s);
	case UART_LCR: return s->lcr;
	case UART_MCR: return s->mcr;
	case UART_LSR: return read_line_status(s);
	case UART_MSR: return read_modem_status(s);
	default: return s->scr;
	}
}

/* Called with the lock held; drops it for the time of the transmission, which may block. */
static void write_transmitter(struct serial *s, uint8_t byte)
{
	if (s->mcr & UART_MCR_LOOP) {
		receive(s, byte);
	} else {
		bool polled = !(s->ier & UART_IER_THRI);

		pthread_mutex_unlock(&s->lock);
		s->ops->transmit(s->context, byte, polled);
		pthread_mutex_lock(&s->lock);
	}
	s->idle_polls = 0;
	s->thre_pending = true;
}

static void write_interrupt_enable(struct serial *s, uint8_t value)
{
	uint8_t turned_on = value & ~s->ier;

	s->ier = value & 0x0f;
	/* Enabling the interrupt while the transmitter is empty raises it. */
	if (turned_on & UART_IER_THRI)
		s->thre_pending = true;
	if ((turned_on & UART_IER_RDI) && wants_input(s))
		s->ops->input_wanted(s->context);
}

static void write_fifo_control(struct serial *s, uint8_t value)
{
	bool toggled = (value ^ s->fcr) & UART_FCR_ENABLE_FIFO;

	/* The other bits only take effect together with the enable bit. */
	s->fcr = value & UART_FCR_ENABLE_FIFO ? value & (UART_FCR_TRIGGER_MASK | UART_FCR_ENABLE_FIFO) : 0;
	if (toggled || ((value & UART_FCR_ENABLE_FIFO) && (value & UART_FCR_CLEAR_RCVR)))
		clear_receiver(s);
	if (wants_input(s))
		s->ops->input_wanted(s->context);
}

static void write_modem_control(struct serial *s, uint8_t value)
{
	s->mcr = value & 0x1f;
	set_modem_status(s);
	if (wants_input(s))
		s->ops->input_wanted(s->context);
}

static void write_register(struct serial *s, unsigned int offset, uint8_t value)
{
	bool divisor = s->lcr & UART_LCR_DLAB;

	switch (offset) {
	case UART_TX:
		if (divisor)
			s->divisor[0] = value;
		else
			write_transmitter(s, value);
		break;
	case UART_IER:
		if (divisor)
			s->divisor[1] = value;
		else
			write_interrupt_enable(s, value);
		break;
	case UART_FCR: write_fifo_control(s, value); break;
	case UART_LCR: s->lcr = value; break;
	case UART_MCR: write_modem_control(s, value); break;
	case UART_LSR:
	case UART_MSR: break; /* read only */
	default: s->scr = value;
	}
}

static uint32_t serial_read(void *device, unsigned int offset, unsigned int size)
{
	struct serial *s = device;
	uint32_t value = 0;

	pthread_mutex_lock(&s->lock);
	for (unsigned int i = 0; i < size; i++)
		value |= (uint32_t)read_register(s, offset + i) << (8 * i);
	update_irq(s);
	pthread_mutex_unlock(&s->lock);
	return value;
}

static void serial_write(void *device, unsigned int offset, unsigned int size, uint32_t value)
{
	struct serial *s = device;

	pthread_mutex_lock(&s->lock);
	for (unsigned int i = 0; i < size; i++)
		write_register(s, offset + i, value >> (8 * i));
	update_irq(s);
	pthread_mutex_unlock(&s->lock);
}

void serial_init(struct serial *s, struct machine *m, uint16_t port, unsigned int irq, const struct serial_ops *ops,
		 void *context)
{
	memset(s, 0, sizeof(*s));
	s->machine = m;
	s->irq = irq;
	s->ops = ops;
	s->context = context;
	s->msr = MSR_CONNECTED;
	s->divisor[0] = 12; /* 9600 baud, as a PC's firmware leaves it */
	pthread_mutex_init(&s->lock, NULL);
	bus_claim(&m->bus,
		  &(struct bus_range){
			  .base = port, .count = REGISTERS, .device = s, .read = serial_read, .write = serial_write });
}

bool serial_listens(struct serial *s)
{
	bool yes;

	pthread_mutex_lock(&s->lock);
	yes = listens(s);
	pthread_mutex_unlock(&s->lock);
	return yes;
}

size_t serial_input(struct serial *s, const uint8_t *bytes, size_t count)
{
	size_t taken = 0;

	pthread_mutex_lock(&s->lock);
	while (taken < count && wants_input(s))
		receive(s, bytes[taken++]);
	update_irq(s);
	pthread_mutex_unlock(&s->lock);
	return taken;
}

void serial_break(struct serial *s)
{
	pthread_mutex_lock(&s->lock);
	if (!(s->mcr & UART_MCR_LOOP))
		receive(s, UART_LSR_BI << 8);
	update_irq(s);
	pthread_mutex_unlock(&s->lock);
}
