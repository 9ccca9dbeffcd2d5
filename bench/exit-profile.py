#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""Where the instructions of an exit go: each function's part, from guest to guest, in QEMU's emulation of AMD-V.

usage: exit-profile.py [-k] [-r ROW] [-p PATH]      (BUILD, GUEST: as for tests/machine/machine.sh)
  -k       Debian's kvm-amd instead of anykvm.ko
  -r ROW   the test of bench/exits.c (exit_cpuid)
  -p PATH  also write one exit, instruction by instruction, there
QEMU executes one instruction per block and logs each while the row runs in a loop; exits are found by the guest's addresses.
"""
import argparse
import bisect
import collections
import gzip
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

GUEST_CODE = range(0x1000, 0x9000)
INSIDE = """#!/bin/busybox sh
stty -F /dev/ttyS1 raw -echo
grep -E ' T |\\[(anykvm|kvm)' /proc/kallsyms | gzip -9 >/dev/ttyS1
sleep 1
echo profile-ready
while :; do /exits --timeout 100 --device "$DEVICE" "$ROW" >/dev/null; done
"""


def monitor(path, commands):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        for command in commands:
            if isinstance(command, float):
                time.sleep(command)
            else:
                s.sendall(command.encode() + b"\n")
        time.sleep(0.5)


def read_symbols(path):
    symbols = []
    with gzip.open(path, "rt") as f:
        for line in f:
            m = re.match(r"([0-9a-f]{16}) [tTwW] (\S+)(?:\s+\[(\S+)\])?", line)
            if m:
                symbols.append((int(m[1], 16), m[2], m[3] or "kernel"))
    symbols.sort()
    return symbols


def read_trace(path):
    pattern = re.compile(r"\[[0-9a-f]+/([0-9a-f]+)/")
    with open(path, errors="replace") as f:
        for line in f:
            m = pattern.search(line)
            if m:
                yield int(m[1], 16)


def host_runs(trace):
    """What the host executes between two instructions of the guest."""
    run, started = [], False
    for pc in trace:
        if pc in GUEST_CODE:
            if started and len(run) > 100:
                yield run
            run, started = [], True
        else:
            run.append(pc)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-k", action="store_true")
    parser.add_argument("-r", default="exit_cpuid")
    parser.add_argument("-p")
    args = parser.parse_args()
    build = os.environ.get("BUILD", "build")
    top = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    with tempfile.TemporaryDirectory() as work:
        script, log, symbols_file, mon = (os.path.join(work, n) for n in ("profile.sh", "log", "symbols", "monitor"))
        with open(script, "w") as f:
            f.write(INSIDE.replace("$ROW", args.r))
        extra = f"-serial file:{symbols_file} -monitor unix:{mon},server,nowait -D {log}"
        command = ["timeout", "600", "sh", top + "/tests/machine/machine.sh", "-M", "svm", "-c", "1", "-i", "-a",
                   build + "/bench/exits:/exits"] + (["-k"] if args.k else []) + [script]
        machine = subprocess.Popen(command, stdout=subprocess.PIPE, env=dict(os.environ, MACHINE_QEMU=extra), text=True)
        for line in machine.stdout:
            if "profile-ready" in line:
                break
        else:
            sys.exit("exit-profile: the machine does not come up")
        time.sleep(5)
        monitor(mon, ["singlestep on", "log exec,nochain", 3.0, "log none", "quit"])
        machine.stdout.read()
        machine.wait()
        symbols = read_symbols(symbols_file)
        runs = sorted(host_runs(read_trace(log)), key=len)
    if not runs:
        sys.exit("exit-profile: no exits seen")
    starts = [s[0] for s in symbols]
    lengths = collections.Counter(len(r) for r in runs)
    length = lengths.most_common(1)[0][0]
    chosen = next(r for r in runs if len(r) == length)
    names = [symbols[bisect.bisect(starts, pc) - 1] if pc >= 1 << 47 else (0, "user space", "") for pc in chosen]
    print(f"{len(runs)} exits; {length} instructions in the most frequent kind ({lengths[length]} exits)")
    calls = collections.Counter()
    for pc, name in zip(chosen, names):
        calls[name[1]] += pc == name[0]
    for (name, module), n in collections.Counter((n[1], n[2]) for n in names).most_common(60):
        print(f"{n:6} {calls[name]:4} {name} [{module}]")
    if args.p:
        with open(args.p, "w") as f:
            f.writelines(f"{n[1]}+{pc - n[0]:#x}\n" for pc, n in zip(chosen, names))


main()
