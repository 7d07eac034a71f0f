#!/usr/bin/env python3
# Copyright the Hira authors. SPDX-License-Identifier: Apache-2.0
"""Runs isapop's verbs on good input and bad, as a user does. Prints TAP.

usage: run.py ISAPOP MANY [TEST...]

MANY makes a database of made-up packages. HIRA_SOAK=1 scans the whole installed system as well. ISAPOP_DATA_JSON names the study's data.json,
where somebody has it.
"""
import csv
import gzip
import io
import json
import lzma
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import time

ISAPOP, MANY = os.path.realpath(sys.argv[1]), os.path.realpath(sys.argv[2])
SOAK = bool(os.environ.get("HIRA_SOAK"))
SANITIZED = b"__asan_init" in open(ISAPOP, "rb").read()
PROGRAMS = [p for p in ("/bin/true", "/bin/sed", "/bin/ls", "/bin/grep", "/usr/bin/env", "/bin/tar") if os.path.exists(p)]


class Failure(Exception):
    pass


class Skip(Exception):
    pass


def check(condition, why):
    if not condition:
        raise Failure(why)


def run(*arguments, status=0):
    """The output of isapop; fails unless it ends with the status (or one of them)."""
    done = subprocess.run([ISAPOP, *map(str, arguments)], capture_output=True, text=True, errors="replace")
    allowed = status if isinstance(status, tuple) else (status,)
    check(done.returncode in allowed, f"isapop {' '.join(map(str, arguments))}: status {done.returncode}, not {status}\n{done.stdout[-600:]}\n{done.stderr[-1500:]}")
    return done.stdout, done.stderr


# A process starts with its parent's peak memory on its account, and this one is large: so a small one stands between.
BETWEEN = """
import os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss, usage.ru_utime + usage.ru_stime, file=sys.stderr)
"""


def measured(*arguments):
    """Status, peak memory in MB, seconds of a processor, seconds by the clock, standard output."""
    before = time.monotonic()
    done = subprocess.run([sys.executable, "-S", "-c", BETWEEN, ISAPOP, *map(str, arguments)], capture_output=True, text=True, errors="replace")
    status, memory, processor = done.stderr.splitlines()[-1].split()
    return int(status), int(memory) / 1024, float(processor), time.monotonic() - before, done.stdout


# ---- things to scan ----

def elf(code, machine=62, kind=2):
    """The smallest program: a header, one segment, code."""
    start = 64 + 56
    header = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", kind, machine, 1, 0x400000 + start, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, start + len(code), start + len(code), 4096)
    return header + segment + code


def tar(members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def deb(name, members, control_extra="Installed-Size: 20000\n", compress=lzma.compress, version="1.0"):
    control = f"Package: {name}\nVersion: {version}\nArchitecture: amd64\n{control_extra}Description: made by a test\n".encode()
    parts = [("debian-binary", b"2.0\n"), ("control.tar.xz", lzma.compress(tar([("./control", control)]))), ("data.tar.xz", compress(tar(members)))]
    out = b"!<arch>\n"
    for part, data in parts:
        out += f"{part:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}".encode() + b"`\n" + data + (b"\n" if len(data) % 2 else b"")
    return out


def put(path, data):
    with open(path, "wb") as f:
        f.write(data)
    return path


def program(path="/bin/true"):
    with open(path, "rb") as f:
        return f.read()


def base(work):
    """A database of some programs, made once."""
    path = os.path.join(work, "..", "base.db")
    if not os.path.exists(path):
        run("scan", "--db", path, *PROGRAMS, status=(0, 3))
    return path


# ---- tests: each gets a folder of its own ----

def test_help(work):
    verbs = re.findall(r"^  isapop (\w+)", run("help")[0], re.M)
    check(len(verbs) == 11, f"verbs: {verbs}")
    for verb in verbs:
        out, _ = run(verb, "--help")
        check("usage: isapop " + verb in out and "--help" in out, f"help of {verb}")
        _, err = run(verb, "--no-such-option", status=2)
        check("there is no option --no-such-option" in err, err)
    run("nonsense", status=2)
    run("scan", status=2)
    run("importance", "--by", "nonsense", status=2)


def test_options(work):
    """Each option that a verb takes does something, or is refused with what to do instead."""
    db = base(work)
    with open(db, "rb") as f:
        before = f.read()
    for arguments, says in (
            (["diff", "--db", db, db, db], "diff: takes no --db: the two databases are its arguments, isapop diff OLD.db NEW.db"),
            (["diff", f"--db={db}", db], "the two databases are its arguments"),
            (["wc", "--threads", 2], "wc: takes no --threads"),
            (["scan", "--db", db, "--mirror", work, "/bin/true"], "--mirror is for the Packages index of a mirror, and none of the sources is one"),
            (["report", "--db", db, "--threads", 2], "--root and --threads are for the scan of --installed"),
            (["report", "--db", db, "--root", work], "--root and --threads are for the scan of --installed"),
            (["bench", "--db", db, "--threads", 2, db], "base.db is a database already"),
            (["plan", "--db", db, "--popularity", "none", "--submissions", 9], "say nothing with --popularity none"),
            (["plan", "--db", db, "--missing-weight", "0.5", "--popularity", "none"], "say nothing with --popularity none"),
            (["plan", "--db", db, "--limit", "0.5"], "'0.5' is no whole number from 0"),
            (["plan", "--db", db, "--steps", "nan"], "'nan' is no whole number"),
            (["plan", "--db", db, "--submissions", 0], "'0' is no whole number from 1")):
        out, err = run(*arguments, status=2)
        check(says in err and not out, f"{arguments}: {out}{err}")
    with open(db, "rb") as f:
        check(f.read() == before, "what is refused changes the database")
    # The speed of archives is not compared with the bare decoder's, which is said as it is.
    package = put(os.path.join(work, "p.deb"), deb("p", [("./usr/bin/tool", program())]))
    out, _ = run("scan", "--db", os.path.join(work, "x.db"), "--measure", package)
    check("only of programs and folders can it be measured" in out, out)
    # Forms are called forms, and not compared with mnemonics that were published; what a program reads is all JSON.
    page = os.path.join(work, "page.html")
    data = json.loads(run("report", "--db", db, "--by", "form", "--json", "--output", page)[0])
    check("n-th form" in data["figure"][0] and not any("published" in key for key in data["figure"][0]), data["figure"][0])
    text = open(page, encoding="utf-8").read().split('<script id="data"')[1]
    check('"unit":"form"' in text and '"published":[]' in text, text[:300])
    root = os.path.join(work, "root")
    os.makedirs(os.path.join(root, "var/lib/dpkg/info"))
    os.makedirs(os.path.join(root, "usr/bin"))
    put(os.path.join(root, "var/lib/dpkg/status"), b"Package: p\nStatus: install ok installed\nVersion: 1.0\nArchitecture: amd64\n")
    put(os.path.join(root, "var/lib/dpkg/info/p.list"), b"/usr/bin/tool\n")
    os.chmod(put(os.path.join(root, "usr/bin/tool"), elf(b"\x90\xc3")), 0o755)
    out, err = run("report", "--db", os.path.join(work, "r.db"), "--installed", "--root", root, "--threads", 1, "--json", "--output", page)
    check("figure" in json.loads(out) and "1 package with 1 program" in err, out + err)


def test_man(work):
    """The man page has every option of every verb's help, under that verb, and no other; and each has an entry."""
    path = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "man", "isapop.1.scd")
    page = open(path, encoding="utf-8").read()
    verbs, options = (re.search(rf"^# {name}\n(.*?)^# ", page, re.M | re.S).group(1) for name in ("VERBS", "OPTIONS"))
    entries = set(re.findall(r"\*--([a-z-]+)\*", "\n".join(line for line in options.splitlines() if line.startswith("*--"))))
    queries = re.search(r"^All verbs but (.*?) are queries.*?\n\*isapop\*", verbs, re.M | re.S)
    common, others = set(re.findall(r"\*--([a-z-]+)\*", queries.group(0))), re.findall(r"\*(\w+)\*", queries.group(1))
    of = {}
    for entry in re.split(r"\n\n(?=\*)", verbs.strip()):
        verb, takes = re.match(r"\*(\w+)\*", entry), re.search(r"^\tTakes (.*?)[.;]", entry, re.M)
        if verb and takes:
            of[verb.group(1)] = set(re.findall(r"--([a-z-]+)", takes.group(1))) | (set() if verb.group(1) in others else common)
            without = re.search(r"^\tTakes .*but no (.*?)[.;:]", entry, re.M)
            of[verb.group(1)] -= set(re.findall(r"--([a-z-]+)", without.group(1)) if without else ())
    helped = {verb: set(re.findall(r"^  --([a-z-]+)", run(verb, "--help")[0], re.M)) for verb in re.findall(r"^  isapop (\w+)", run("help")[0], re.M)}
    check(set(of) == set(helped), f"verbs: {sorted(set(of) ^ set(helped))}")
    for verb, there in helped.items():
        check(of[verb] | {"help"} == there, f"{verb}: man page and help differ in {sorted((of[verb] | {'help'}) ^ there)}")
        check(there <= entries, f"{verb}: no entry for {sorted(there - entries)}")
    check(entries == set().union(*helped.values()), f"entries of nothing: {sorted(entries - set().union(*helped.values()))}")


def test_formats(work):
    db = base(work)
    text, _ = run("importance", "--db", db)
    check("weights: " in text and "matched by name" in text, "the weight that was matched is not said")
    data = json.loads(run("importance", "--db", db, "--json", "--limit", 0)[0])
    rows = data["importance"]
    check(rows[0]["instruction"] in ("MOV", "CALL", "LEA"), rows[0])
    check(abs(sum(r["of all"] for r in rows) - 100) < 0.01, "shares of occurrences do not make 100 %")
    out = run("importance", "--db", db, "--csv", "--limit", 0)[0]
    table = list(csv.DictReader(line for line in out.splitlines() if line and not line.startswith("# ")))
    check(len(table) == len(rows) and table[0]["instruction"] == rows[0]["instruction"], "CSV and JSON differ")
    forms = json.loads(run("importance", "--db", db, "--json", "--by", "form", "--limit", 0)[0])["importance"]
    check(len(forms) > len(rows) and any(r["instruction"] == "MOV REX.W 8B" for r in forms), "forms")


def test_whole_lists(work):
    """People get a screen of each list; who reads JSON or CSV gets all, down to the lists in a cell."""
    many, more = os.path.join(work, "many.db"), os.path.join(work, "more.db")
    for path, n in ((many, "300"), (more, "301")):
        subprocess.run([MANY, path, n], check=True)
    names = put(os.path.join(work, "supported"), b"MADE0\n")
    def csv_tables(text):
        tables, name = {}, "table"
        for line in csv.reader(line for line in text.splitlines()):
            if line and re.fullmatch(r"# [a-z ]+", line[0]):
                name = line[0][2:]
            elif line and not line[0].startswith("# "):
                tables.setdefault(name, []).append(line)
        return {name: [dict(zip(rows[0], row)) for row in rows[1:]] for name, rows in tables.items()}
    for verb, table, n in ((["importance"], "importance", 1000), (["wc", "--supported", names], "broken", 300), (["plan"], "plan", 41), (["testset"], "testset", 41)):
        command = [*verb, "--db", many, "--popularity", "none"]
        data = json.loads(run(*command, "--json")[0])[table]
        tables = csv_tables(run(*command, "--csv")[0])
        rows = tables.get(table, tables.get("table"))
        check(len(data) >= n and len(rows) == len(data), f"{verb}: {len(data)} in JSON, {len(rows)} in CSV")
        check(data == json.loads(run(*command, "--json", "--limit", 0)[0])[table], f"{verb}: not all without --limit 0")
        check(len(json.loads(run(*command, "--json", "--limit", 7)[0])[table]) == 7, f"{verb}: --limit 7")
        if table == "broken":
            for row in data + rows:
                check(len(row["instructions"].split(", ")) == int(row["lacks"]), row)
            check(max(len(row["instructions"]) for row in rows) > 1000, "no long list in a cell")
            text = run(*command)[0]
            check("more\n" in text and len(text.splitlines()) < 60, text[:300])
    # Two databases of random packages, of which one is a package behind.
    data = json.loads(run("diff", many, more, "--json", "--popularity", "none")[0])
    check(len(data["packages"]) == 0 or all(len(r["now needs"].split(", ")) == r["more"] for r in data["packages"]), data["packages"][:3])
    # One program of many instructions against one of few.
    old, new = os.path.join(work, "old"), os.path.join(work, "new")
    for folder, source in ((old, elf(b"\xc3")), (new, program("/bin/ls"))):
        os.mkdir(folder)
        put(os.path.join(folder, "tool"), source)
        run("scan", "--db", folder + ".db", folder)
    data = json.loads(run("diff", old + ".db", new + ".db", "--json", "--popularity", "none")[0])
    check(len(data["packages"][0]["now needs"].split(", ")) == data["packages"][0]["more"] > 40 and len(data["instructions"]) > 40, data["packages"])
    row = csv_tables(run("wc", "--db", new + ".db", "--by", "form", "--supported", put(names, b"CPUID\n"), "--csv", "--popularity", "none")[0])["broken"][0]
    check(len(row["instructions"]) > 4096 and len(row["instructions"].split(", ")) == int(row["lacks"]), f"{len(row['instructions'])} characters")
    # Files that are looked at again by why: more than a screen has.
    folder = os.path.join(work, "files")
    os.mkdir(folder)
    for i in range(50):
        put(os.path.join(folder, f"tool{i}"), elf(b"\x90" * (i + 1) + b"\xc3"))
    run("scan", "--db", folder + ".db", folder)
    data = json.loads(run("why", "--db", folder + ".db", "RET", "--json")[0])
    check(len(data["packages"]) == 50 and len({r["file"] for r in data["places"]}) == 50, f"{len(data['packages'])} packages, {len(data['places'])} places")
    text = run("why", "--db", folder + ".db", "RET")[0]
    check("places: of 24 of 40 files" in text, text[:300])


def test_plurals(work):
    """One thing is one thing: no verb says "1 packages", of a database with one package of one instruction."""
    db = os.path.join(work, "x.db")
    said = [*run("scan", "--db", db, put(os.path.join(work, "tool"), elf(b"\xc3"))), *run("scan", "--db", db, "--add", "--threads", 1, put(os.path.join(work, "cut"), elf(b"\xc3")[:-1]), status=3)]
    run("scan", "--db", db, os.path.join(work, "tool"))
    names, rows = put(os.path.join(work, "names"), b"NOP\n"), put(os.path.join(work, "rows"), b"1 tool 1\n2 other 1\nx\n")
    data = put(os.path.join(work, "data.json"), b'{"instructions": [{"mnem": "MOV", "count": 1, "size": 1}, {}]}')
    for arguments in (["importance"], ["importance", "--popularity", rows], ["importance", "--by", "form"], ["wc", "--supported", names], ["plan"], ["why", "RET"], ["testset"], ["family"],
                      ["diff", db, db], ["bench", db], ["report", "--output", os.path.join(work, "page.html")]):
        said += run(*arguments, *([] if arguments[0] == "diff" else ["--db", db]), status=(0, 3))
    said += run("occurrences", data, status=3)
    said.append(open(os.path.join(work, "page.html"), encoding="utf-8").read().split('<script id="data"')[1][:3000])
    wrong = [line for text in said for line in text.splitlines() if re.search(r"(^|[^\d.,])1 (suspicious )?(packages|programs|files|forms|mnemonics|instructions|machines|threads|lines|things|entries|bytes|numbers|occurrences|ones)\b|\(s\)", line)]
    check(not wrong, "\n".join(wrong))
    text = "\n".join(said)
    for right in ("1 package with 1 program, 1 file (", "1 thing was left out", "1 thread", "1 package needs RET", "1 package needs every", "1 mnemonic in footprints", "1 form in footprints", "1 package is in both",
                  "1 line makes", "1 entry without", "1 machine"):
        check(right in text, f"'{right}' is not said: {text}")


def test_closures(work):
    db = os.path.join(work, "true.db")
    run("scan", "--db", db, "/bin/true")
    n = {}
    for closure in ("none", "reach", "whole"):
        for cap in ("x86-64-v1", "none"):
            rows = json.loads(run("importance", "--db", db, "--json", "--closure", closure, "--cpuid-cap", cap, "--popularity", "none", "--limit", 0)[0])["importance"]
            n[closure, cap] = sum(r["packages"] > 0 for r in rows)
            if cap == "x86-64-v1" and closure != "none":
                check(not any(r["packages"] and r["level"] > "x86-64-v1" and r["level"] != "beyond" for r in rows), f"{closure}: above the level")
    print("# mnemonics that true needs: " + ", ".join(f"{c}/{k} {v}" for (c, k), v in n.items()))
    check(n["none", "none"] < n["reach", "x86-64-v1"] < n["whole", "x86-64-v1"], "none < reach < whole")
    check(n["whole", "x86-64-v1"] < n["whole", "none"], "the level takes out what the processor is asked for")


def test_wc(work):
    db = base(work)
    names = os.path.join(work, "supported")
    put(names, b"x86-64-v1 # everything that is old\n")
    all_of = json.loads(run("wc", "--db", db, "--supported", names, "--json")[0])
    check(all_of["completeness"][0]["packages"] == len(PROGRAMS), all_of["completeness"])
    put(names, b"x86-64-v4\n!PXOR, !FLD\n")
    some = json.loads(run("wc", "--db", db, "--supported", names, "--json")[0])
    check(some["completeness"][0]["complete"] == 0 and "PXOR" in some["broken"][0]["instructions"], some)
    put(names, b"MOVV\n")
    _, err = run("wc", "--db", db, "--supported", names, status=1)
    check("perhaps 'MOV" in err and "supported:1:" in err, err)
    # Forms are units only among forms, and the one thing that is said of them otherwise is how.
    forms = [r["instruction"] for r in json.loads(run("importance", "--db", db, "--json", "--by", "form", "--limit", 0)[0])["importance"]]
    put(names, "\n".join(forms).encode())
    _, err = run("wc", "--db", db, "--supported", names, status=1)
    check(f"supported:1: '{forms[0]}' is an encoding form, and mnemonics are counted; say --by form" in err, err)
    check(len(err.splitlines()) < 6 and f"for {len(forms) - 3} lines more" in err, err)
    out, err = run("wc", "--db", db, "--by", "form", "--supported", names, "--json")
    check(json.loads(out)["completeness"][0]["complete"] == len(PROGRAMS) and "form" not in err, out + err)
    put(names, b"MOV\nADD EVEX.66.0F38.W1.L2 FF /7\n!mov rex.w 8b\n")
    out, err = run("wc", "--db", db, "--by", "form", "--supported", names, "--json")
    check("supported:2: no file scanned has the form 'ADD EVEX" in err and "supported:3" not in err, err)
    check(json.loads(out)["completeness"][0]["supported"] == sum(f.startswith("MOV ") for f in forms) - 1, out)
    _, err = run("plan", "--db", db, "--supported", names, status=1)
    check("supported:2: 'ADD EVEX" in err and "supported:3: 'mov rex.w 8b' is an encoding form" in err, err)
    put(names, b"MOVV 8B\n")
    _, err = run("wc", "--db", db, "--by", "form", "--supported", names, status=1)
    check("'MOVV' is no mnemonic" in err, err)
    run("wc", "--db", db, "--supported", os.path.join(work, "absent"), status=1)
    run("wc", "--db", db, status=2)
    run("wc", "--db", db, "--depends", "--supported", put(names, b"x86-64-v1\n"))


def test_plan(work):
    db = base(work)
    data = json.loads(run("plan", "--db", db, "--json", "--limit", 0, "--popularity", "none")[0])
    steps = data["plan"]
    check(abs(steps[-1]["completeness"] - 100) < 1e-6 and steps[-1]["packages"] == len(PROGRAMS), steps[-1])
    check(all(a["completeness"] <= b["completeness"] for a, b in zip(steps, steps[1:])), "a plan never gets worse")
    # Every step again, by the verb that counts from a set.
    names, supported = os.path.join(work, "supported"), []
    for step in steps:
        supported += step["instructions"].split(", ")
        put(names, "\n".join(supported).encode())
        again = json.loads(run("wc", "--db", db, "--popularity", "none", "--supported", names, "--json")[0])["completeness"][0]
        check(abs(again["weighted"] - step["completeness"]) < 1e-6, f"{step} against {again}")
    for order in ("importance", "smallest-gap"):
        run("plan", "--db", db, "--order", order, "--steps", 20)
    run("plan", "--db", db, "--order", "nonsense", status=2)


def test_why(work):
    db = base(work)
    out, _ = run("why", "--db", db, "CPUID", "--limit", 0)
    check("packages need CPUID" in out, out)
    # Local functions of stripped files have no name; exported ones have.
    out, _ = run("why", "--db", db, "SYSCALL", "--limit", 0)
    check(re.search(r"0x[0-9a-f]+ +\S*libc\.so\.6 +\w+", out), out[-1500:])
    # A form is answered for itself: as many packages as 'importance --by form' has, fewer than its mnemonic.
    rows = json.loads(run("importance", "--db", db, "--json", "--by", "form", "--limit", 0)[0])["importance"]
    of = {r["instruction"]: r["packages"] for r in json.loads(run("importance", "--db", db, "--json", "--limit", 0)[0])["importance"]}
    rare = next(r for r in reversed(rows) if 0 < r["packages"] < of[r["instruction"].split()[0]])
    for words in ([rare["instruction"]], rare["instruction"].split(), ["--by", "form", rare["instruction"].lower()]):
        out, _ = run("why", "--db", db, *words)
        check(re.search(rf"^{rare['packages']} packages? needs? {rare['instruction']}$", out, re.M), f"{rare}: {out[:600]}")
    out, _ = run("why", "--db", db, "MOV")
    check(f"{len(PROGRAMS)} packages need MOV\n" in out, out[:600])
    _, err = run("why", "--db", db, "--by", "form", "MOV", status=2)
    check(re.search(r"which of the \d+ forms of MOV\? '?MOV", err), err)
    _, err = run("why", "--db", db, "MOV REX.W FF", status=1)
    check("no file scanned has an instruction 'MOV REX.W FF'" in err and "--by form" in err, err)
    _, err = run("why", "--db", db, "NONSENSE", status=1)
    check("no file scanned has an instruction 'NONSENSE'" in err, err)


def test_other_verbs(work):
    db = base(work)
    old, new = os.path.join(work, "old"), os.path.join(work, "new")
    for folder, code in ((old, b"\x90\xc3"), (new, b"\x66\x0f\xef\xc0\xc3")):
        os.mkdir(folder)
        put(os.path.join(folder, "tool"), elf(code))
        run("scan", "--db", folder + ".db", folder)
    data = json.loads(run("diff", old + ".db", new + ".db", "--json", "--popularity", "none")[0])
    check(data["packages"][0]["now needs"] == "PXOR", data["packages"])
    check(any(r["instruction"] == "NOP" and r["change"] == -100 for r in data["instructions"]), data["instructions"])
    data = json.loads(run("bench", "--db", db, "--json", "--popularity", "none", new, status=(0, 3))[0])
    check(data["suite"][0]["of them in the suite"] >= 1, data["suite"])
    run("bench", "--db", db, new + ".db")
    # What counts otherwise is not compared, unless it is said how both count.
    for option, value, says in (("--closure", "whole", "--closure reach"), ("--cpuid-cap", "x86-64-v3", "--cpuid-cap x86-64-v1")):
        other = os.path.join(work, "other.db")
        run("scan", "--db", other, option, value, new)
        for verb in (("diff", old + ".db", other), ("bench", "--db", old + ".db", other)):
            _, err = run(*verb, status=1)
            check(f"was scanned with {says}" in err and "say which counts for both" in err, err)
            run(*verb, option, value)
        # A suite that is scanned for it counts as --db does.
        run("bench", "--db", other, new)
    data = json.loads(run("testset", "--db", db, "--json")[0])
    used = sum(r["packages"] > 0 for r in json.loads(run("importance", "--db", db, "--json", "--limit", 0)[0])["importance"])
    check(data["testset"][-1]["in all"] == used, "the test set does not cover everything")
    data = json.loads(run("family", "--db", db, "--json", "--limit", 0)[0])
    check([r["up to"] for r in data["levels"]][:1] == ["x86-64-v1"] and any(r["set"] == "SSE2" for r in data["sets"]), data["levels"])


def test_first_hour(work):
    """What who uses it for the first time runs into."""
    # A source that is not there does not cost a database what it has.
    db, empty = os.path.join(work, "x.db"), os.path.join(work, "empty")
    run("scan", "--db", db, "/bin/true")
    before = run("importance", "--db", db)[0]
    os.mkdir(empty)
    for source in (os.path.join(work, "absent"), "/etc/passwd", empty):
        out, err = run("scan", "--db", db, source, status=1)
        check("x.db: left as it was, for there was nothing to scan" in err and not out, out + err)
        check(run("importance", "--db", db)[0] == before, f"{source} changed the answer")
    # Where no weight is matched all that is weighted is 0, which is said.
    says = "no package has a weight"
    rows = put(os.path.join(work, "p"), b"1 true 9\n2 other 10\n")
    check(says not in run("importance", "--db", db, "--popularity", rows)[0], "a weight is matched")
    check(says in run("importance", "--db", db, "--popularity", put(rows, b"2 other 10\n"))[0], "no weight is matched")
    # A database is a suite by itself, whatever its name; it is no source.
    suite = os.path.join(work, "suite")
    shutil.copy(db, suite)
    run("bench", "--db", base(work), suite)
    _, err = run("bench", "--db", base(work), "/bin/true", suite, status=2)
    check("suite is a database; a suite is one database, or programs and folders" in err, err)
    _, err = run("bench", "--db", base(work), os.path.join(work, "absent"), status=1)
    check("there is no program in the suite" in err and "isapop-suite" not in err, err)
    _, err = run("scan", "--db", db, "/bin/true", suite, status=3)
    check("suite: a database of isapop, which is asked and not scanned" in err, err)
    # Two versions of a package have its weight twice, which is said.
    versions = [put(os.path.join(work, version + ".deb"), deb("p", [("./usr/bin/tool", elf(b"\x90" * n + b"\xc3"))], version=version)) for n, version in enumerate(("1.0", "2.0", "3.0"))]
    many = os.path.join(work, "versions.db")
    run("scan", "--db", many, *versions)
    put(rows, b"1 p 9\n2 other 10\n")
    check("2 packages have the weight of another of the same name" in run("importance", "--db", many, "--popularity", rows)[0], "versions")
    run("scan", "--db", many, versions[0])
    check("of the same name" not in run("importance", "--db", many, "--popularity", rows)[0], "one version")
    # diff says what is A, and what B.
    out, _ = run("diff", db, base(work), "--popularity", "none")
    check("A: 1 package with" in out and f"B: {len(PROGRAMS)} packages with" in out, out[:600])
    # Every line of a table in CSV has as many fields as its head.
    for verb in (["bench", db], ["why", "RET"], ["family"], ["plan"], ["importance"]):
        tables = run(*verb, "--db", base(work), "--csv", "--popularity", "none", "--limit", 9)[0].split("\n\n")[1:]
        for table in tables:
            n = {len(row) for row in csv.reader(line for line in table.splitlines() if not line.startswith("# "))}
            check(len(n) == 1, f"{verb}: {table[:300]}")
    # A plan of N has no more than N.
    for order in ("importance", "smallest-gap", "best-gain"):
        for steps in (0, 1, 100, 200, 250):
            data = json.loads(run("plan", "--db", base(work), "--order", order, "--steps", steps, "--json", "--popularity", "none")[0])
            check(not data["plan"] or data["plan"][-1]["in all"] <= steps, f"{order}: {steps}, {data['plan'][-1:]}")
            check(all(r[o] in ("-", 0) or r[o] <= steps for r in data["orders"] for o in r if o != "completeness"), data["orders"])
            check(data["plan"] or any("no package is completed by so few" in line for line in data["about"]), data["about"])
    # why names what counts: not a library whose code asks the processor first, unless it does count.
    both = put(os.path.join(work, "both.deb"), deb("both", [("./usr/bin/own", elf(b"\x66\x0f\x38\x00\xc0\xc3")), ("./bin/true", program())]))
    run("scan", "--db", db, both)
    def files(*options):
        return {os.path.basename(r["in"]) for r in json.loads(run("why", "PSHUFB", "--db", db, "--json", *options)[0])["packages"]}
    check(files() == files("--closure", "whole") == files("--closure", "none", "--cpuid-cap", "none") == {"own"}, f"{files()} {files('--closure', 'whole')}")
    check({"own", "libc.so.6"} <= files("--cpuid-cap", "none"), files("--cpuid-cap", "none"))
    # Of two versions of a library with one path the later one is taken, however large it is.
    true = put(os.path.join(work, "true.deb"), deb("true", [("./bin/true", program())]))
    libraries = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib/x86_64-linux-gnu/libm.so.6"]
    if not all(map(os.path.exists, libraries)):
        return
    for old, new in (libraries, reversed(libraries)):
        names = [put(os.path.join(work, f"{i}.deb"), deb("libc6", [("./lib/x86_64-linux-gnu/libc.so.6", program(path))])) for i, path in enumerate((old, new))]
        put(names[1], deb("libc6", [("./lib/x86_64-linux-gnu/libc.so.6", program(new))], version="2.0"))
        answers = []
        for sources in ([names[1]], names, names[::-1]):
            run("scan", "--db", db, true, *sources, status=(0, 3))
            rows = json.loads(run("importance", "--db", db, "--json", "--popularity", "none")[0])["importance"]
            answers.append(sorted(r["instruction"] for r in rows if r["packages"]))
        check(answers[0] == answers[1] == answers[2], [len(a) for a in answers])


def test_occurrences(work):
    path = os.path.join(work, "data.json")
    items = [{"count": 6, "id": 1, "mnem": "MOV", "opcode": "89", "package_count": 1, "prefix": "0", "size": 3, "source_count": 1, "tag": "DATA"},
             {"count": 4, "id": 2, "mnem": "ADD", "opcode": "1", "package_count": 1, "prefix": "0", "size": 5, "source_count": 1, "tag": "ARITH"}]
    put(path, json.dumps({"instructions": items}).encode())
    data = json.loads(run("occurrences", path, "--json")[0])
    check("2 mnemonics" in data["about"][0] and "3.80 bytes" in data["about"][0], data["about"])
    check(data["mnemonics"][0] == {"mnemonic": "MOV", "occurrences": 6, "share": 60.0}, data["mnemonics"])
    put(path, b"{}")
    run("occurrences", path, status=1)


def test_published_data(work):
    path = os.environ.get("ISAPOP_DATA_JSON")
    if not path:
        raise Skip("ISAPOP_DATA_JSON does not name the study's data.json")
    data = json.loads(run("occurrences", path, "--json")[0])
    check("701 mnemonics" in data["about"][0] and "3.80 bytes" in data["about"][0], data["about"])
    check(data["mnemonics"][0]["mnemonic"] == "MOV" and abs(data["mnemonics"][0]["share"] - 34.66) < 0.005, data["mnemonics"][0])


def test_report(work):
    page = os.path.join(work, "page.html")
    run("report", "--db", base(work), "--output", page)
    text = open(page, encoding="utf-8").read()
    check(not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//|@import|url\(""", text), "the page loads something")
    data = json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.S).group(1))
    check(data["curves"]["reach"]["completeness"][-1] > 99.99 and data["units"] and data["plans"]["best-gain"]["steps"], "data")
    check('data-theme=dark' in text and "prefers-color-scheme" in text, "themes")


LOOK = """<script>
let said = [], letters = [...document.querySelectorAll("svg text")].map(t => t.getBoundingClientRect().height);
onerror = message => said.push(message);
addEventListener("load", () => setTimeout(() => {
  const root = document.documentElement, wide = [...document.querySelectorAll("main, section, header, .tile, h1, p, svg")].filter(e => e.getBoundingClientRect().right > root.clientWidth + 1);
  letters = [...document.querySelectorAll("svg text")].map(t => t.getBoundingClientRect().height);
  const broken = [...document.querySelectorAll("td:not(.w), th")].filter(d => d.offsetParent && d.firstChild && d.getBoundingClientRect().height > 40 && !d.parentNode.querySelector(".w"));
  const ticks = [...document.querySelectorAll('svg text[text-anchor="middle"]')].map(t => t.getBoundingClientRect());
  const over = ticks.filter((t, i) => i && t.top === ticks[i - 1].top && t.left < ticks[i - 1].right);
  const tall = [...document.querySelectorAll("#plan tr")].filter(r => r.getBoundingClientRect().height > 320);
  document.title = JSON.stringify({ width: root.clientWidth, scroll: root.scrollWidth, charts: document.querySelectorAll("svg path").length, letter: Math.min(...letters), rows: document.querySelectorAll("#units tbody tr").length,
    wide: wide.length, broken: broken.length, over: over.length, tall: tall.length, errors: said, text: document.querySelector("main").innerText.includes("undefined"), paper: getComputedStyle(document.body).backgroundColor });
}, 300));
</script>"""


def test_page(work):
    """The report in a browser, narrow and wide, light and dark: all drawn, letters of a size to read, nothing cut or over another."""
    browser = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
    if not browser:
        raise Skip("there is no chromium here")
    # Many instructions in one step of the plan; long names of sets.
    db, page = os.path.join(work, "x.db"), os.path.join(work, "page.html")
    run("scan", "--db", db, *PROGRAMS, *largest()[:1], status=(0, 3))
    for by in ("mnemonic", "form"):
        run("report", "--db", db, "--by", by, "--output", page)
        text = open(page, encoding="utf-8").read()
        put(page, text.replace("</main>", "</main>" + LOOK).encode())
        papers = set()
        for theme, width in (("light", 400), ("light", 1400), ("dark", 400), ("dark", 1400)):
            command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={work}/profile", f"--window-size={width},900", "--virtual-time-budget=5000", "--dump-dom", f"file://{page}#{theme}"]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=120)
            except subprocess.TimeoutExpired:
                raise Skip("chromium does not end here")
            title = re.search(r"<title>(.*?)</title>", done.stdout)
            if not title:
                raise Skip("chromium does not run here: " + done.stderr[-300:])
            check(title.group(1).startswith("{"), f"{by} {theme} {width}: the page was not looked at: {title.group(1)}")
            saw = json.loads(title.group(1).replace("&quot;", '"'))
            papers.add(saw["paper"])
            check(saw["charts"] == (9 if by == "mnemonic" else 7) and saw["rows"] > 100 and not saw["errors"] and not saw["text"], f"{by} {theme} {width}: {saw}")
            check(saw["scroll"] <= saw["width"] and saw["letter"] > 11 and not any(saw[k] for k in ("wide", "broken", "over", "tall")), f"{by} {theme} {width}: {saw}")
        check(len(papers) == 2, papers)


def test_packages(work):
    names = []
    for i, source in enumerate(PROGRAMS[:3]):
        names.append(put(os.path.join(work, f"p{i}.deb"), deb(f"p{i}", [("./usr/bin/tool", program(source)), ("./usr/share/doc/x", b"text" * 100)])))
    db = os.path.join(work, "d.db")
    out, _ = run("scan", "--db", db, *names)
    check("3 packages with 3 programs" in out, out)
    first = run("importance", "--db", db, "--limit", 0)[0]
    out, _ = run("scan", "--db", db, *names)
    check("(0 analyzed now" in out, "known archives are analyzed again: " + out)
    check(run("importance", "--db", db, "--limit", 0)[0] == first, "a second scan changes the answer")
    # An index that names one that is not there.
    index = put(os.path.join(work, "Packages"), b"Package: p0\nFilename: p0.deb\n\nPackage: p1\nFilename: ./p1.deb\n\nPackage: gone\nFilename: pool/gone.deb\n\n"
                b"Package: out\nFilename: ../../../../etc/passwd\n")
    out, err = run("scan", "--db", os.path.join(work, "i.db"), index, status=3)
    check("2 packages with 2 programs" in out and "gone.deb: the index names it, but it is not there" in err and "leads out of the mirror" in err, out + err)
    put(index + ".xz", lzma.compress(open(index, "rb").read()))
    out, _ = run("scan", "--db", os.path.join(work, "x.db"), index + ".xz", status=3)
    check("2 packages with 2 programs" in out, out)


def test_given_twice(work):
    """A package counts once, however often and by whatever path it is given."""
    a, b, c = (os.path.join(work, name) for name in "abc")
    for folder in (a, b, c):
        os.mkdir(folder)
    package = deb("p", [("./usr/bin/tool", elf(b"\x90\xc3"))])
    put(os.path.join(a, "p.deb"), package)
    put(os.path.join(b, "copy.deb"), package)
    # The same version, packed otherwise; and one that breaks off, which must not stand for the whole one.
    put(os.path.join(c, "p.deb"), deb("p", [("./usr/bin/tool", elf(b"\x90\xc3")), ("./usr/share/doc/x", b"text")]))
    cut = put(os.path.join(work, "cut.deb"), package[:len(package) - 20])
    os.symlink("a", os.path.join(work, "link"))
    db = os.path.join(work, "x.db")
    for sources in ([a + "/p.deb", a + "/p.deb"], [a + "/p.deb", work + "/link/p.deb"], [a + "/p.deb", b + "/copy.deb"], [a, b], [a, c], [a + "/p.deb", a]):
        for again in range(2):
            out, _ = run("scan", "--db", db, "--threads", 1 + again, *sources)
            check(re.search(r"\b1 packages? with 1 programs?, 1 files? ", out) and "given more than once" in out, f"{sources}: {out}")
        data = json.loads(run("importance", "--db", db, "--json", "--popularity", "none")[0])["importance"]
        check(all(r["packages"] <= 1 and r["occurrences"] <= 1 for r in data), data)
    for sources in ([cut, a], [a, cut]):
        out, _ = run("scan", "--db", os.path.join(work, "cut.db"), "--threads", 1, *sources, status=3)
        check(re.search(r"\b1 packages? with 1 programs?, 1 files? ", out), out)
        os.unlink(os.path.join(work, "cut.db"))
    # Programs that are no packages: one file by two paths, and a copy of the same name; another name is another program.
    for folder in (a, b):
        put(os.path.join(folder, "tool"), elf(b"\x90\xc3"))
    put(os.path.join(c, "other"), elf(b"\x90\xc3"))
    for sources, n in (([a + "/tool", work + "/link/tool"], 1), ([a + "/tool", b + "/tool"], 1), ([a + "/tool", c + "/other"], 2)):
        out, _ = run("scan", "--db", os.path.join(work, "loose.db"), *sources)
        check(re.search(rf"\b{n} packages? with {n} programs?, {n} files? ", out), f"{sources}: {out}")


def test_other_content(work):
    """Of two packages with one name, version and architecture but other content one counts, whichever is given first, and the other is named."""
    codes = {"a": b"\x90\xc3", "b": b"\xf4\xc3", "c": b"\xfa\xc3\xfa"}
    names = {}
    for name, code in codes.items():
        names[name] = put(os.path.join(work, name + ".deb"), deb("p", [("./usr/bin/tool", elf(code))]))
    # The content of a again, packed otherwise.
    names["d"] = put(os.path.join(work, "d.deb"), deb("p", [("./usr/bin/tool", elf(codes["a"])), ("./usr/share/doc/x", b"text")]))
    names["other"] = put(os.path.join(work, "other.deb"), deb("q", [("./usr/bin/other", elf(b"\x98\xc3"))]))
    db, answers = os.path.join(work, "x.db"), set()
    for order in ("abcd", "dcba", "bcda", "cadb"):
        for threads in (1, 4):
            if os.path.exists(db):
                os.unlink(db)
            for again in range(2):
                out, err = run("scan", "--db", db, "--threads", threads, *(names[n] for n in order), names["other"], status=3)
                check(re.search(r"\b2 packages with 2 programs, 2 files ", out), out)
                said = sorted(re.findall(r"^isapop: (\S+): it has p 1.0 \(amd64\) with other content than (\S+), which counts; left out", err, re.M))
                check(len({left for left, _ in said}) == len(said) >= 2 and len({counts for _, counts in said}) == 1, err)
                answers.add((run("importance", "--db", db, "--json", "--popularity", "none")[0], tuple(said), out.splitlines()[1], "counted once: 1" in out))
    check(len(answers) == 1, "\n".join(map(str, answers)))
    check("given more than once" not in run("scan", "--db", db, names["a"], names["b"], status=3)[0], "what is left out is not said to be the same")
    # Added to the scan before, the new one replaces the old one, which is said; the same again is not.
    for first, then in (("a", "b"), ("b", "a")):
        run("scan", "--db", db, names[first])
        _, err = run("scan", "--db", db, "--add", names[then], names["other"])
        check("p 1.0 (amd64): its content is not that of the scan before" in err, err)
        rows = json.loads(run("importance", "--db", db, "--json", "--popularity", "none")[0])["importance"]
        check({r["instruction"] for r in rows if r["packages"]} == {"RET", "CWDE", "NOP" if then == "a" else "HLT"}, rows)
        _, err = run("scan", "--db", db, "--add", names[then])
        check(not err, err)
    # What is installed counts before an archive; but nothing is said of a file that is not installed.
    root = os.path.join(work, "root")
    for folder in ("usr/bin", "var/lib/dpkg/info"):
        os.makedirs(os.path.join(root, folder))
    put(os.path.join(root, "var/lib/dpkg/status"), b"Package: p\nStatus: install ok installed\nVersion: 1.0\nArchitecture: amd64\n")
    put(os.path.join(root, "var/lib/dpkg/info/p.list"), b"/usr/bin/tool\n")
    os.chmod(put(os.path.join(root, "usr/bin/tool"), elf(codes["a"])), 0o755)
    more = put(os.path.join(work, "more.deb"), deb("p", [("./usr/bin/tool", elf(codes["a"])), ("./usr/bin/more", elf(codes["b"]))]))
    for name, says in ((names["a"], ""), (more, ""), (names["b"], "b.deb: it has p 1.0 (amd64) with other content than what is installed, which counts")):
        out, err = run("scan", "--db", db, "--installed", "--root", root, name, status=3 if says else 0)
        check(says in err if says else not err, err)
        rows = json.loads(run("importance", "--db", db, "--json", "--popularity", "none")[0])["importance"]
        check({r["instruction"]: r["occurrences"] for r in rows if r["occurrences"]} == {"NOP": 1, "RET": 1}, rows)


def test_add(work):
    """A scan replaces the packages of the one before; with --add those stay that are not given anew."""
    db = os.path.join(work, "x.db")
    def members(path=db):
        rows = json.loads(run("wc", "--db", path, "--supported", put(os.path.join(work, "names"), b"UD0\n"), "--popularity", "none", "--json")[0])["broken"]
        return {r["package"]: r["instructions"] for r in rows}
    p, q = (put(os.path.join(work, name + ".deb"), deb(name, [("./usr/bin/" + name, elf(code))])) for name, code in (("p", b"\x90\xc3"), ("q", b"\xf4\xc3")))
    tool = put(os.path.join(work, "tool"), elf(b"\x98\xc3"))
    run("scan", "--db", db, "--closure", "whole", p)
    out, _ = run("scan", "--db", db, "--add", q, tool)
    check(set(members()) == {"p", "q", "tool"} and "1 package of the scan before kept" in out, out)
    check("closure whole" in run("importance", "--db", db)[0], "--add changes the default")
    # Together as at once.
    both = os.path.join(work, "both.db")
    run("scan", "--db", both, "--closure", "whole", p, q, tool)
    check(run("importance", "--db", both, "--limit", 0)[0] == run("importance", "--db", db, "--limit", 0)[0], "added is not as scanned at once")
    # Given anew: another version of a package, and a file that changed.
    put(q, deb("q", [("./usr/bin/q", elf(b"\xfa\xc3"))]))
    put(tool, elf(b"\xfb\xc3"))
    run("scan", "--db", db, "--add", q, tool)
    now = members()
    check(set(now) == {"p", "q", "tool"} and "CLI" in now["q"] and "STI" in now["tool"], now)
    # What was left out of what is kept is said again.
    cut = put(os.path.join(work, "cut"), program()[:len(program()) // 2])
    run("scan", "--db", db, "--add", cut, status=3)
    _, err = run("scan", "--db", db, "--add", p, status=3)
    check("was it cut?" in err and len(members()) == 4, err)
    run("scan", "--db", db, p)
    check(set(members()) == {"p"}, "a scan without --add replaces")
    run("scan", "--db", os.path.join(work, "new.db"), "--add", p)


BAD = {
    "an ELF file that was cut in its header": (lambda: program()[:40], "ends inside its ELF header"),
    "an ELF file that was cut in the middle": (lambda: program()[:len(program()) // 2], "was it cut?"),
    "program headers outside the file": (lambda: program()[:32] + b"\xff" * 8 + program()[40:], "program headers lie outside"),
    "no program headers": (lambda: program()[:56] + b"\0\0" + program()[58:], "no program headers"),
    "sections outside the file": (lambda: program()[:40] + struct.pack("<Q", 1 << 60) + program()[48:], "section headers lie outside"),
}


def test_bad_elf(work):
    for what, (make, says) in BAD.items():
        folder = os.path.join(work, what)
        os.mkdir(folder)
        put(os.path.join(folder, "bad"), make())
        put(os.path.join(folder, "good"), elf(b"\x90\xc3"))
        out, err = run("scan", "--db", folder + ".db", folder, status=3)
        check(says in err, f"{what}: {err}")
        check("left out, as said" in out, f"{what}: {out}")


def test_told_again(work):
    """What was left out at the first scan is said by every later one, though nothing is read again."""
    path = put(os.path.join(work, "cut"), program()[:len(program()) // 2])
    package = put(os.path.join(work, "p.deb"), deb("p", [("./usr/bin/good", elf(b"\x90\xc3")), ("./usr/bin/cut", program()[:len(program()) // 2]),
                  ("./usr/bin/head", program()[:40]), ("./usr/bin/none", program()[:56] + b"\0\0" + program()[58:]),
                  ("./usr/bin/large", b"\x7fELF" + random.Random(1).randbytes(3 << 20))]))
    for name, source in (("file", path), ("package", package)):
        db = os.path.join(work, name + ".db")
        first, again = (run("scan", "--db", db, "--threads", 1, "--member-cap", 2, source, status=3) for _ in range(2))
        check(again[1] == first[1] and "was it cut?" in first[1], f"{name}: first {first[1]}\nthen {again[1]}")
        check("(0 analyzed now" in again[0], again[0])
        if name == "package":
            check(all(what in again[1] for what in ("p.deb(/usr/bin/cut)", "p.deb(/usr/bin/head)", "p.deb(/usr/bin/none)", "p.deb(/usr/bin/large)")), again[1])
            _, err = run("scan", "--db", db, "--member-cap", 4, source, status=3)
            check("member-cap" not in err, "what a higher cap allows is read: " + err)


def patched(data, old, new):
    check(data.count(old) >= 1 and len(old) == len(new), "patch")
    return data.replace(old, new)


def test_version_loops(work):
    """The chains of version tables tied into rings, or leading out of the file."""
    data = bytearray(program("/bin/ls"))
    phoff = struct.unpack_from("<Q", data, 32)[0]
    segments = [struct.unpack_from("<IIQQQQQQ", data, phoff + 56 * i) for i in range(struct.unpack_from("<H", data, 56)[0])]
    dynamic = next(s for s in segments if s[0] == 2)
    entries = {tag: value for tag, value in struct.iter_unpack("<QQ", data[dynamic[2]:dynamic[2] + dynamic[5]])}
    need = entries[0x6ffffffe]
    at = next(s[2] + need - s[3] for s in segments if s[0] == 1 and s[3] <= need < s[3] + s[5])
    for name, patch in (("out", (at + 12, 0xfffffff0)), ("ring", (at + 8, 0)), ("many", (at + 2, 0xffff))):
        bad = bytearray(data)
        struct.pack_into("<H" if name == "many" else "<I", bad, *patch)
        path = put(os.path.join(work, name), bad)
        before = time.monotonic()
        out, _ = run("scan", "--db", path + ".db", path, status=(0, 3))
        check(time.monotonic() - before < 120 and "1 package with 1 program" in out, f"{name}: {out}")


def test_unreadable(work):
    if os.getuid() == 0:
        raise Skip("root reads everything")
    folder = os.path.join(work, "folder")
    os.mkdir(folder)
    put(os.path.join(folder, "a"), elf(b"\xc3"))
    os.chmod(os.path.join(folder, "a"), 0)
    out, err = run("scan", "--db", os.path.join(work, "x.db"), folder, status=3)
    check("Permission denied" in err, err)


def test_missing_library(work):
    path = put(os.path.join(work, "tool"), patched(program(), b"libc.so.6\0", b"libq.so.9\0"))
    out, err = run("scan", "--db", os.path.join(work, "m.db"), path, status=3)
    check("libq.so.9: nothing scanned has this library, which 1 package needs (tool)" in err, err)
    check("1 package with 1 program" in out, out)


def test_left_out_classes(work):
    put(os.path.join(work, "object"), elf(b"\x90\xc3", kind=1))
    put(os.path.join(work, "small"), b"\x7fELF\x01\x01\x01" + bytes(60))
    put(os.path.join(work, "foreign"), elf(b"\x90\xc3\0\0", machine=8))
    put(os.path.join(work, "good"), elf(b"\x90\xc3"))
    out, _ = run("scan", "--db", os.path.join(work, "..", "classes.db"), work, status=(0, 3))
    check("3 of other classes left out" in out, out)
    # Who names such a file is told, each time, and so is who names a folder or a package with nothing else.
    for name, says in (("foreign", "for MIPS, and this is a scan of 64-bit x86-64"), ("object", "relocatable object for x86-64"), ("small", "32-bit for")):
        for _ in range(2):
            out, err = run("scan", "--db", os.path.join(work, "..", "named.db"), os.path.join(work, name), status=3)
            check(f"{name}: " in err and says in err, f"{name}: {err}")
    folder = os.path.join(work, "folder")
    os.mkdir(folder)
    _, err = run("scan", "--db", os.path.join(work, "..", "folder.db"), folder, status=3)
    check("neither an ELF file nor a Debian package" in err, err)
    put(os.path.join(folder, "foreign"), elf(b"\x90\xc3\0\0", machine=8))
    _, err = run("scan", "--db", os.path.join(work, "..", "folder.db"), folder, status=3)
    check("folder: 1 ELF file, for other machines" in err, err)
    package = put(os.path.join(work, "p.deb"), deb("p", [("./usr/bin/tool", elf(b"\x90\xc3", machine=183))]))
    for _ in range(2):
        _, err = run("scan", "--db", os.path.join(work, "..", "package.db"), package, status=3)
        check("p.deb: 1 ELF file, for other machines" in err, err)


def test_bad_packages(work):
    good = deb("good", [("./usr/bin/tool", program())])
    cases = {
        "cut.deb": (good[:len(good) * 2 // 3], "the package is left out"),
        "empty.deb": (b"!<arch>\n", "left out"),
        "noise.deb": (b"!<arch>\n" + random.Random(5).randbytes(5000), "damaged"),
        "nodata.deb": (good[:good.index(b"data.tar.xz")], "no control.tar and data.tar"),
        "bomb.deb": (deb("bomb", [("./zeros", bytes(96 << 20))]), "unpacks to thousands of times its size"),
        "elfbomb.deb": (deb("elfbomb", [("./zeros", b"\x7fELF\x02\x01\x01" + bytes(60 << 20))], "Installed-Size: 100000\n"), "unpacks to thousands of times its size"),
        "large.deb": (deb("large", [("./usr/bin/large", b"\x7fELF" + random.Random(1).randbytes(3 << 20))]), "larger than --member-cap"),
        "liar.deb": (deb("liar", [("./usr/bin/large", b"\x7fELF" + random.Random(1).randbytes(3 << 20))], "Installed-Size: 1\n"), "larger than its package says"),
    }
    for name, (data, says) in cases.items():
        path = put(os.path.join(work, name), data)
        cap = 2 if name == "large.deb" else 70
        status, memory, _, _, _ = measured("scan", "--db", path + ".db", "--member-cap", cap, put(os.path.join(work, "good.deb"), good), path)
        check(status == 3, f"{name}: status {status}")
        out, err = run("scan", "--db", path + "2.db", "--member-cap", cap, os.path.join(work, "good.deb"), path, status=3)
        check(says in err and name in err, f"{name}: {err}")
        check(re.search(r"1 package with 1 program", out), f"{name}: the good one was lost: {out}")
        check(SANITIZED or memory < 200, f"{name}: {memory:.0f} MB")


def test_popularity(work):
    db = base(work)
    path = put(os.path.join(work, "p"), b"1 sed 1000\n2 ls 10\nnonsense\n0 Total 1000\n")
    out, err = run("importance", "--db", db, "--popularity", path, status=3)
    check("1 package is on each of 1000 machines" in err and "1 line makes no sense" in err, err)
    check("inf" not in out and "nan" not in out and "2 packages by name" in out, out[:800])
    run("importance", "--db", db, "--popularity", os.path.join(work, "absent"), status=1)
    run("importance", "--db", db, "--popularity", "none")
    # A compressed one that was cut, at many places, is used and named; a whole one is not.
    rows = b"".join(b"%d %s %d\n" % (i + 1, b"sed" if i == 3 else b"package%d" % i, 9000 - i) for i in range(3000))
    packed = gzip.compress(b"# submissions: 10000\n" + rows, mtime=0)
    _, err = run("importance", "--db", db, "--popularity", put(path, packed))
    check("cut" not in err and "damaged" not in err, err)
    for size in (len(packed) - 1, len(packed) - 8, len(packed) - 20, len(packed) // 2, len(packed) // 10):
        _, err = run("importance", "--db", db, "--popularity", put(path, packed[:size]), status=3)
        check("it was cut" in err, f"{size} of {len(packed)}: {err}")
    _, err = run("importance", "--db", db, "--popularity", put(path, packed[:-8] + bytes(8)), status=3)
    check("it is damaged" in err, err)
    # Some lines of by_inst with its last one, which has the sums of all; the same with three columns.
    put(path, b"#rank name inst vote old recent no-files (maintainer)\n1 sed 9000 1 2 3 4 (X)\n2 ls 10 1 2 3 4 (X)\n---\n99 Total 300000000 1 2 3 4\n")
    out, err = run("importance", "--db", db, "--popularity", path)
    check("so it is the sum of a column" in err and "9000 machines" in out, err + out[:600])
    put(path, b"1 sed 9000\n2 ls 10\n0 Total 300000000\n")
    out, err = run("importance", "--db", db, "--popularity", path)
    check("no package is on more than 0.003 % of them" in err and "--submissions N" in err, err)
    _, err = run("importance", "--db", db, "--popularity", path, "--submissions", 10000)
    check("no package is on more" not in err, err)
    _, err = run("importance", "--db", db, "--popularity", put(path, b"1 sed 9000\n2 ls 10\n0 Total 100\n"))
    check("its Total is less than a package has" in err, err)
    # Only '0 Total N' is a number of machines. Other Totals are sums, whatever is missing: they are no N and no package, which is said.
    def machines(text, status=0, says=None):
        out, err = run("importance", "--db", db, "--popularity", put(path, text), status=status)
        check((says in err) if says else "Total" not in err, f"{text}: {err}")
        n, weight = re.search(r"p, (\d+) machines?; .*; ([\d.]+) % of the file's weight", out).groups()
        check(weight == "100.0", f"{text}: something else than sed and ls counts as a package: {out[:300]}")
        return int(n)
    rows, is_sum = b"1 sed 9000\n2 ls 8000\n", "its Total is no row '0 Total N', so it is the sum of a column"
    check(machines(rows + b"0 Total 12345\n") == 12345, "0 Total N")
    for total in (b"3 Total 17000", b"3 Total 12345", b"99 Total 300000000", b"3 Total 9000 1 2 3 4", b"0 Total 12345 1 2 3 4"):
        check(machines(rows + total + b"\n", says=is_sum) == 9000, total)
    check(machines(b"sed,9000\nls,8000\nTotal,12345\n", says=is_sum) == 9000, "CSV")
    check(machines(b"sed,9000\nls,8000\n0,Total,12345\n") == 12345, "CSV with ranks")
    check(machines(rows + b"0 Total 17000\n", says="its Total is the sum of a column") == 9000, "a sum as N")
    check(machines(b"# submissions: 20000\n" + rows + b"99 Total 12345\n") == 20000, "a comment")
    # Names of people with commas are in by_inst; a package that is there twice counts with the most, in any order.
    check(machines(b"# submissions: 10000\n1 sed 9000 1 2 3 4 (A. Person, Jr.)\n2 ls 8000 1 2 3 4 (B, C, D)\n") == 10000, "commas")
    # What is behind 4096 characters of a line is no line.
    check(machines(b"# submissions: 10000\n" + rows + b"3 zzz 0 " + b" " * 4087 + b"4 zzzz 500\n") == 10000, "a long line")
    # Numbers that nobody has: nothing becomes infinite, no memory is taken for it.
    huge = 2**64 - 1
    for text, status in ((b"1 sed %d\n2 ls 8000\n0 Total %d\n" % (huge, huge), 3), (b"# submissions: %d\n1 sed 9000\n2 ls 1\n" % huge, 0), (b"# submissions: %d\n1 sed 9000\n" % (huge * 100), 0),
                         (b"1 sed 1000000000000000\n0 Total 1000000000000000\n", 0), (b"1 sed 0\n2 ls 0\n", 0)):
        out, err = run("importance", "--db", db, "--limit", 0, "--popularity", put(path, text), status=status)
        check(not re.search(r"\b(inf|nan)\b", out) and " 0 machines: counted" not in err and str(huge) not in out, f"{text}: {out[:400]} {err}")
    put(path, gzip.compress(b"".join(b"%d %s%d 5\n" % (i, b"x" * (90 if i % 2 else 900), i) for i in range(1, 1100001)), compresslevel=1))
    status, memory, _, _, out = measured("importance", "--db", db, "--popularity", path)
    check(status == 3 and (SANITIZED or memory < 200), f"status {status}, {memory:.0f} MB")
    _, err = run("importance", "--db", db, "--popularity", path, status=3)
    check("more than 500000 packages are more than any distribution has; 50000 lines left out" in err and "550000 lines make no sense" in err, err)
    answers = set()
    for order in (b"1 sed 9000\n2 ls 10\n3 sed 5\n", b"1 sed 5\n2 ls 10\n3 sed 9000\n"):
        out, err = run("importance", "--db", db, "--popularity", put(path, b"# submissions: 10000\n" + order), status=3)
        check("1 line is of a package that has another" in err, err)
        answers.add(out)
    check(len(answers) == 1, "the order of lines matters")
    put(path, b"1 sed 1000\n2 ls 10\nnonsense\n0 Total 1000\n")
    out, _ = run("importance", "--db", db, "--popularity", path, "--missing-weight", "0.5", "--submissions", 2000, status=3)
    check(f"{len(PROGRAMS) - 2} given" in out, out[:600])


def test_databases(work):
    path = os.path.join(work, "x.db")
    _, err = run("importance", "--db", path, status=1)
    check("there is no database; make one" in err, err)
    put(path, b"something else entirely")
    _, err = run("scan", "--db", path, "/bin/true", status=1)
    check("no database of isapop" in err, err)
    os.unlink(path)
    run("scan", "--db", path, *PROGRAMS[:3])
    whole = open(path, "rb").read()
    # Cut anywhere, the rest is used and the scan completes it.
    for part in (9, len(whole) // 3, len(whole) - 5):
        put(path, whole[:part])
        _, err = run("importance", "--db", path, status=1)
        check("is not complete" in err, err)
        run("scan", "--db", path, *PROGRAMS[:3])
        run("importance", "--db", path)
    answer = run("importance", "--db", path, "--limit", 0)[0]
    # One bit anywhere: in payloads, in headers, in the summary. A query says so, a scan mends it.
    places = [random.Random(7).randrange(8, len(whole)) for _ in range(60)] + [8, 20, 40, len(whole) - 1]
    for n, place in enumerate(places):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << n % 8
        put(path, bytes(flipped))
        _, err = run("importance", "--db", path, status=1)
        check("it is damaged, at byte" in err, f"byte {place}: {err}")
        _, err = run("why", "--db", path, "CPUID", status=1)
        if n % 8 == 0:
            _, err = run("scan", "--db", path, *PROGRAMS[:3])
            check("what was lost is analyzed again" in err, err)
            check(run("importance", "--db", path, "--limit", 0)[0] == answer, f"byte {place}: another answer")
    # What isapop wrote before there were checksums everywhere.
    put(path, b"!ISAPOP1" + whole[8:])
    _, err = run("importance", "--db", path, status=1)
    check("an earlier isapop made it" in err and "scan again" in err, err)
    _, err = run("scan", "--db", path, *PROGRAMS[:3])
    check("everything is analyzed again" in err and run("importance", "--db", path, "--limit", 0)[0] == answer, err)
    _, err = run("scan", "--db", os.path.join(work, "no", "folder", "x.db"), "/bin/true", status=1)
    check(f"the folder {work}/no/folder is not there; make it" in err and "isapop scan" not in err, err)
    _, err = run("scan", "--db", "/proc/nowhere/x.db", "/bin/true", status=1)


def unprivileged(*arguments):
    """isapop as somebody whom folders can refuse."""
    command = [ISAPOP, *map(str, arguments)]
    if os.getuid() == 0:
        if not shutil.which("setpriv"):
            raise Skip("root writes everywhere, and there is no setpriv")
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode == 126 or "failed to execute" in done.stderr:
        raise Skip("others may not run what was built here")
    return done


def test_places_of_databases(work):
    """A folder that cannot be written, a link, what is no file; the owner's rights stay."""
    folder = os.path.join(work, "folder")
    os.mkdir(folder)
    db = os.path.join(folder, "x.db")
    run("scan", "--db", db, "/bin/true")
    answer = run("importance", "--db", db)[0]
    # Through a link, which stays one; what only its owner may read stays so.
    link = os.path.join(work, "link.db")
    os.symlink("folder/x.db", link)
    os.chmod(db, 0o600)
    run("scan", "--db", link, "/bin/true")
    check(os.path.islink(link) and os.stat(db).st_mode & 0o777 == 0o600 and run("importance", "--db", db)[0] == answer, "a scan through a link")
    pipe = os.path.join(work, "pipe")
    os.mkfifo(pipe)
    for path in (pipe, "/dev/null"):
        for verb in (["importance"], ["scan", "/bin/true"]):
            done = subprocess.run([ISAPOP, *verb, "--db", path], capture_output=True, text=True, timeout=60)
            check(done.returncode == 1 and "this is no database" in done.stderr, f"{path}: {done}")
    _, err = run("scan", "--db", work, "/bin/true", status=1)
    check("Is a directory" in err, err)
    for option in ("--db", "--popularity", "--output"):
        _, err = run("report", option, "", status=2)
        check("empty value" in err, err)
    _, err = run("scan", "--db", os.path.join(work, "none.db"), "", status=3)
    check("'': No such file" in err, err)
    # The folder refuses what a scan writes beside the database; queries need nothing of it.
    os.chmod(db, 0o666)
    os.chmod(folder, 0o555)
    top = os.path.dirname(work)  # of the run's own
    mode = os.stat(top).st_mode & 0o777
    os.chmod(top, 0o755)
    try:
        done = unprivileged("scan", "--db", db, "/bin/ls")
        check(done.returncode == 1 and "x.db: cannot be written: Permission denied" in done.stderr and "full" not in done.stderr, done)
        done = unprivileged("importance", "--db", db)
        check(done.returncode == 0 and done.stdout == answer and not done.stderr, done)
        done = unprivileged("report", "--db", db, "--output", os.path.join(folder, "page.html"))
        check(done.returncode == 1 and "page.html: Permission denied" in done.stderr, done)
    finally:
        os.chmod(top, mode)
        os.chmod(folder, 0o755)


def test_strange_names(work):
    """Names of files that drive terminals, are no UTF-8, or end a script: printed without harm, in every format."""
    folder, db, page = os.path.join(work, "folder"), os.path.join(work, "x.db"), os.path.join(work, "page.html")
    os.mkdir(folder)
    names = [b"new\nline", b"esc\x1b[31m", b"bad\xff\xfe", b"cut\xe2\x82", b"c1\xc2\x9b31m", b"surrogate\xed\xa0\x80", b"long\xc0\x8a", b'comma,"quote', b"<script>alert(1)<!--", b"-dash", b"#hash", b" ", "\u00fcml\u00e4ut \U0001f600".encode()]
    for i, name in enumerate(names):
        put(os.path.join(folder.encode(), name), elf(b"\x90" * (i + 1) + b"\xc3"))
    put(os.path.join(folder.encode(), b"broken\n\x1b[31m\xff"), program()[:300])
    done = subprocess.run([ISAPOP, "scan", "--db", db, folder], capture_output=True)
    check(done.returncode == 3 and b"13 packages with 13 programs" in done.stdout and b"broken??[31m?: " in done.stderr, done)
    supported = put(os.path.join(work, "supported"), b"CPUID\n")
    for verb in (["wc", "--supported", supported], ["why", "RET"], ["testset"], ["plan"], ["report", "--output", page]):
        for form in ("text", "json", "csv"):
            done = subprocess.run([ISAPOP, *verb, "--db", db, "--popularity", "none", "--format", form, *(["--limit", "0"] if verb[0] != "report" else [])], capture_output=True)
            text = done.stdout.decode()  # fails where it is no UTF-8
            check(done.returncode == 0 and not any(ord(c) < 32 and c != "\n" or 127 <= ord(c) < 160 for c in text), f"{verb} {form}: {done}")
            if verb[0] == "wc" and form == "json":
                there = {row["package"] for row in json.loads(text)["broken"]}
                check(there == {"new?line", "esc?[31m", "bad??", "cut??", "c1??31m", "surrogate???", "long??", 'comma,"quote', "<script>alert(1)<!--", "-dash", "#hash", " ", "\u00fcml\u00e4ut \U0001f600"}, there)
    text = open(page, encoding="utf-8").read()
    check("<script>alert" not in text and len(json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.S).group(1))["plans"]["best-gain"]["steps"]) >= 1, "the page")
    # The same in a package's own words.
    strange = b"\x1b[31mp\xff\xfe"
    data = deb("NAME", [("./usr/bin/tool", elf(b"\x90\xc3"))])
    control = lzma.compress(tar([("./control", b"Package: " + strange + b"\nVersion: \xff\nArchitecture: amd64\n")]))
    parts = [("debian-binary", b"2.0\n"), ("control.tar.xz", control), ("data.tar.xz", lzma.compress(tar([("./usr/bin/tool", elf(b"\x90\xc3"))])))]
    data = b"!<arch>\n" + b"".join(f"{part:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(d):<10}".encode() + b"`\n" + d + (b"\n" if len(d) % 2 else b"") for part, d in parts)
    run("scan", "--db", db, put(os.path.join(work, "p.deb"), data))
    rows = json.loads(run("testset", "--db", db, "--popularity", "none", "--json")[0])["testset"]
    check(rows[0]["package"] == "?[31mp??" and rows[0]["version"] == "?", rows)


def test_killed(work):
    """A scan that is killed at any moment has lost nothing that was done, and the next one answers as if nothing had been."""
    folder, other = os.path.join(work, "bin"), os.path.join(work, "y.db")
    os.mkdir(folder)
    size = lambda name: os.path.getsize(os.path.join("/usr/bin", name))
    names = [n for n in sorted(os.listdir("/usr/bin")) if os.path.isfile(f"/usr/bin/{n}") and not os.path.islink(f"/usr/bin/{n}") and 20000 < size(n) < 500000]
    for name in names[:60]:
        shutil.copy(os.path.join("/usr/bin", name), folder)
    package = put(os.path.join(folder, "p.deb"), deb("p", [("./bin/true", program()), ("./bin/ls", program("/bin/ls"))]))
    before = time.monotonic()
    run("scan", "--db", other, folder, status=(0, 3))
    took = time.monotonic() - before
    answer = run("importance", "--db", other, "--limit", 0)[0]
    random.seed(11)
    for i in range(6):
        db, kills = os.path.join(work, f"{i}.db"), 0
        for _ in range(3):
            child = subprocess.Popen([ISAPOP, "scan", "--db", db, folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                child.wait(timeout=random.random() * took)
            except subprocess.TimeoutExpired:
                child.kill()
                kills += 1
            child.wait()
            if os.path.exists(db) and os.path.getsize(db) >= 8:
                # What there is either answers as a whole, or says that it is not.
                out, err = run("importance", "--db", db, "--limit", 0, status=(0, 1))
                check(out == answer or "its scan is not complete" in err, f"after {kills} kills: {err}")
        run("scan", "--db", db, folder, status=(0, 3))
        check(run("importance", "--db", db, "--limit", 0)[0] == answer, f"scan {i}, killed {kills} times, answers otherwise")
        check(not os.path.exists(db + ".new"), "something is left behind")


def test_interrupted(work):
    db, folder = os.path.join(work, "x.db"), os.path.join(work, "bin")
    os.mkdir(folder)
    for name in sorted(os.listdir("/usr/bin")):
        path = os.path.join("/usr/bin", name)
        if os.path.isfile(path) and not os.path.islink(path) and len(os.listdir(folder)) < 60 and os.stat(path).st_size > 40000:
            with open(path, "rb") as f:
                if f.read(4) == b"\x7fELF":
                    shutil.copy(path, folder)
    child = subprocess.Popen([ISAPOP, "scan", "--db", db, folder], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while child.poll() is None and (not os.path.exists(db) or os.path.getsize(db) < 50000):
        time.sleep(0.002)
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
    _, err = child.communicate()
    # A suite that is scanned for bench is not kept: nothing is left of it, and nothing goes on.
    bench = subprocess.Popen([ISAPOP, "bench", "--db", base(work), "--threads", "1", *largest()], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=dict(os.environ, TMPDIR=work))
    while bench.poll() is None and not any(name.startswith("isapop-suite-") and os.path.getsize(os.path.join(work, name)) > 8 for name in os.listdir(work)):
        time.sleep(0.002)
    bench.send_signal(signal.SIGINT)
    _, said = bench.communicate()
    check(bench.returncode in (0, 3) or bench.returncode == 130 and "stopping" in said and "goes on" not in said, f"bench ended with {bench.returncode}: {said}")
    check(not any(name.startswith("isapop-suite-") for name in os.listdir(work)), "bench leaves a file behind")
    if child.returncode != 130:
        raise Skip(f"the scan was over before it could be interrupted (status {child.returncode})")
    check("the same command goes on from here" in err, err)
    out, _ = run("scan", "--db", db, folder, status=(0, 3))
    known = int(re.search(r"(\d+) known", out).group(1))
    check(known > 0, out)
    other = os.path.join(work, "y.db")
    run("scan", "--db", other, folder, status=(0, 3))
    check(run("importance", "--db", db, "--limit", 0)[0] == run("importance", "--db", other, "--limit", 0)[0], "an interrupted scan answers otherwise")


def test_disk_full(work):
    """Wherever a disk is full, that is an error that says so, and the same command completes the scan when there is room."""
    for verb in (("importance", "--db", base(work)), ("scan", "--db", os.path.join(work, "y.db"), "/bin/true")):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([ISAPOP, *verb], stdout=full, stderr=subprocess.PIPE, text=True)
        check(done.returncode == 1 and "could not be written: No space left" in done.stderr, f"{verb}: {done}")
    # A file system of its own, that is full at some point: while files are analyzed, or while the result is written.
    namespace = ["unshare", "-m"] if os.getuid() == 0 else ["unshare", "-rm"]
    folder = os.path.join(work, "disk")
    os.mkdir(folder)
    names = [put(os.path.join(work, f"p{i}.deb"), deb(f"p{i}", [("./usr/bin/tool", program(source))])) for i, source in enumerate(PROGRAMS[:3])]
    script = """
mount -t tmpfs -o size=$1k,mode=777 none "$2" || exit 77
isapop=$3 db=$2/x.db room=$2.db; shift 3
"$isapop" scan --db "$db" "$@"; echo "first $?" >&2
cp "$db" "$room" && "$isapop" scan --db "$room" "$@" >/dev/null && "$isapop" importance --db "$room" --limit 0
"""
    other = os.path.join(work, "other.db")
    run("scan", "--db", other, *names, *PROGRAMS[3:])
    answer = run("importance", "--db", other, "--limit", 0)[0]
    failed = 0
    # Both the old file and the new one have to fit.
    for size in (4, 16, os.path.getsize(other) // 2048, os.path.getsize(other) // 1024 + 100, os.path.getsize(other) * 3 // 2048):
        done = subprocess.run([*namespace, "sh", "-c", script, "sh", str(size), folder, ISAPOP, *names, *PROGRAMS[3:]], capture_output=True, text=True)
        if done.returncode == 77 or "unshare" in done.stderr:
            raise Skip("no file system can be mounted here: " + done.stderr.strip())
        if "first 0" in done.stderr:
            continue
        failed += 1
        check("first 1" in done.stderr and "No space left on device" in done.stderr and "the disk is full" in done.stderr, f"{size} KB: {done.stderr}")
        check("interrupted" not in done.stderr and done.stderr.count("disk is full") == 1, f"{size} KB: {done.stderr}")
        check(done.returncode == 0 and done.stdout == answer, f"{size} KB: status {done.returncode}; {done.stderr}")
    check(failed >= 3, f"only {failed} disks were full")


def test_two_writers(work):
    db = os.path.join(work, "x.db")
    import fcntl
    with open(db, "wb") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        _, err = run("scan", "--db", db, "/bin/true", status=1)
    check("another isapop is writing it" in err, err)


def largest():
    """Two large files of code of this system, a library first."""
    found = []
    for folder in ("/usr/lib/x86_64-linux-gnu", "/usr/bin", "/usr/lib/gcc/x86_64-linux-gnu/12"):
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path) and os.path.getsize(path) < 140e6:
                with open(path, "rb") as f:
                    if f.read(4) == b"\x7fELF":
                        found.append((os.path.getsize(path), path))
    return [path for _, path in sorted(found, reverse=True)[:2]]


def test_memory_and_speed(work):
    if SANITIZED:
        raise Skip("the sanitizer's memory and time are its own")
    files = largest()
    status, memory, processor, clock, out = measured("scan", "--db", os.path.join(work, "x.db"), "--measure", *files)
    for line in ["peak memory %.0f MB for %s" % (memory, " and ".join(files))] + out.splitlines():
        print("# " + line)
    check(status in (0, 3), f"status {status}")
    check(memory < 200, f"{memory:.0f} MB")
    share = int(re.search(r"(\d+) % for each second of a processor", out).group(1))
    check(share >= 85, f"{share} % of the bare decoder's rate")


def test_thirty_thousand(work):
    db, popularity = os.path.join(work, "many.db"), os.path.join(work, "popularity")
    subprocess.run([MANY, db, "30000"], check=True)
    put(popularity, b"0 Total 1000000\n" + b"".join(b"%d package%d %d\n" % (i + 1, i, 900000 // (i // 40 + 1)) for i in range(30000)))
    status, memory, processor, clock, _ = measured("plan", "--db", db, "--popularity", popularity)
    print(f"# three plans over 30,000 packages: {processor:.1f} s of a processor, {clock:.1f} s by the clock, {memory:.0f} MB")
    check(status == 0, f"status {status}")
    check(SANITIZED or memory < 200, f"{memory:.0f} MB")
    # The clock is others' too here; alone the two are the same.
    check(SANITIZED or processor < 10, f"{processor:.1f} s")


def test_shape(work):
    """What a modern release looks like: check 5 of the notes, by some of its programs; under HIRA_SOAK by all packages that are installed."""
    db = os.path.join(work, "x.db")
    if SOAK:
        run("scan", "--db", db, "--installed", "--measure", status=(0, 3))
    else:
        names = [os.path.join("/usr/bin", n) for n in sorted(os.listdir("/usr/bin"))]
        names = [n for n in names if os.path.isfile(n) and not os.path.islink(n) and 20000 < os.path.getsize(n) < 300000 and open(n, "rb").read(4) == b"\x7fELF"]
        run("scan", "--db", db, *random.Random(3).sample(names, min(60, len(names))), status=(0, 3))
    at = {}
    for closure in ("none", "reach", "whole"):
        data = json.loads(run("plan", "--db", db, "--closure", closure, "--cpuid-cap", "x86-64-v1", "--json", "--popularity", "none")[0])
        rows = {r["completeness"]: r["importance"] for r in data["orders"]}
        shares = json.loads(run("importance", "--db", db, "--closure", closure, "--json", "--popularity", "none", "--limit", 0)[0])["importance"]
        at[closure] = (sum(r["unweighted"] >= 95 for r in shares), rows[10.0], rows[50.0], rows[90.0])
        print(f"# {closure}: {at[closure][0]} mnemonics that nearly all need; 10/50/90 % complete with {at[closure][1:]} ")
    check(at["none"][0] >= 20, "tens of mnemonics near 100 %")
    check(100 <= at["reach"][2] <= 260, "the knee of completeness")
    check(at["reach"][3] < 420, "90 % in the low hundreds")
    check(at["whole"][1] > at["reach"][1], "with whole libraries the curve jumps late")


def test_aarch64(work):
    code = struct.pack("<4I", 0xd2800000, 0xd2800ba8, 0xd4000001, 0x8b010000)  # mov x0, #0; mov x8, #93; svc #0; add x0, x0, x1
    path = put(os.path.join(work, "tool"), elf(code, machine=183))
    db = os.path.join(work, "x.db")
    out, err = run("scan", "--db", db, path, status=3)
    check("0 packages with 0 programs" in out and "1 of other classes" in out and "for AArch64" in err, out + err)
    if subprocess.run([ISAPOP, "scan", "--db", db, "--isa", "aarch64", path], capture_output=True).returncode:
        raise Skip("built without Capstone")
    out, _ = run("importance", "--db", db, "--popularity", "none")
    check("SVC" in out and "ADD" in out, out)


TESTS = [test_help, test_options, test_man, test_formats, test_whole_lists, test_plurals, test_closures, test_wc, test_plan, test_why, test_other_verbs, test_first_hour, test_occurrences, test_published_data, test_report, test_page,
         test_packages, test_bad_elf, test_told_again, test_given_twice, test_other_content, test_add, test_version_loops, test_missing_library, test_unreadable, test_left_out_classes, test_bad_packages, test_popularity,
         test_databases, test_places_of_databases, test_strange_names, test_interrupted, test_killed, test_two_writers, test_disk_full, test_memory_and_speed, test_thirty_thousand, test_shape, test_aarch64]


def main():
    wanted = sys.argv[3:]
    tests = [t for t in TESTS if not wanted or t.__name__[5:] in wanted]
    failed = 0
    with tempfile.TemporaryDirectory(prefix="isapop-test-") as top:
        for n, test in enumerate(tests, 1):
            work = os.path.join(top, test.__name__)
            os.mkdir(work)
            try:
                test(work)
                print(f"ok {n} - {test.__name__[5:]}", flush=True)
            except Skip as why:
                print(f"ok {n} - {test.__name__[5:]} # SKIP {why}", flush=True)
            except Exception as why:  # whatever it is, it is this test's
                failed += 1
                print(f"not ok {n} - {test.__name__[5:]}")
                print("\n".join("# " + line for line in f"{type(why).__name__}: {why}".splitlines()), flush=True)
    print(f"1..{len(tests)}")
    return 1 if failed else 0


sys.exit(main())
