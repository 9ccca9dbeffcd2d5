#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""
Run the benchmark program on the bare CPU, in QEMU's TCG and on anykvm's two forms, interleaved; report medians and ratios.

One round runs every form once, each round in another order. A figure is the median over the rounds; its spread is half the
distance between the quartiles. Writes results.json, report.md and plot.svg into the output directory and prints the report;
--docs FILE puts the report between FILE's marks and the plot beside it.
"""
import argparse
import datetime
import json
import math
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import time

FORMS = ["host", "tcg", "anykvm", "interpreter"]
TITLES = {"host": "bare CPU", "tcg": "QEMU TCG", "anykvm": "anykvm", "interpreter": "interpreter"}
GUESTS = FORMS[1:]
CLASSES = ["integer", "memory", "simd", "os", "shell", "code"]
CONSOLE = "console=ttyS0 quiet loglevel=0 iomem=relaxed"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


def die(message):
    sys.exit("bench: " + message)


def go_first():
    """
    In a child: the highest priority, if root. Other load of the machine hits long units of work harder than short ones. Linux
    schedules groups by session first.
    """
    try:
        os.setsid()
        with open("/proc/self/autogroup", "w") as group:
            group.write("-20")
        os.nice(-20)
    except OSError:
        pass


class Runner:
    """Starts the benchmark program in one form and parses what it prints."""

    def __init__(self, options):
        self.options = options
        self.qemu = shutil.which("qemu-system-x86_64") or die("install qemu-system-x86")

    def command(self, form, only, seconds, cpus):
        o = self.options
        if form == "host":
            return [o.work, str(seconds)] + [name for name in only.split(",") if name]
        append = f"{CONSOLE} bench.seconds={seconds}" + (f" bench.only={only}" if only else "")
        if form == "tcg":
            return [self.qemu, "-accel", "tcg", "-cpu", "max", "-m", "1024", "-smp", str(cpus), "-nodefaults", "-nographic",
                    "-serial", "stdio", "-no-reboot", "-kernel", o.kernel, "-initrd", o.initrd, "-append", append]
        engine = "translator" if form == "anykvm" else "interpreter"
        return [o.anykvm, "boot", "--engine", engine, "--memory", "1024M", "--cpus", str(cpus), "--kernel", o.kernel,
                "--initrd", o.initrd, "--append", append]

    def run(self, form, only="", seconds=0.0, cpus=1):
        """Returns ({name: (class, ns)}, seconds to init, seconds to the end)."""
        figures, to_init = {}, None
        start = time.monotonic()
        process = subprocess.Popen(self.command(form, only, seconds, cpus), stdin=subprocess.DEVNULL,
                                   preexec_fn=go_first,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        lines = []
        try:
            for line in process.stdout:
                line = line.strip()
                lines.append(line)
                words = line.split()
                if line.endswith("init up"):
                    to_init = time.monotonic() - start
                elif len(words) == 3 and words[2].replace(".", "", 1).isdigit():
                    figures[words[0]] = (words[1], float(words[2]))
        except BaseException:
            process.kill()  # it is in a session of its own: Ctrl-C does not reach it
            raise
        status = process.wait()
        finished = only == "none" or (lines and lines[-1].endswith("done")) or "done" in lines
        if status or not finished:
            die(f"{TITLES[form]} failed (status {status}); it printed:\n" + "\n".join(lines[-20:]))
        return figures, to_init, time.monotonic() - start


class Series:
    """Figures by name and form, one for each round, in nanoseconds."""

    def __init__(self):
        self.classes, self.values = {}, {}

    def add(self, name, kind, form, value):
        self.classes[name] = kind
        self.values.setdefault(name, {}).setdefault(form, []).append(value)

    def names(self, kind):
        return [name for name, its in self.classes.items() if its == kind]

    def median(self, name, form):
        values = self.values.get(name, {}).get(form)
        return statistics.median(values) if values else None

    def spread(self, name, form):
        """Half the distance between the quartiles, in parts of the median."""
        values = self.values[name][form]
        if len(values) < 2:
            return 0.0
        quartiles = statistics.quantiles(values, n=4, method="inclusive")
        return (quartiles[2] - quartiles[0]) / 2 / statistics.median(values)

    def ratio(self, name, form, base):
        a, b = self.median(name, form), self.median(name, base)
        return a / b if a and b else None

    def mean(self, names, form, base):
        ratios = [self.ratio(name, form, base) for name in names]
        ratios = [r for r in ratios if r]
        return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else None


def measure(options):
    runner, series = Runner(options), Series()
    for turn in range(options.rounds):
        forms = FORMS[turn % len(FORMS):] + FORMS[:turn % len(FORMS)]
        for form in forms:
            if form == "interpreter" and turn >= options.interpreter_rounds:
                continue
            print(f"bench: round {turn + 1} of {options.rounds}, {TITLES[form]}", file=sys.stderr, flush=True)
            one_form(runner, series, form, options)
    return series


def one_form(runner, series, form, options):
    figures, _, _ = runner.run(form, options.only, options.seconds)
    if not options.only:
        more, _, _ = runner.run(form, "smp", options.seconds, cpus=2)
        figures.update(more)
        if form != "host":
            more, _, _ = runner.run(form, "exits", options.seconds)
            figures.update(more)
            _, to_init, to_end = runner.run(form, "none")
            series.add("boot-to-init", "boot", form, to_init * 1e9)
            series.add("boot-to-poweroff", "boot", form, to_end * 1e9)
    for name, (kind, value) in figures.items():
        series.add(name, kind, form, value)


def number(value):
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def cell(series, name, form):
    ratio = series.ratio(name, form, "host")
    return f"{number(ratio)} ±{100 * series.spread(name, form):.0f}%" if ratio else "-"


def work_table(series):
    lines = ["Slow-down against the bare CPU (ratio of medians ± spread of the numerator); the last column is how many times faster"
             " than TCG anykvm is.", "", "| workload | class | bare CPU, µs | anykvm | TCG | interpreter | TCG / anykvm |",
             "|---|---|---|---|---|---|---|"]
    for kind in CLASSES:
        for name in series.names(kind):
            host = f"{series.median(name, 'host') / 1e3:.1f} ±{100 * series.spread(name, 'host'):.0f}%"
            lines.append(f"| {name} | {kind} | {host} | {cell(series, name, 'anykvm')} | {cell(series, name, 'tcg')} |"
                         f" {cell(series, name, 'interpreter')} | {number(series.ratio(name, 'tcg', 'anykvm'))} |")
    return lines


def mean_table(series):
    lines = ["| geometric mean | anykvm | TCG | interpreter | TCG / anykvm |", "|---|---|---|---|---|"]
    for kind in CLASSES + ["all"]:
        names = [n for k in CLASSES for n in series.names(k)] if kind == "all" else series.names(kind)
        if names:
            means = [number(series.mean(names, form, "host")) for form in ("anykvm", "tcg", "interpreter")]
            lines.append(f"| {kind} | {' | '.join(means)} | {number(series.mean(names, 'tcg', 'anykvm'))} |")
    return lines


def other_tables(series):
    lines = []
    if series.names("boot"):
        lines += ["", "| boot of the kernel, seconds | anykvm | TCG | interpreter |", "|---|---|---|---|"]
        for name in series.names("boot"):
            values = [f"{series.median(name, f) / 1e9:.2f} ±{100 * series.spread(name, f):.0f}%" if series.median(name, f) else "-"
                      for f in ("anykvm", "tcg", "interpreter")]
            lines.append(f"| {name} | {' | '.join(values)} |")
    if series.names("exits"):
        lines += ["", "| exits, thousands a second (100 a unit) | anykvm | TCG | interpreter |", "|---|---|---|---|"]
        for name in series.names("exits"):
            values = [number(1e11 / series.median(name, f) / 1e3) if series.median(name, f) else "-"
                      for f in ("anykvm", "tcg", "interpreter")]
            lines.append(f"| {name} | {' | '.join(values)} |")
    if series.names("smp"):
        lines += ["", "| two threads' work against one's | bare CPU | anykvm | TCG | interpreter |", "|---|---|---|---|---|"]
        values = []
        for form in FORMS:
            one, two = series.median("one-thread", form), series.median("two-threads", form)
            values.append(number(2 * one / two) if one and two else "-")
        lines.append(f"| two vCPUs | {' | '.join(values[i] for i in (0, 2, 1, 3))} |")
    return lines


def report(series, options):
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    version = subprocess.run([shutil.which("qemu-system-x86_64"), "--version"], capture_output=True, text=True,
                             check=False).stdout.split("\n")[0]
    load = os.getloadavg()
    head = [f"{datetime.date.today()}, {cpu}, {os.cpu_count()} CPUs, Linux {platform.release()}, {version}, guest"
            f" {os.path.basename(options.kernel)}; {options.rounds} rounds of {options.seconds} s a workload"
            f" (interpreter: {min(options.rounds, options.interpreter_rounds)}), interleaved, at the highest priority if root; load average at the end"
            f" {load[0]:.1f}.", ""]
    return "\n".join(head + work_table(series) + [""] + mean_table(series) + other_tables(series)) + "\n"


def plot(series, directory):
    """One point for each workload and form, slow-down on a logarithmic axis, drawn by gnuplot."""
    gnuplot = shutil.which("gnuplot")
    if not gnuplot:
        print("bench: no plot: gnuplot is not installed (apt-get install gnuplot-nox)", file=sys.stderr)
        return None
    names = [name for kind in CLASSES for name in series.names(kind)]
    forms = [form for form in ("interpreter", "tcg", "anykvm") if any(series.median(name, form) for name in names)]
    out = os.path.join(directory, "plot.svg")
    script = [f"set terminal svg size 1100,480 font 'sans,11' background 'white'", f"set output '{out}'", "set logscale y",
              "set ylabel 'slow-down against the bare CPU'", "set grid y", "set xtics rotate by -60", "set key top left",
              "set style data histograms", "set style histogram clustered gap 1", "set style fill solid 0.8 border -1",
              "set yrange [0.5:*]"]
    columns = ", ".join(f"$data using {i + 2}:xtic(1) title '{TITLES[form]}'" for i, form in enumerate(forms))
    rows = [" ".join([name] + [str(series.ratio(name, form, "host") or "NaN") for form in forms]) for name in names]
    text = "\n".join(["$data << EOD"] + rows + ["EOD"] + script + ["plot " + columns]) + "\n"
    subprocess.run([gnuplot], input=text, text=True, check=True)
    return out


def write_docs(path, text, picture):
    old = open(path).read()
    if BEGIN not in old or END not in old:
        die(f"{path} has no marks {BEGIN} and {END}")
    if picture:
        shutil.copy(picture, os.path.join(os.path.dirname(path), "performance.svg"))
    with open(path, "w") as out:
        out.write(old[:old.index(BEGIN) + len(BEGIN)] + "\n" + text + old[old.index(END):])


def main():
    parser = argparse.ArgumentParser(description="Benchmark anykvm against QEMU TCG and the bare CPU.")
    for name in ("work", "anykvm", "kernel", "initrd", "output"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--interpreter-rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.2, help="for each workload")
    parser.add_argument("--only", default="", help="workloads or classes, with commas; no boots, exits, vCPUs then")
    parser.add_argument("--docs", help="write the report into this file, between its marks")
    options = parser.parse_args()
    if options.rounds < 1 or options.seconds <= 0:
        die("--rounds and --seconds must be positive")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.makedirs(options.output, exist_ok=True)
    series = measure(options)
    text = report(series, options)
    with open(os.path.join(options.output, "results.json"), "w") as out:
        json.dump({"classes": series.classes, "nanoseconds": series.values}, out, indent=1)
    with open(os.path.join(options.output, "report.md"), "w") as out:
        out.write(text)
    picture = plot(series, options.output)
    print(text)
    if options.docs:
        write_docs(options.docs, text, picture)


main()
