-- SPDX-License-Identifier: MIT OR GPL-2.0-only
-- Traces of LuaJIT: numbers, tables, strings, C structures.
local bit = require("bit")
local ffi = require("ffi")

local function sieve(n)
	local composite, count = {}, 0
	for i = 2, n do
		if not composite[i] then
			count = count + 1
			for k = i * i, n, i do composite[k] = true end
		end
	end
	return count
end

ffi.cdef("typedef struct { double x, v; int32_t n; } particle;")
local p = ffi.new("particle[100]")
for i = 0, 99 do p[i].x, p[i].v, p[i].n = i, i / 7, i end
for _ = 1, 5000 do
	for i = 0, 99 do
		local q = p[i]
		q.x = q.x + q.v * 0.001
		q.v = q.v - q.x * 0.001
		q.n = bit.bxor(bit.rol(q.n, 5), i)
	end
end
local x, n = 0, 0
for i = 0, 99 do x, n = x + p[i].x * p[i].v, bit.bxor(n, p[i].n) end
print(sieve(300000), string.format("%.14g", x), n)

local words = {}
for i = 1, 30000 do words[i] = string.format("%05d%s", i * 7919 % 30011, ("ab"):rep(i % 5)) end
table.sort(words)
local all = table.concat(words)
local h = 5381
for i = 1, #all do h = bit.tobit(h * 33 + all:byte(i)) end
print(#all, h, select(2, all:gsub("b%d", "")))
