#!/usr/bin/python3
# Runs the null API's tests with the vendor's library and with the guest library, and compares what they print. Prints TAP.
# SPDX-License-Identifier: Apache-2.0
#
# usage: run.py [--builddir DIR] [--wrapper "CMD ARGS"] [--guest "CMD ARGS"] [--server "CMD ARGS"] [--strict] [GROUP[/TEST]...]
# --guest and --server run the application, and each server, under a command, valgrind say. Without a wrapper null-serve hands out servers; a wrapper (`hira run --`) must bring its own. --strict adds a pass with
# HIRA_STRICT=1. Tests that have no native counterpart check themselves, and need only end well.
import argparse
import difflib
import os
import shlex
import subprocess
import sys
import tempfile

LIMIT = 60


def run(command, env):
    try:
        p = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT)
        return p.returncode, p.stdout.decode(errors="replace"), p.stderr.decode(errors="replace")
    except subprocess.TimeoutExpired as e:
        return "timeout", (e.stdout or b"").decode(errors="replace"), (e.stderr or b"").decode(errors="replace")


class Server:
    """Listens for guests as long as this runs."""

    def __init__(self, builddir, work, under):
        self.socket = os.path.join(work, "null.sock")
        server = os.path.abspath(os.path.join(builddir, "hira-server-null"))
        if under:
            script = os.path.join(work, "server")
            with open(script, "w") as f:
                f.write('#!/bin/sh\nexec %s %s "$@"\n' % (under, shlex.quote(server)))
            os.chmod(script, 0o700)
            server = script
        # A server finds the vendor's library before it enters the sandbox, by what it is told; a run path it must see inside.
        path = ":".join(filter(None, [os.path.abspath(builddir), os.environ.get("LD_LIBRARY_PATH")]))
        self.process = subprocess.Popen([os.path.join(builddir, "null-serve"), self.socket, server],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ, LD_LIBRARY_PATH=path))
        if self.process.stdout.readline() != b"ready\n":
            sys.exit("null-serve does not start")

    def stop(self):
        self.process.stdin.close()
        self.process.terminate()
        self.process.wait()


def compare(builddir, wrapper, env, name):
    """None when all is well, else the lines that say what is not; or the reason to skip as a string."""
    status, expected, _ = run([os.path.join(builddir, "null-native"), name], env)
    only = status == 77
    if not only and status != 0:
        return ["natively: ended with %s" % status] + expected.splitlines()[-5:]
    status, got, errors = run(wrapper + [os.path.join(builddir, "null-hira"), name], env)
    if status == 77:
        return got.strip()
    lines = [] if only else list(difflib.unified_diff(expected.splitlines(), got.splitlines(), "native", "hira", lineterm="", n=2))
    if status != 0:
        lines = ["ended with %s" % status] + lines + (got.splitlines()[-3:] if only else []) + ["stderr: " + e for e in errors.splitlines()[-3:]]
    return lines or None


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    p = argparse.ArgumentParser()
    p.add_argument("--builddir", default=os.path.join(here, "../../build/tests/nullapi"))
    p.add_argument("--wrapper", default="")
    p.add_argument("--guest", default="")
    p.add_argument("--server", default="")
    p.add_argument("--strict", action="store_true")
    p.add_argument("names", nargs="*")
    a = p.parse_args()
    names = subprocess.run([os.path.join(a.builddir, "null-native"), "--list"], stdout=subprocess.PIPE, check=True, text=True).stdout.split()
    names = [n for n in names if not a.names or n in a.names or n.split("/")[0] in a.names]
    env = dict(os.environ)
    for variable in ("HIRA_STRICT", "HIRA_SERVER"):
        env.pop(variable, None)
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    with tempfile.TemporaryDirectory() as work:
        server = None
        if not a.wrapper:
            server = Server(a.builddir, work, a.server)
            env["HIRA_SOCKET"] = server.socket
        env["TMPDIR"] = work
        passes = [("null", env)] + ([("null-strict", dict(env, HIRA_STRICT="1"))] if a.strict or not a.names else [])
        n = 0
        print("1..%d" % (len(names) * len(passes)))
        for label, e in passes:
            for name in names:
                n += 1
                result = compare(a.builddir, shlex.split(a.wrapper or a.guest), e, name)
                kind = "passed" if result is None else "skipped" if isinstance(result, str) else "failed"
                counts[kind] += 1
                print("%sok %d - %s/%s%s" % ("not " if kind == "failed" else "", n, label, name, " # " + result if kind == "skipped" else ""))
                for line in (result if kind == "failed" else [])[:25]:
                    print("# " + line)
                sys.stdout.flush()
        if server:
            server.stop()
    print("%(passed)d passed, %(failed)d failed, %(skipped)d skipped" % counts)
    return 1 if counts["failed"] else 0


sys.exit(main())
