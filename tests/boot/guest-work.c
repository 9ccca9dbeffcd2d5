// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * guest-work - what programs do to a machine, with results that do not depend on the machine: the
 * output in a guest must be the output on the host, byte for byte. Nothing here prints a time, an
 * address, a pid or a feature of the CPU. A static program without arguments, for 64 bits or (-m32) 32.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef __x86_64__
typedef unsigned __int128 widest;
#define REG(regs, name) ((regs).r##name)
#define STACK_AX "%%rax"
#else
typedef uint64_t widest;
#define REG(regs, name) ((regs).e##name)
#define STACK_AX "%%eax"
#endif

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size)
{
	const uint8_t *at = bytes;

	while (size--)
		hash = (hash ^ *at++) * 0x100000001b3ull; /* FNV-1a */
	return hash;
}

static uint64_t hash_of(const void *bytes, size_t size)
{
	return hash_bytes(0xcbf29ce484222325ull, bytes, size);
}

static uint64_t random_state;

static uint64_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void fill_random(void *bytes, size_t size, uint64_t seed)
{
	uint8_t *at = bytes;

	random_state = seed;
	while (size--)
		*at++ = random_next() >> 32;
}

static void *map_anonymous(size_t size)
{
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return map;
}

/* Integers. */

static void work_integers(void)
{
	uint64_t sum = 1;
	widest wide = 0;

	random_state = 42;
	for (unsigned int i = 0; i < 300000; i++) {
		uint64_t a = random_next(), b = random_next() | 1;

		sum += a / b + a % b + (int64_t)a / (int64_t)((b >> 32) | 1);
		sum ^= sum << (a & 63) | sum >> (-a & 63);
		sum += __builtin_popcountll(a) + __builtin_clzll(b) + __builtin_ctzll(b);
		wide += (widest)a * b;
		sum -= __builtin_bswap64(a) ^ (uint16_t)b * (uint8_t)a;
	}
	printf("integers %016llx %016llx%016llx\n", (unsigned long long)sum,
	       (unsigned long long)(wide >> 4 * sizeof(wide)), (unsigned long long)wide);
}

static int compare_words(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void work_sort(void)
{
	static uint32_t words[50000];
	bool sorted = true;

	fill_random(words, sizeof(words), 7);
	qsort(words, COUNT(words), sizeof(words[0]), compare_words);
	for (size_t i = 1; i < COUNT(words); i++)
		sorted = sorted && words[i - 1] <= words[i];
	printf("sort %d %016llx\n", sorted, (unsigned long long)hash_of(words, sizeof(words)));
}

/* The libc picks string routines by CPU features; their results are the same. */
static void work_strings(void)
{
	enum { SIZE = 1 << 16 };
	static char from[SIZE + 64], to[SIZE + 64];
	uint64_t hash = 0;

	fill_random(from, sizeof(from), 99);
	for (size_t i = 0; i < 400; i++) {
		size_t size = i * 163 % SIZE, a = i * 7 % 64, b = i * 13 % 64;

		memcpy(to + b, from + a, size);
		memmove(to + a, to + b, size / 2);
		memset(to + b, i, size / 16);
		hash = hash_bytes(hash, to, 512) + memcmp(from, to, 32) / 256 + (memchr(to, 7, size) == NULL);
		hash += strnlen(from + a, SIZE);
	}
	printf("strings %016llx %016llx\n", (unsigned long long)hash, (unsigned long long)hash_of(to, sizeof(to)));
}

/* Floating point: only what IEEE 754 defines exactly, in x87, scalar and packed SSE form. */

static void work_floats(void)
{
	double sum = 0, product = 1;
	float single = 0;
	long double extended = 0;
	double vector[4] = { 1.5, -2.25, 3.125, 1e-3 };
	int64_t rounded = 0;

	for (int i = 1; i <= 200000; i++) {
		sum += 1.0 / ((double)i * i);
		product *= 1 + 1.0 / (i + 1000.0);
		product -= (int)product / 2;
		single += 1.0f / (float)i;
		extended += 1.0L / ((long double)i * i * i);
		for (int j = 0; j < 4; j++)
			vector[j] = vector[j] * 0.99999 + __builtin_sqrt(i) / (j + 3);
		rounded += (int64_t)(sum * 1e6) + (int32_t)single;
	}
	printf("floats %a %a %a %La %lld\n", sum, product, single, extended, (long long)rounded);
	printf("vector %a %a %a %a\n", vector[0], vector[1], vector[2], vector[3]);
}

static void work_float_corners(void)
{
	static const volatile double values[] = { 0.0, -0.0, 1.0, -1e300, 1e300, 5e-324, 1e-310, 0x1p53 };
	uint64_t hash = 0;
	volatile double zero = 0;
	double nan = zero / zero, infinity = 1 / zero;

	for (size_t i = 0; i < COUNT(values); i++) {
		for (size_t j = 0; j < COUNT(values); j++) {
			double results[] = { values[i] + values[j], values[i] - values[j], values[i] * values[j],
					     values[i] < values[j] ? 1.0 : 2.0 };

			for (size_t k = 0; k < COUNT(results); k++) {
				if (results[k] != results[k])
					results[k] = 77; /* the sign of a made NaN is not defined */
				hash = hash_bytes(hash, &results[k], sizeof(results[k]));
			}
		}
	}
	printf("corners %016llx %d %d %d\n", (unsigned long long)hash, nan == nan, infinity > 1e308,
	       (int)__builtin_signbit(-zero) != 0);
}

/* Memory. */

static sigjmp_buf fault_return;
static volatile sig_atomic_t fault_signal, fault_code, fault_expected;
static void *volatile fault_address;

static void fault_handler(int signal, siginfo_t *info, void *context)
{
	(void)context;
	fault_signal = signal;
	fault_code = info->si_code;
	fault_address = info->si_addr;
	if (!fault_expected)
		_exit(3);
	fault_expected = 0;
	siglongjmp(fault_return, 1);
}

/* True the first time, false after the fault that must follow. */
#define try_fault() (fault_expected = 1, !sigsetjmp(fault_return, 1))

static void catch_faults(void)
{
	static char stack[65536];
	const stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_sigaction = fault_handler, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	sigaltstack(&alternate, NULL);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGFPE, &action, NULL);
	sigaction(SIGILL, &action, NULL);
}

static void work_memory(void)
{
	enum { PAGES = 256, PAGE = 4096 };
	uint8_t *volatile map = map_anonymous(PAGES * PAGE);
	volatile unsigned int faults = 0;
	uint64_t hash;

	for (size_t i = 0; i < PAGES; i++)
		memset(map + i * PAGE, i, PAGE);
	mprotect(map, PAGES * PAGE, PROT_READ);
	for (volatile unsigned int i = 0; i < PAGES; i += 16) {
		if (try_fault()) {
			map[i * PAGE + 5] = 1;
		} else {
			faults += fault_signal == SIGSEGV && fault_code == SEGV_ACCERR &&
				  fault_address == map + i * PAGE + 5;
			mprotect(map + i * PAGE, PAGE, PROT_READ | PROT_WRITE);
			map[i * PAGE + 5] = 2;
		}
	}
	munmap(map + 8 * PAGE, PAGE);
	if (try_fault())
		((volatile uint8_t *)map)[8 * PAGE];
	else
		faults += 100 * (fault_signal == SIGSEGV && fault_code == SEGV_MAPERR);
	mmap(map + 8 * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	madvise(map + 32 * PAGE, 16 * PAGE, MADV_DONTNEED);
	mprotect(map, PAGES * PAGE, PROT_READ);
	hash = hash_of(map, PAGES * PAGE);
	printf("memory %u %016llx\n", faults, (unsigned long long)hash);
	munmap(map, PAGES * PAGE);
}

static void work_moved_memory(void)
{
	enum { SIZE = 300 * 4096 };
	uint8_t *map = map_anonymous(SIZE);
	uint8_t *moved;

	fill_random(map, SIZE, 3);
	mmap(map + SIZE, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); /* in the way, likely */
	moved = mremap(map, SIZE, 4 * SIZE, MREMAP_MAYMOVE);
	if (moved == MAP_FAILED) {
		printf("moved memory: %s\n", strerror(errno));
		return;
	}
	moved[4 * SIZE - 1] = 1;
	printf("moved memory %016llx\n", (unsigned long long)hash_of(moved, 4 * SIZE));
	munmap(moved, 4 * SIZE);
}

static void work_file_mapping(void)
{
	enum { SIZE = 300000 };
	char name[] = "/tmp/guest-work.XXXXXX";
	int fd = mkstemp(name);
	uint8_t *shared, *private;
	uint8_t back[64];

	if (fd < 0 || ftruncate(fd, SIZE) < 0) {
		printf("file mapping: %s\n", strerror(errno));
		return;
	}
	unlink(name);
	shared = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	private = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	fill_random(shared, SIZE, 5);
	memset(private + 1000, 0xee, 32); /* its page stays as it is; the others follow the file */
	shared[200000] = 0x5a;
	if (pread(fd, back, sizeof(back), 1000 - 16) != sizeof(back))
		back[0] = 0;
	printf("file mapping %016llx %016llx %016llx\n", (unsigned long long)hash_of(shared, SIZE),
	       (unsigned long long)hash_of(private, SIZE), (unsigned long long)hash_of(back, sizeof(back)));
	munmap(shared, SIZE);
	munmap(private, SIZE);
	close(fd);
}

/* Code that is written, run and rewritten: mov eax, n; add eax, edi; ret */
static void work_own_code(void)
{
	uint8_t *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t sum = 0;

	if (code == MAP_FAILED) {
		printf("own code: %s\n", strerror(errno));
		return;
	}
	for (uint32_t i = 0; i < 20000; i++) {
		uint8_t *at = code + i % 64 * 32;
		const uint8_t text[] = { 0xb8, i, i >> 8, i >> 16, i >> 24, 0x01, 0xf8, 0xc3 };

		memcpy(at, text, sizeof(text));
		sum += ((int (*)(int))at)(i * 3);
		if (i % 3 == 0) {
			at[1] ^= 0x10; /* the immediate of code just run */
			sum ^= ((int (*)(int))at)(1);
		}
	}
	printf("own code %016llx\n", (unsigned long long)sum);
	munmap(code, 4096);
}

/* Signals. */

static void work_traps(void)
{
	volatile int zero = 0, one = 1;
	volatile unsigned int seen = 0;

	if (try_fault())
		one = one / zero;
	else
		seen |= fault_signal == SIGFPE && fault_code == FPE_INTDIV ? 1 : 0;
	if (try_fault())
		__asm__ volatile("ud2");
	else
		seen |= fault_signal == SIGILL ? 2 : 0;
	if (try_fault())
		*(volatile int *)0x8000000000000000ull = 1; /* not canonical: #GP, no address */
	else
		seen |= fault_signal == SIGSEGV && !fault_address ? 4 : 0;
	if (try_fault())
		__asm__ volatile("hlt");
	else
		seen |= fault_signal == SIGSEGV ? 8 : 0;
	printf("traps %x\n", seen);
}

static volatile sig_atomic_t signal_count;

static void count_signal(int signal)
{
	(void)signal;
	signal_count++;
}

static void work_signals(void)
{
	struct sigaction action = { .sa_handler = count_signal };
	struct itimerval often = { { 0, 2000 }, { 0, 2000 } }, never = { { 0, 0 }, { 0, 0 } };
	sigset_t set, old;
	double x = 1;
	int caught;

	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	for (int i = 0; i < 2000; i++)
		raise(SIGUSR1);
	printf("signals %d", (int)signal_count);
	/* A signal may come anywhere, also between floating-point instructions. */
	signal_count = 0;
	setitimer(ITIMER_REAL, &often, NULL);
	while (signal_count < 20)
		x = x * 1.0000001 + 0.5 / x;
	setitimer(ITIMER_REAL, &never, NULL);
	printf(" %d %d", signal_count >= 20, x > 1);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, &old);
	kill(getpid(), SIGUSR2);
	sigwait(&set, &caught);
	sigprocmask(SIG_SETMASK, &old, NULL);
	printf(" %d\n", caught == SIGUSR2);
}

/* Threads. */

enum { THREADS = 4, ROUNDS = 20000 };

static atomic_ulong atomic_sum;
static unsigned long locked_sum;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static __thread unsigned long own_sum;

static void *add_thread(void *arg)
{
	unsigned long id = (unsigned long)arg;

	for (unsigned long i = 0; i < ROUNDS; i++) {
		atomic_fetch_add(&atomic_sum, id + i);
		own_sum += i ^ id;
		if (i % 8 == 0) {
			pthread_mutex_lock(&lock);
			locked_sum += id * i;
			pthread_mutex_unlock(&lock);
		}
	}
	return (void *)own_sum;
}

static int turn;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;

static void *turn_thread(void *arg)
{
	int id = (int)(long)arg;

	for (int i = 0; i < 500; i++) {
		pthread_mutex_lock(&lock);
		while (turn % 2 != id)
			pthread_cond_wait(&turned, &lock);
		turn++;
		pthread_cond_broadcast(&turned);
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

static void work_threads(void)
{
	pthread_t threads[THREADS];
	unsigned long own = 0;

	for (long i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, add_thread, (void *)(i + 1));
	for (int i = 0; i < THREADS; i++) {
		void *result;

		pthread_join(threads[i], &result);
		own += (unsigned long)result;
	}
	for (long i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, turn_thread, (void *)i);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	printf("threads %lu %lu %lu %d\n", (unsigned long)atomic_sum, locked_sum, own, turn);
}

/* Processes. */

static void work_fork(void)
{
	uint64_t *private = map_anonymous(65536), total = 0;
	int pipes[2], status;

	if (pipe(pipes) < 0)
		return;
	for (int i = 0; i < 8; i++) {
		fill_random(private, 65536, i + 1);
		if (fork() == 0) {
			uint64_t hash;

			for (int j = 0; j < 65536 / 8; j += 64)
			private[j] += i; /* a page of its own from here on */
			hash = hash_of(private, 65536);
			_exit(write(pipes[1], &hash, sizeof(hash)) == sizeof(hash) ? i : 99);
		}
	}
	for (int i = 0; i < 8; i++) {
		uint64_t hash;

		if (read(pipes[0], &hash, sizeof(hash)) == sizeof(hash))
			total += hash; /* in whatever order they come */
	}
	for (int i = 0; i < 8; i++) {
		if (wait(&status) > 0 && WIFEXITED(status))
			total += WEXITSTATUS(status);
	}
	printf("fork %016llx %016llx\n", (unsigned long long)total, (unsigned long long)hash_of(private, 65536));
	close(pipes[0]);
	close(pipes[1]);
	munmap(private, 65536);
}

static void work_exec(void)
{
	int pair[2], status = 0;
	char text[64] = "";
	ssize_t got;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return;
	if (fork() == 0) {
		dup2(pair[1], STDOUT_FILENO);
		execl("/proc/self/exe", "guest-work", "--child", "word", (char *)NULL);
		_exit(127);
	}
	close(pair[1]);
	got = read(pair[0], text, sizeof(text) - 1);
	wait(&status);
	close(pair[0]);
	printf("exec %zd %s %d\n", got, text, WEXITSTATUS(status));
}

/* Single steps through a fixed loop: their number and the registers are exact. */
static void work_ptrace(void)
{
	struct user_regs_struct regs;
	unsigned long steps = 0, sum = 0;
	pid_t child = fork();
	int status;

	if (child == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		__asm__ volatile("xor %%eax, %%eax\n\txor %%ecx, %%ecx\n\tint3\n\tmov $50, %%ecx\n\txor %%eax, %%eax\n"
				 "1:\tadd %%ecx, %%eax\n\tpush " STACK_AX "\n\tpop " STACK_AX
				 "\n\tdec %%ecx\n\tjnz 1b\n\tint3"
				 :
				 :
				 : "eax", "ecx", "memory", "cc");
		_exit(5);
	}
	waitpid(child, &status, 0);
	ptrace(PTRACE_CONT, child, NULL, NULL);
	waitpid(child, &status, 0);
	for (;;) {
		if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) < 0 || waitpid(child, &status, 0) < 0 ||
		    !WIFSTOPPED(status) || steps > 100000)
			break;
		ptrace(PTRACE_GETREGS, child, NULL, &regs);
		steps++;
		sum += REG(regs, ax) + REG(regs, cx) + (regs.eflags & 0x8d5);
		if ((ptrace(PTRACE_PEEKTEXT, child, (void *)(REG(regs, ip) - 1), NULL) & 0xff) == 0xcc)
			break;
	}
	ptrace(PTRACE_CONT, child, NULL, NULL);
	waitpid(child, &status, 0);
	printf("ptrace %lu %lu %d\n", steps, sum, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

/* Timers: not how long, but never too short and never backwards. */

static int64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static void work_timers(void)
{
	static const clockid_t clocks[] = { CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME };
	struct itimerspec spec = { { 0, 5000000 }, { 0, 5000000 } };
	int backwards = 0, early = 0, fd = timerfd_create(CLOCK_MONOTONIC, 0);
	int64_t start = now_ns(CLOCK_MONOTONIC);
	uint64_t expired = 0, n;

	for (size_t c = 0; c < COUNT(clocks); c++) {
		int64_t last = now_ns(clocks[c]);

		for (int i = 0; i < 5000; i++) {
			int64_t now = now_ns(clocks[c]);

			backwards += now < last;
			last = now;
		}
	}
	for (int i = 1; i <= 5; i++) {
		struct timespec wait = { 0, i * 2000000 };
		int64_t before = now_ns(CLOCK_MONOTONIC);

		clock_nanosleep(CLOCK_MONOTONIC, 0, &wait, NULL);
		early += now_ns(CLOCK_MONOTONIC) - before < i * 2000000;
	}
	timerfd_settime(fd, 0, &spec, NULL);
	while (expired < 4 && read(fd, &n, sizeof(n)) == sizeof(n))
		expired += n;
	early += now_ns(CLOCK_MONOTONIC) - start < 4 * 5000000;
	close(fd);
	printf("timers %d %d %d\n", backwards, early, expired >= 4);
}

/* Compression: a small LZ77 and back. */

static size_t compress(const uint8_t *in, size_t size, uint8_t *out)
{
	static int last[65536];
	size_t used = 0;

	memset(last, -1, sizeof(last));
	for (size_t i = 0; i < size;) {
		uint16_t key = i + 2 < size ? (in[i] << 8 ^ in[i + 1] << 4 ^ in[i + 2]) & 0xffff : 0;
		int at = last[key];
		size_t match = 0;

		last[key] = i;
		if (at >= 0 && i - at < 65536) {
			while (match < 255 && i + match < size && in[at + match] == in[i + match])
				match++;
		}
		if (match >= 4) {
			size_t distance = i - at;

			out[used++] = match;
			out[used++] = distance;
			out[used++] = distance >> 8;
			i += match;
		} else {
			out[used++] = 0;
			out[used++] = in[i++];
		}
	}
	return used;
}

static size_t expand(const uint8_t *in, size_t size, uint8_t *out)
{
	size_t used = 0;

	for (size_t i = 0; i < size;) {
		if (in[i]) {
			size_t match = in[i], distance = in[i + 1] | in[i + 2] << 8;

			for (size_t j = 0; j < match; j++, used++)
				out[used] = out[used - distance];
			i += 3;
		} else {
			out[used++] = in[i + 1];
			i += 2;
		}
	}
	return used;
}

static void work_compress(void)
{
	enum { SIZE = 400000 };
	uint8_t *text = map_anonymous(SIZE), *packed = map_anonymous(2 * SIZE), *back = map_anonymous(SIZE);
	size_t packed_size, size;

	random_state = 11;
	for (size_t i = 0; i < SIZE; i++)
		text[i] = i % 97 < 60 && i > 1000 ? text[i - 97 * (1 + i % 7)] : 'a' + random_next() % 26;
	packed_size = compress(text, SIZE, packed);
	size = expand(packed, packed_size, back);
	printf("compress %zu %016llx %d\n", packed_size, (unsigned long long)hash_of(packed, packed_size),
	       size == SIZE && !memcmp(text, back, SIZE));
}

int main(int argc, char **argv)
{
	static void (*const works[])(void) = {
		work_integers,     work_sort,         work_strings,  work_floats, work_float_corners, work_memory,
		work_moved_memory, work_file_mapping, work_own_code, work_traps,  work_signals,       work_threads,
		work_fork,         work_exec,         work_ptrace,   work_timers, work_compress,
	};

	if (argc == 3 && !strcmp(argv[1], "--child")) {
		printf("child:%s", argv[2]);
		return 7;
	}
	catch_faults();
	for (size_t i = 0; i < COUNT(works); i++) {
		works[i]();
		fflush(stdout); /* before the next fork */
	}
	return 0;
}
