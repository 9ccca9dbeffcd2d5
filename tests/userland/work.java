/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* HotSpot: threads, locks, garbage, code that becomes hot and is compiled, exceptions, text. */
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;

public class work {
	interface Shape {
		double area(double x);
	}

	static long collatz(long n) {
		long steps = 0;
		for (; n != 1; steps++)
			n = n % 2 == 0 ? n / 2 : 3 * n + 1;
		return steps;
	}

	static int divide(int a, int b) {
		try {
			return a / b;
		} catch (ArithmeticException e) {
			return -1;
		}
	}

	public static void main(String[] args) throws Exception {
		ExecutorService pool = Executors.newFixedThreadPool(4);
		List<Future<Long>> parts = new ArrayList<>();
		Shape[] shapes = { x -> x * x, x -> 3.14159 * x * x, x -> x * Math.sqrt(3) / 4 * x };
		Map<String, Integer> words = new ConcurrentHashMap<>();
		double area = 0;
		int sum = 0;
		for (int n = 0; n < 8; n++) {
			final long from = n * 20000 + 1;
			parts.add(pool.submit(() -> {
				long steps = 0;
				for (long k = from; k < from + 20000; k++) {
					steps += collatz(k);
					words.merge("w" + steps % 97, 1, Integer::sum);
				}
				return steps;
			}));
		}
		long steps = 0;
		for (Future<Long> part : parts)
			steps += part.get();
		pool.shutdown();
		for (int n = 0; n < 3000000; n++) {
			area += shapes[n % 3].area(n * 1e-3);
			sum += divide(n, n % 7);
		}
		System.out.println(steps + " " + area + " " + sum + " " + new TreeMap<>(words));
		System.out.println(IntStream.range(0, 200000).parallel().mapToObj(Integer::toString).collect(Collectors.joining()).hashCode());
	}
}
