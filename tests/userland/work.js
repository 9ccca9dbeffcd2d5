// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Code that the JIT compiles, optimizes and throws away again: integers, doubles, objects, strings, typed arrays, threads.
'use strict';
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const crypto = require('crypto');

const fib = n => n < 2 ? n : fib(n - 1) + fib(n - 2);

function mandelbrot(size) {
	let sum = 0;
	for (let y = 0; y < size; y++)
		for (let x = 0; x < size; x++) {
			let a = 0, b = 0, i = 0;
			for (; i < 100 && a * a + b * b < 4; i++)
				[a, b] = [a * a - b * b + 2 * x / size - 1.5, 2 * a * b + 2 * y / size - 1];
			sum += i;
		}
	return sum;
}

function typed() {
	const u = new Uint32Array(100000), f = new Float64Array(u.length);
	for (let i = 0, x = 1; i < u.length; i++) {
		x = Math.imul(x, 1103515245) + 12345 | 0;
		u[i] = x;
		f[i] = Math.sqrt(u[i]) / (i + 1);
	}
	u.sort();
	f.sort();
	return crypto.createHash('sha256').update(u).update(f).digest('hex');
}

// The same function with numbers, strings and objects: its optimized code is thrown away.
function polymorphic() {
	const add = (a, b) => a + b;
	let out = '';
	for (const values of [[1, 2], [0.5, 1.5], ['a', 'b'], [{ valueOf: () => 7 }, 1], [1n, 2n]]) {
		let r;
		for (let i = 0; i < 20000; i++)
			r = add(...values);
		out += `${r} `;
	}
	return out;
}

// Fresh functions, as programs that generate code make them.
function generated() {
	let sum = 0;
	for (let i = 0; i < 300; i++)
		sum += new Function('x', `let s = ${i}; for (let k = 0; k < 50; k++) s = (s * ${i + 3} + x + k) % 65521; return s`)(i);
	return sum;
}

if (!isMainThread) {
	parentPort.postMessage(`${workerData} ${fib(22)} ${mandelbrot(60 + workerData)} ${typed()}`);
} else {
	console.log(fib(27), mandelbrot(200), typed(), polymorphic(), generated());
	const o = {};
	for (let i = 0; i < 200000; i++)
		o[`k${i % 5000}`] = (o[`k${i % 5000}`] || 0) + i;
	console.log(Object.values(o).reduce((a, b) => a + b), JSON.stringify(JSON.parse(JSON.stringify(o))).length);
	console.log('x'.repeat(5000).replace(/x(?=x)/g, 'yz').length, /(a+)+b/.test('a'.repeat(18)));
	console.log(crypto.scryptSync('word', 'salt', 32).toString('hex'));
	Promise.all([1, 2, 3].map(n => new Promise((done, fail) =>
		new Worker(__filename, { workerData: n }).on('message', done).on('error', fail)
	))).then(lines => console.log(lines.join('\n')));
}
