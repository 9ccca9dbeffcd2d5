/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Trees, floating point, formatted output; compiled inside the userland. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node {
	struct node *left, *right;
	unsigned key;
};

static struct node *insert(struct node *n, unsigned key)
{
	if (!n) {
		n = calloc(1, sizeof(*n));
		n->key = key;
	} else if (key < n->key) {
		n->left = insert(n->left, key);
	} else {
		n->right = insert(n->right, key);
	}
	return n;
}

static long weight(const struct node *n, long depth)
{
	return n ? weight(n->left, depth + 1) + weight(n->right, depth + 1) + (long)n->key * depth : 0;
}

static double series(unsigned count)
{
	double sum = 0;
	unsigned n;

	for (n = 1; n < count; n++)
		sum += sin(n) / sqrt(n) + pow(1.0 + 1.0 / n, n) * cbrt(n) / (n * 1.0 * n);
	return sum;
}

int main(void)
{
	static char buffer[1000];
	struct node *tree = NULL;
	unsigned x = 1, n;
	long length = 0;

	for (n = 0; n < 100000; n++) {
		x = x * 1103515245u + 12345u;
		tree = insert(tree, x >> 8);
	}
	printf("%ld\n%.12f\n", weight(tree, 0), series(300000));
	for (n = 0; n < 20000; n++)
		length += snprintf(buffer, sizeof(buffer), "%u %.9g %s %a", n, n / 3.0, "word", (double)x / (n + 1));
	printf("%ld %zu\n", length, strlen(buffer));
	return 0;
}
