/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The benchmark program: one static binary, run as a process on the host and as init in guests.
 *
 * usage: work [SECONDS-PER-WORKLOAD [NAME...]]
 * Prints "NAME CLASS NANOSECONDS" per workload: the median over several batches of the time for one unit of work. As init it
 * takes its arguments from the kernel's command line (bench.seconds=, bench.only=) and powers off at the end.
 */
#include <fcntl.h>
#include <immintrin.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCHES 9

static volatile uint64_t sink;
static char *self;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static uint32_t random_state = 1;
static uint32_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	return random_state ^= random_state << 5;
}

/* --- integer ------------------------------------------------------------------------------------------------------------ */

struct node {
	struct node *next;
	int value;
};

/* Lists, a matrix product and a state machine, in CoreMark's proportions. */
static void integer_mix(void)
{
	static struct node nodes[200];
	static int a[20][20], b[20][20], c[20][20];
	static const char text[] = "5012,-3.25e7,+1000,0x,abc,9,.5,--1,12e,";
	uint64_t sum = 0;
	int state = 0;

	for (int i = 0; i < 200; i++)
		nodes[i] = (struct node){ i < 187 ? &nodes[i + 13] : NULL, i * 7 };
	for (int turn = 0; turn < 10; turn++)
		for (struct node *n = &nodes[turn]; n; n = n->next)
			sum += (uint64_t)n->value;
	for (int i = 0; i < 20; i++)
		for (int j = 0; j < 20; j++) {
			int s = 0;

			for (int k = 0; k < 20; k++)
				s += a[i][k] * b[k][j];
			c[i][j] = s + i;
		}
	for (int turn = 0; turn < 20; turn++)
		for (const char *p = text; *p; p++) {
			switch (*p) {
			case ',': state = 0; break;
			case '+': case '-': state = state ? 7 : 1; break;
			case '.': state = state < 3 ? 3 : 7; break;
			case 'e': state = state == 3 ? 4 : 7; break;
			default: state = *p >= '0' && *p <= '9' ? (state < 2 ? 2 : state) : 7;
			}
			sum = sum * 31 + (uint64_t)state;
		}
	sink += sum + (uint64_t)c[3][4];
}

static void sieve(void)
{
	static uint8_t composite[65536];
	int count = 0;

	memset(composite, 0, sizeof(composite));
	for (int i = 2; i < 65536; i++) {
		if (composite[i])
			continue;
		count++;
		for (int j = 2 * i; j < 65536; j += i)
			composite[j] = 1;
	}
	sink += (uint64_t)count;
}

static int compare(const void *a, const void *b)
{
	return *(const int *)a < *(const int *)b ? -1 : *(const int *)a > *(const int *)b;
}

static void sort(void)
{
	static int v[4096];

	for (int i = 0; i < 4096; i++)
		v[i] = (int)next_random();
	qsort(v, 4096, sizeof(v[0]), compare);
	sink += (uint64_t)v[17];
}

static uint32_t rotate(uint32_t x, int n)
{
	return x >> n | x << (32 - n);
}

/* The compression function of SHA-256 with constants that only need to be of the kind. */
static void sha(void)
{
	uint32_t h[8] = { 1, 2, 3, 4, 5, 6, 7, 8 }, w[64];

	for (int block = 0; block < 64; block++) {
		uint32_t v[8];

		for (int i = 0; i < 16; i++)
			w[i] = (uint32_t)(block * 16 + i) * 0x9e3779b9u;
		for (int i = 16; i < 64; i++)
			w[i] = (rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10) + w[i - 7] +
			       (rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 16];
		memcpy(v, h, sizeof(v));
		for (int i = 0; i < 64; i++) {
			uint32_t t1 = v[7] + (rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25)) +
				      ((v[4] & v[5]) ^ (~v[4] & v[6])) + w[i] + 0x428a2f98u * (uint32_t)i;
			uint32_t t2 = (rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22)) +
				      ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));

			memmove(v + 1, v, 7 * sizeof(v[0]));
			v[4] += t1;
			v[0] = t1 + t2;
		}
		for (int i = 0; i < 8; i++)
			h[i] += v[i];
	}
	sink += h[0];
}

static __attribute__((noinline)) int fib(int n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static void recursion(void)
{
	sink += (uint64_t)fib(18);
}

static __attribute__((noinline)) uint64_t op0(uint64_t x) { return x + 1; }
static __attribute__((noinline)) uint64_t op1(uint64_t x) { return x * 3; }
static __attribute__((noinline)) uint64_t op2(uint64_t x) { return x ^ 0x55; }
static __attribute__((noinline)) uint64_t op3(uint64_t x) { return x >> 1; }

static void indirect_calls(void)
{
	static uint64_t (*const volatile ops[])(uint64_t) = { op0, op1, op2, op3 };
	uint64_t x = 1;

	for (int i = 0; i < 4000; i++)
		x = ops[(x ^ (uint64_t)i) & 3](x);
	sink += x;
}

static void bytecode(void)
{
	static const uint8_t code[] = { 0, 1, 2, 3, 0, 4, 1, 5, 2, 2, 6, 3, 1, 0, 7 };
	uint64_t acc = 1, reg = 7;
	unsigned pc = 0;

	for (int i = 0; i < 10000; i++) {
		switch (code[pc++]) {
		case 0: acc += reg; break;
		case 1: acc ^= acc << 3; break;
		case 2: reg = acc & 0xff; break;
		case 3: acc -= 5; break;
		case 4: reg++; break;
		case 5: acc *= 7; break;
		case 6: acc >>= 1; break;
		default: pc = 0;
		}
	}
	sink += acc;
}

/* --- memory ---------------------------------------------------------------------------------------------------------------- */

#define BIG (16u << 20)
static char *big1, *big2;

static void copy(void) { memcpy(big1, big2, BIG); }
static void set(void) { memset(big1, (int)sink, BIG); }

static void rep_movsb(void)
{
	void *d = big1;
	const void *s = big2;
	size_t n = 1 << 20;

	__asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
}

static void random_access_memory(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < 10000; i++)
		sum += (uint64_t)big1[next_random() & (BIG - 1)];
	sink += sum;
}

static void pointer_chase(void)
{
	static void *chain[8192];
	void **p;

	if (!chain[0])
		for (unsigned i = 0; i < 8192; i++)
			chain[i] = &chain[(i * 4093 + 1) & 8191];
	p = chain;
	for (int i = 0; i < 20000; i++)
		p = *p;
	sink += (uint64_t)(uintptr_t)p;
}

/* --- floating point, vectors -------------------------------------------------------------------------------------------------- */

static void scalar_double(void)
{
	volatile double start = 1.1;
	double x = start, y = 0;

	for (int i = 0; i < 5000; i++) {
		x = x * 1.0000001 + 0.5;
		y += 1.0 / x;
	}
	sink += (uint64_t)(y * 1000);
}

static void sse2(void)
{
	static float a[4096], b[4096];
	__m128 k = _mm_set1_ps(1.001f);

	for (int i = 0; i < 4096; i += 4)
		_mm_storeu_ps(a + i, _mm_add_ps(_mm_mul_ps(_mm_loadu_ps(b + i), k), _mm_loadu_ps(a + i)));
	sink += (uint64_t)a[5];
}

__attribute__((target("avx2"))) static void avx2(void)
{
	static int32_t a[8192], b[8192];

	for (int i = 0; i < 8192; i += 8) {
		__m256i x = _mm256_loadu_si256((const __m256i *)(a + i));
		__m256i y = _mm256_loadu_si256((const __m256i *)(b + i));

		_mm256_storeu_si256((__m256i *)(a + i), _mm256_add_epi32(_mm256_slli_epi32(x, 3), _mm256_xor_si256(x, y)));
	}
	sink += (uint64_t)a[5];
}

static void x87(void)
{
	volatile long double start = 1.1L;
	long double x = start, y = 0;

	for (int i = 0; i < 2000; i++) {
		x = x * 1.0000001L + 0.5L;
		y += sqrtl(x);
	}
	sink += (uint64_t)y;
}

/* --- operating system ------------------------------------------------------------------------------------------------------------ */

static void fork_exit(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
}

static void fork_exec(void)
{
	pid_t pid = vfork();

	if (!pid) {
		execl(self, "work", "-exit", (char *)NULL);
		_exit(1);
	}
	waitpid(pid, NULL, 0);
}

static void page_faults(void)
{
	char *p = mmap(NULL, 256 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (int i = 0; i < 256; i++)
		p[i * 4096] = 1;
	munmap(p, 256 * 4096);
}

static void map_unmap(void)
{
	for (int i = 0; i < 20; i++) {
		char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		*p = 1;
		munmap(p, 4096);
	}
}

static void copy_on_write(void)
{
	pid_t pid = fork();

	if (!pid) {
		for (int i = 0; i < 64; i++)
			big1[i * 4096]++;
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static void system_call(void)
{
	for (int i = 0; i < 100; i++)
		sink += (uint64_t)syscall(SYS_getppid);
}

static void pipe_read_write(void)
{
	static int fd[2];
	char buf[512];

	if (!fd[1] && pipe(fd))
		exit(1);
	for (int i = 0; i < 50; i++)
		if (write(fd[1], buf, sizeof(buf)) != sizeof(buf) || read(fd[0], buf, sizeof(buf)) != sizeof(buf))
			exit(1);
}

static void *echo_thread(void *arg)
{
	int *fd = arg;
	char c;

	while (read(fd[0], &c, 1) == 1 && write(fd[1], &c, 1) == 1)
		;
	return NULL;
}

static void ping_pong(void)
{
	static int there[2], back[2], ends[2];
	char c = 0;

	if (!there[1]) {
		pthread_t t;

		if (pipe(there) || pipe(back))
			exit(1);
		ends[0] = there[0];
		ends[1] = back[1];
		pthread_create(&t, NULL, echo_thread, ends);
	}
	for (int i = 0; i < 20; i++)
		if (write(there[1], &c, 1) != 1 || read(back[0], &c, 1) != 1)
			exit(1);
}

static void on_signal(int sig)
{
	sink += (uint64_t)sig;
}

static void signals(void)
{
	signal(SIGUSR1, on_signal);
	for (int i = 0; i < 50; i++)
		raise(SIGUSR1);
}

/* --- code that is made ------------------------------------------------------------------------------------------------------------- */

static uint8_t *code_memory;

static void make_code(uint8_t *p, uint32_t value)
{
	/* lea eax, [rdi + value]; imul eax, eax, 3; ret */
	static const uint8_t tail[] = { 0x6b, 0xc0, 0x03, 0xc3 };

	p[0] = 0x8d;
	p[1] = 0x87;
	memcpy(p + 2, &value, 4);
	memcpy(p + 6, tail, sizeof(tail));
}

typedef int made_function(int);

static made_function *function_at(uint8_t *p)
{
	made_function *f;

	memcpy(&f, &p, sizeof(f));
	return f;
}

/* A JIT's first use: many small functions, each called a few times. */
static void fresh_code(void)
{
	static uint32_t at;

	for (int i = 0; i < 64; i++) {
		uint8_t *p = code_memory + (at++ * 16 & 0xffff);

		make_code(p, at);
		for (int k = 0; k < 20; k++)
			sink += (uint64_t)function_at(p)(k);
	}
}

/* One function whose constant is patched before each call. */
static void patched_code(void)
{
	for (uint32_t i = 0; i < 64; i++) {
		make_code(code_memory + 0x10000, i);
		sink += (uint64_t)function_at(code_memory + 0x10000)(1);
	}
}

/* ------------------------------------------------------------------------------------------------------------------------------------ */

static const struct workload {
	const char *name, *class;
	void (*run)(void);
} workloads[] = {
	{ "integer-mix", "integer", integer_mix },
	{ "sieve", "integer", sieve },
	{ "sort", "integer", sort },
	{ "sha256", "integer", sha },
	{ "recursion", "integer", recursion },
	{ "indirect-calls", "integer", indirect_calls },
	{ "bytecode", "integer", bytecode },
	{ "memcpy", "memory", copy },
	{ "memset", "memory", set },
	{ "rep-movsb", "memory", rep_movsb },
	{ "random-access", "memory", random_access_memory },
	{ "pointer-chase", "memory", pointer_chase },
	{ "scalar-double", "simd", scalar_double },
	{ "sse2", "simd", sse2 },
	{ "avx2", "simd", avx2 },
	{ "x87", "simd", x87 },
	{ "fork-exit", "os", fork_exit },
	{ "fork-exec", "os", fork_exec },
	{ "page-faults", "os", page_faults },
	{ "mmap", "os", map_unmap },
	{ "copy-on-write", "os", copy_on_write },
	{ "getppid", "os", system_call },
	{ "pipe", "os", pipe_read_write },
	{ "ping-pong", "os", ping_pong },
	{ "signals", "os", signals },
	{ "fresh-code", "code", fresh_code },
	{ "patched-code", "code", patched_code },
};

static int by_value(const void *a, const void *b)
{
	return *(const double *)a < *(const double *)b ? -1 : *(const double *)a > *(const double *)b;
}

static void measure(const struct workload *w, double seconds)
{
	double batch[BATCHES], start = now(), once;
	unsigned long n, i;

	w->run();
	w->run();
	start = now();
	w->run();
	once = now() - start;
	n = (unsigned long)(seconds * 1e9 / BATCHES / (once > 1 ? once : 1)) + 1;
	for (int b = 0; b < BATCHES; b++) {
		start = now();
		for (i = 0; i < n; i++)
			w->run();
		batch[b] = (now() - start) / (double)n;
	}
	qsort(batch, BATCHES, sizeof(batch[0]), by_value);
	printf("%s %s %.1f\n", w->name, w->class, batch[BATCHES / 2]);
	fflush(stdout);
}

/* The value of WORD= on the kernel's command line, or NULL. */
static char *parameter(const char *word)
{
	static char line[4096];
	char *p;
	int fd = open("/proc/cmdline", O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, line, sizeof(line) - 1);

	if (fd >= 0)
		close(fd);
	line[n > 0 ? n : 0] = 0;
	p = strstr(line, word);
	if (!p)
		return NULL;
	p += strlen(word);
	p[strcspn(p, " \n")] = 0;
	return strdup(p);
}

static int wanted(const char *name, int argc, char **argv, const char *only)
{
	if (only)
		return strstr(only, name) != NULL;
	for (int i = 2; i < argc; i++)
		if (!strcmp(argv[i], name))
			return 1;
	return argc <= 2;
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 0.2;
	char *only = NULL, *p;
	int init = getpid() == 1;

	if (argc > 1 && !strcmp(argv[1], "-exit"))
		return 0;
	self = init ? "/init" : "/proc/self/exe";
	if (init) {
		mkdir("/proc", 0755);
		mount("proc", "/proc", "proc", 0, NULL);
		p = parameter("bench.seconds=");
		if (p)
			seconds = atof(p);
		only = parameter("bench.only=");
		printf("init up %.0f\n", now());
	}
	big1 = aligned_alloc(4096, BIG);
	big2 = aligned_alloc(4096, BIG);
	memset(big1, 1, BIG);
	memset(big2, 2, BIG);
	code_memory = mmap(NULL, 1 << 17, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (size_t i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++)
		if (wanted(workloads[i].name, argc, argv, only))
			measure(&workloads[i], seconds);
	printf("done\n");
	fflush(stdout);
	if (init)
		reboot(RB_POWER_OFF);
	return 0;
}
