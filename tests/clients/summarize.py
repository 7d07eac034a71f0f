#!/usr/bin/python3
"""Summarizes bench.sh's times: medians, ratios, their geometric mean and maximum.

SPDX-License-Identifier: Apache-2.0

usage: summarize.py TIMES [JSON]. A line of TIMES is "name native wrapped", in microseconds.
"""

import json
import math
import os
import statistics
import sys


def read_times(path):
    times = {}
    with open(path, encoding="ascii") as file:
        for line in file:
            name, native, wrapped = line.split()
            times.setdefault(name, []).append((int(native) / 1e6, int(wrapped) / 1e6))
    return times


def summarize(name, pairs):
    native = [pair[0] for pair in pairs]
    wrapped = [pair[1] for pair in pairs]
    medians = statistics.median(native), statistics.median(wrapped)
    return {"name": name, "native_s": medians[0], "wrapped_s": medians[1], "ratio": medians[1] / medians[0],
            "native_runs_s": native, "wrapped_runs_s": wrapped}


def spread(runs):
    return f"{min(runs):.2f}-{max(runs):.2f}"


def main():
    rows = [summarize(name, pairs) for name, pairs in read_times(sys.argv[1]).items()]
    if not rows:
        print("no benchmark was measured")
        return 1
    print(f"{'benchmark':<16}{'native s':>10}{'(range)':>14}{'wrapped s':>11}{'(range)':>14}{'ratio':>8}")
    for row in rows:
        print(f"{row['name']:<16}{row['native_s']:>10.2f}{spread(row['native_runs_s']):>14}"
              f"{row['wrapped_s']:>11.2f}{spread(row['wrapped_runs_s']):>14}{row['ratio']:>8.3f}")
    ratios = [row["ratio"] for row in rows]
    mean = math.exp(statistics.fmean(map(math.log, ratios)))
    print(f"ratio: geometric mean {mean:.3f}, maximum {max(ratios):.3f}")
    if len(sys.argv) > 2:
        summary = {"benchmarks": rows, "geometric_mean": mean, "maximum": max(ratios), "cpus": os.cpu_count(),
                   "load_average": os.getloadavg()}
        with open(sys.argv[2], "w", encoding="ascii") as file:
            json.dump(summary, file, indent=1)
            file.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
