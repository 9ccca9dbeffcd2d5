// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Goroutines, channels, maps, garbage, a recovered panic by a nil pointer (a signal), hashes.
package main

import (
	"crypto/sha256"
	"fmt"
	"math"
	"sort"
	"sync"
)

type node struct {
	left, right *node
	value       int
}

func tree(depth int) *node {
	if depth == 0 {
		return &node{value: 1}
	}
	return &node{tree(depth - 1), tree(depth - 1), depth}
}

func (n *node) sum() int {
	if n.left == nil {
		return n.value
	}
	return n.left.sum() + n.right.sum() + n.value
}

func faults() (caught bool) {
	defer func() { caught = recover() != nil }()
	var n *node
	return n.value == 0
}

func main() {
	var wait sync.WaitGroup
	var lock sync.Mutex
	counts := map[int]int{}
	numbers := make(chan int, 10)
	for w := 0; w < 4; w++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for n := range numbers {
				sum := tree(10).sum()
				lock.Lock()
				counts[(n*n+sum)%101]++
				lock.Unlock()
			}
		}()
	}
	for n := 0; n < 400; n++ {
		numbers <- n
	}
	close(numbers)
	wait.Wait()
	var keys []int
	for k := range counts {
		keys = append(keys, k)
	}
	sort.Ints(keys)
	hash, x := sha256.New(), 0.0
	for _, k := range keys {
		fmt.Fprintln(hash, k, counts[k])
	}
	for n := 1; n < 1000000; n++ {
		x += math.Sin(float64(n)) / math.Sqrt(float64(n))
	}
	caught := 0
	for n := 0; n < 100; n++ {
		if faults() {
			caught++
		}
	}
	fmt.Printf("%x %.12f %d\n", hash.Sum(nil), x, caught)
}
