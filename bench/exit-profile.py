#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""Where the instructions of an exit go: each function's part, from guest to guest.

usage: exit-profile.py [-M svm|vmx] [-k] [-r ROW]... [-p PATH]      (BUILD, GUEST: as for tests/machine/machine.sh)
  -M       AMD-V in QEMU (svm), or VT-x in Bochs
  -k       Debian's KVM instead of anykvm.ko
  -r ROW   the test of bench/exits.c (exit_cpuid); several in Bochs
  -p PATH  also write one exit, instruction by instruction, to PATH-ROW
QEMU executes one instruction per block and logs each while the row runs in a loop; Bochs's debugger writes down what follows
the guest's third start. Exits are found by the guest's addresses, which Bochs's debugger does not know (???).
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
"""
FOR_EVER = """while :; do /exits --timeout 100 --device "$DEVICE" "$ROW" >/dev/null; done
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


# For each row: stop in its program, then at the third start of its guest.
IN_BOCHS = """lb {main:#x}
c
d {first}
lb 0x1000
c
c
c
d {second}
trace on
s {steps}
trace off
"""
STEPS = 40000


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


def report(name, runs, symbols, path):
    if not runs:
        sys.exit("exit-profile: no exits seen")
    starts = [s[0] for s in symbols]
    lengths = collections.Counter(len(r) for r in runs)
    length = lengths.most_common(1)[0][0]
    chosen = next(r for r in runs if len(r) == length)
    names = [symbols[bisect.bisect(starts, pc) - 1] if pc >= 1 << 47 else (0, "user space", "") for pc in chosen]
    print(f"{name}: {len(runs)} exits; {length} instructions in the most frequent kind ({lengths[length]} exits)")
    calls = collections.Counter()
    for pc, symbol in zip(chosen, names):
        calls[symbol[1]] += pc == symbol[0]
    for (symbol, module), n in collections.Counter((n[1], n[2]) for n in names).most_common(60):
        print(f"{n:6} {calls[symbol]:4} {symbol} [{module}]")
    if path:
        with open(f"{path}-{name}", "w") as f:
            f.writelines(f"{n[1]}+{pc - n[0]:#x}\n" for pc, n in zip(chosen, names))


def machine(args, build, script, env):
    top = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    command = ["timeout", "900", "sh", top + "/tests/machine/machine.sh", "-M", args.M, "-c", "1", "-i", "-a",
               build + "/bench/exits:/exits"] + (["-k"] if args.k else []) + [script]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=dict(os.environ, **env), text=True)


def in_qemu(args, build, work):
    script, log, symbols_file, mon = (os.path.join(work, n) for n in ("profile.sh", "log", "symbols", "monitor"))
    with open(script, "w") as f:
        f.write(INSIDE + FOR_EVER.replace("$ROW", args.r[0]))
    m = machine(args, build, script,
                {"MACHINE_QEMU": f"-serial file:{symbols_file} -monitor unix:{mon},server,nowait -D {log}"})
    for line in m.stdout:
        if "profile-ready" in line:
            break
    else:
        sys.exit("exit-profile: the machine does not come up")
    time.sleep(5)
    monitor(mon, ["singlestep on", "log exec,nochain", 3.0, "log none", "quit"])
    m.stdout.read()
    m.wait()
    report(args.r[0], sorted(host_runs(read_trace(log)), key=len), read_symbols(symbols_file), args.p)


def traces_of_bochs(path):
    """One trace for each time that the debugger was told to write."""
    trace = None
    with open(path, errors="replace") as f:
        for line in f:
            if "Tracing enabled" in line:
                trace = []
            elif "Tracing disabled" in line:
                yield trace
                trace = None
            elif trace is not None:
                m = re.match(r"\(0\)\.\[\d+\] (?:\[\S+\] [0-9a-f]{4}:([0-9a-f]{16})|\?\?\?) ", line)
                if m:
                    trace.append(int(m[1], 16) if m[1] else GUEST_CODE[0])


def in_bochs(args, build, work):
    script, commands = (os.path.join(work, n) for n in ("profile.sh", "commands"))
    symbols = subprocess.run(["nm", build + "/bench/exits"], stdout=subprocess.PIPE, text=True, check=True).stdout
    main_address = int(re.search(r"^([0-9a-f]+) T main$", symbols, re.M)[1], 16)
    with open(commands, "w") as f:
        for i in range(len(args.r)):
            f.write(IN_BOCHS.format(main=main_address, first=2 * i + 1, second=2 * i + 2, steps=STEPS))
        f.write("c\n")
    with open(script, "w") as f:
        f.write(INSIDE + "".join(f'/exits --timeout 100 --device "$DEVICE" {row} >/dev/null\n' for row in args.r))
    machine(args, build, script, {"MACHINE_BOCHS": commands}).communicate()
    for row, trace in zip(args.r, traces_of_bochs(commands + ".log")):
        report(row, list(host_runs(trace)), read_symbols(commands + ".com2"), args.p)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-M", choices=["svm", "vmx"], default="svm")
    parser.add_argument("-k", action="store_true")
    parser.add_argument("-r", action="append")
    parser.add_argument("-p")
    args = parser.parse_args()
    args.r = args.r or ["exit_cpuid"]
    build = os.environ.get("BUILD", "build")
    with tempfile.TemporaryDirectory() as work:
        (in_bochs if args.M == "vmx" else in_qemu)(args, build, work)


main()
