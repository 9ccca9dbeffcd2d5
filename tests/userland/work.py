# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""Big integers, floats, strings, dictionaries, regular expressions, zlib, two processes."""
import hashlib
import json
import math
import multiprocessing
import re
import struct
import zlib


def pi_digits(count):
    """Gosper's spigot, with exact integers."""
    q, r, t, i = 1, 180, 60, 2
    digits = []
    while len(digits) < count:
        u, y = 3 * (3 * i + 1) * (3 * i + 2), (q * (27 * i - 12) + 5 * r) // (5 * t)
        digits.append(y)
        q, r, t, i = 10 * q * i * (2 * i - 1), 10 * u * (q * (5 * i - 2) + r - y * t), t * u, i + 1
    return "".join(map(str, digits))


def part(seed):
    """Work of one process."""
    x, h = seed, hashlib.sha256()
    for _ in range(60000):
        x = (x * 6364136223846793005 + 1442695040888963407) % 2**64
        h.update(struct.pack("<Qd", x, math.sqrt(x) / 3))
    return h.hexdigest()


if __name__ == "__main__":
    print(pi_digits(400))
    table = {str(i): [i * 1.5, {"a": i, "b": "x" * (i % 7)}] for i in range(15000)}
    text = json.dumps(table)
    print(hashlib.sha512(text.encode()).hexdigest(), len(json.loads(text)))
    print(len(re.findall(r"\d+\.5", text)), zlib.crc32(zlib.compress(text.encode(), 9)))
    print(sum(math.sin(i) * math.exp(-i / 9999) for i in range(100000)), pow(3, 10**5, 2**521 - 1))
    with multiprocessing.Pool(2) as pool:
        print(pool.map(part, range(4)))
