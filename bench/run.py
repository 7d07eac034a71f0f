#!/usr/bin/python3
# Runs the benchmarks natively and under Hira, in turns, and prints what came out beside the machine's own limits. README.md
# says what each measures.
# SPDX-License-Identifier: Apache-2.0
#
# usage: run.py [--builddir DIR] [--wrapper "CMD ARGS"] [--quick] [--rounds N] [--json FILE] [--only PREFIX...]
# Every round runs every measurement once, raw, natively and under Hira one after the other, so that all meet the same neighbours; the
# medians over the rounds are shown. The null API needs no router: null-serve hands out its servers.
import argparse
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

# measure: what to compare with, how, by which factor, and how much more is allowed (in the row's unit). These are the project's
# targets: a measure that misses one is to be explained, the target stays.
TARGETS = {
    "null.sync": ("raw.pingpong", "<=", 1.5, 0),
    "null.asleep": ("raw.futex", "<=", 1.3, 0),
    "null.async": (None, ">=", 8.0, 0),
    "null.allocations": (None, "<=", 0.001, 0),
    "cl.kernel+finish": ("native", "<=", 1, 5),
    "cl.1000-kernels": ("native", "<=", 1.3, 0),
    "cl.read-4B": ("native", "<=", 1, 5),
    "cl.write-4KiB": ("native", "<=", 1, 5),
    "cl.write-64MiB": ("native", ">=", 0.8, 0),
    "cl.read-64MiB": ("native", ">=", 0.8, 0),
    "cl.write-64MiB-mapped": ("native", ">=", 0.98, 0),
    "cl.read-64MiB-mapped": ("native", ">=", 0.98, 0),
    "cl.start": ("native", "<=", 1, 0),
}
RAW = ["pingpong", "futex", "paused-1", "paused-2", "memcpy"]
NULL = ["sync", "asleep", "async", "memory", "objects"]
CL = ["kernels", "small", "bulk", "mapped", "start"]


def lines(command, env, errors):
    """What a program measured: {measure: (value, unit)}."""
    try:
        p = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        errors.append("%s: no end in 120 s" % " ".join(command))
        return {}
    if p.returncode:
        errors.append("%s: ended with %d: %s" % (" ".join(command), p.returncode, p.stderr.strip()[-200:]))
        return {}
    return {w[0]: (float(w[1]), w[2] if len(w) > 2 else "") for w in (line.split() for line in p.stdout.splitlines()) if len(w) >= 2}


class NullServer:
    def __init__(self, builddir, env):
        directory = os.path.join(builddir, "tests/nullapi")
        self.socket = os.path.join(env["TMPDIR"], "null.sock")
        self.process = subprocess.Popen([os.path.join(directory, "null-serve"), self.socket, os.path.join(directory, "hira-server-null")],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(env, LD_LIBRARY_PATH=directory))
        self.process.stdout.readline()

    def stop(self):
        self.process.stdin.close()
        self.process.terminate()
        self.process.wait()


class Router:
    """A hirad that stays, as operators run it: a private one, started anew with each program, would be timed along with it."""

    def __init__(self, builddir, env):
        self.socket = os.path.join(env["TMPDIR"], "hirad.sock")
        self.process = subprocess.Popen([os.path.join(builddir, "src/router/hirad"), "--socket", self.socket, "--log-level", "error",
                                         "--server-dir", os.path.join(builddir, "specs")], stdin=subprocess.DEVNULL, env=env)
        for _ in range(200):
            if os.path.exists(self.socket):
                return
            time.sleep(0.05)
        raise SystemExit("run.py: hirad does not listen on " + self.socket)

    def stop(self):
        self.process.terminate()
        self.process.wait()


def rollup(pid):
    """Private and proportional memory of a process in MiB."""
    sizes = {}
    with open("/proc/%s/smaps_rollup" % pid) as f:
        for line in f.readlines()[1:]:
            key, value = line.split(":")
            sizes[key] = int(value.split()[0]) / 1024
    return sizes["Private_Clean"] + sizes["Private_Dirty"], sizes["Pss"]


def processes(name):
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/comm" % pid) as f:
                if f.read().strip() == name:
                    found.add(pid)
        except OSError:
            pass
    return found


def memory(program, wrapper, env, rows):
    """Of an application that has run a kernel, natively and under Hira, and of its server."""
    for label, command in (("native", [program, "hold"]), ("hira", wrapper + [program, "hold"])):
        before = processes("hira-opencl")
        p = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if p.stdout.readline().startswith("ready"):
            names = processes("bench-cl")
            for pid in names:
                rows.setdefault("size.application-private", {}).setdefault(label, []).append(rollup(pid)[0])
            for pid in processes("hira-opencl") - before if label == "hira" else ():
                private, pss = rollup(pid)
                if private > 20:  # warm ones wait beside it
                    rows.setdefault("size.server-private", {}).setdefault("hira", []).append(private)
                    rows.setdefault("size.server-pss", {}).setdefault("hira", []).append(pss)
        p.stdin.close()
        p.wait()
    for name in ("size.application-private", "size.server-private", "size.server-pss"):
        if name in rows:
            rows[name]["unit"] = "MiB"


def sizes(builddir, rows):
    for label, path in (("size.guest-library", "specs/opencl/libOpenCL.so.1"), ("size.server", "specs/opencl/hira-server-opencl")):
        out = subprocess.run(["size", os.path.join(builddir, path)], stdout=subprocess.PIPE, text=True).stdout.splitlines()
        if len(out) == 2:
            rows[label] = {"hira": [sum(map(int, out[1].split()[:2])) / 1024], "unit": "KiB"}


def allocations(builddir, env, errors):
    with tempfile.TemporaryDirectory() as counts:
        e = dict(env, LD_PRELOAD=os.path.join(builddir, "bench/libbench-alloc.so"), HIRA_BENCH_ALLOC=counts)
        server = NullServer(builddir, dict(e, TMPDIR=os.path.dirname(counts)))
        e["HIRA_SOCKET"] = server.socket
        result = lines([os.path.join(builddir, "bench/bench-null-hira"), "allocations"], e, errors)
        server.stop()
        return result


def median(values):
    return statistics.median(values) if values else None


def verdict(name, rows):
    """The target in words, the ratio reached, and whether that is good."""
    target, row = TARGETS.get(name), rows[name]
    mine, native = median(row.get("hira")), median(row.get("native"))
    if mine is None:
        return "", None, ""
    if not target:
        return "", mine / native if native else None, ""
    base, sign, factor, more = target
    limit = native if base == "native" else median(rows.get(base, {}).get("raw")) if base else 1
    if limit is None:
        return "%s %g x %s" % (sign, factor, base), None, "?"
    words = "%s %g%s%s" % (sign, factor, " x " + base if base else " " + row["unit"], " + %g %s" % (more, row["unit"]) if more else "")
    ratio = mine / limit if limit else None
    good = mine <= factor * limit + more if sign == "<=" else mine >= factor * limit
    return words, ratio, "good" if good else "MISSED"


def show(rows, load):
    number = lambda v: "-" if v is None else "%.4g" % v
    form = "%-24s %-6s %-26s %10s %10s %10s %8s  %s"
    print(form % ("measure", "unit", "target", "raw", "native", "hira", "ratio", "verdict"))
    for name, row in rows.items():
        words, ratio, good = verdict(name, rows)
        base = TARGETS.get(name, (None,))[0]
        raw = median(row.get("raw")) if name.startswith("raw.") else median(rows.get(base, {}).get("raw")) if base else None
        print(form % (name, row["unit"], words, number(raw), number(median(row.get("native"))), number(median(row.get("hira"))), number(ratio), good))
    print("load average: before %.2f, after %.2f; %d cores" % (load[0], load[1], os.cpu_count()))


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    p = argparse.ArgumentParser()
    p.add_argument("--builddir", default=os.path.join(here, "../build"))
    p.add_argument("--wrapper", help="runs a program under Hira (default: BUILDDIR/src/cli/hira run --, beside a hirad that stays)")
    p.add_argument("--quick", action="store_true", help="one round of short bursts")
    p.add_argument("--rounds", type=int)
    p.add_argument("--json", metavar="FILE")
    p.add_argument("--only", nargs="*", default=[], metavar="PREFIX", help="raw is always measured")
    a = p.parse_args()
    builddir = os.path.abspath(a.builddir)
    rounds = a.rounds or (1 if a.quick else 5)
    wanted = lambda name: not a.only or any(name.startswith(o) or o.startswith(name) for o in a.only)
    program = lambda name: os.path.join(builddir, "bench", name)
    work = tempfile.mkdtemp()
    env = dict(os.environ, TMPDIR=work)
    if a.quick:
        env["HIRA_BENCH_BURSTS"] = "30"
    rows, errors, load = {}, [], [os.getloadavg()[0], 0]

    def add(kind, results):
        for name, (value, unit) in results.items():
            rows.setdefault(name, {"unit": unit}).setdefault(kind, []).append(value)

    router = Router(builddir, env) if not a.wrapper and (wanted("cl") or wanted("size")) else None
    wrapper = shlex.split(a.wrapper) if a.wrapper else [os.path.join(builddir, "src/cli/hira"), "run"]
    wrapper += ["--socket", router.socket, "--"] if router else []
    if wanted("cl"):  # the kernel compiler's cache
        for command in ([program("bench-cl"), "kernels"], wrapper + [program("bench-cl"), "kernels"]):
            lines(command, dict(env, HIRA_BENCH_BURSTS="1"), errors)
    server = NullServer(builddir, env) if wanted("null") else None
    for _ in range(rounds):
        for what in RAW:
            add("raw", lines([program("bench-raw"), what], env, errors))
        for what in NULL if server else ():
            add("native", lines([program("bench-null-native"), what], env, errors))
            add("hira", lines([program("bench-null-hira"), what], dict(env, HIRA_SOCKET=server.socket), errors))
        for what in CL if wanted("cl") else ():
            for _ in range(5 if what == "start" else 1):
                add("native", lines([program("bench-cl"), what], env, errors))
                add("hira", lines(wrapper + [program("bench-cl"), what], env, errors))
    if server:
        server.stop()
        add("hira", allocations(builddir, env, errors))
    if wanted("size"):
        sizes(builddir, rows)
        memory(program("bench-cl"), wrapper, env, rows)
    if router:
        router.stop()
    shutil.rmtree(work, ignore_errors=True)
    load[1] = os.getloadavg()[0]
    show(rows, load)
    for e in errors:
        print("error: " + e, file=sys.stderr)
    if a.json:
        table = [dict(measure=n, unit=r["unit"], target=verdict(n, rows)[0], ratio=verdict(n, rows)[1], verdict=verdict(n, rows)[2],
                      raw=r.get("raw"), native=r.get("native"), hira=r.get("hira")) for n, r in rows.items()]
        with open(a.json, "w") as f:
            json.dump({"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "cores": os.cpu_count(), "load": load, "rounds": rounds,
                       "rows": table, "errors": errors}, f, indent=1)
    return 1 if errors else 0


sys.exit(main())
