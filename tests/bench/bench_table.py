#!/usr/bin/python3
"""Put the results of `make bench-nets` into a document:  bench_table.py FOLDER DOCUMENT [loops]

FOLDER holds nets.json and machine.json. In DOCUMENT everything between the two marker lines is replaced: those of
`make bench-table`, or with "loops" those of `make bench-loops`, between which only sampler calls are shown, against their network.
"""
import json
import pathlib
import sys

from bench_titles import NAMES, number

KINDS = {"forward": "Forward pass", "train": "Training step", "sample": "Sampler call", "sample-bf16": "Sampler call",
         "sample-greedy": "Sampler call", "sample-guided": "Sampler call"}
LOOP_GOAL = 1.05
EXTRAS = {"sample-bf16": ", bfloat16", "sample-greedy": ", best by Q", "sample-guided": ", guided"}
SIZES = (("16 KiB", 14), ("256 KiB", 18), ("1 MiB", 20), ("4 MiB", 22), ("16 MiB", 24), ("64 MiB", 26), ("512 MiB", 29))


def percent(x):
    return "-" if x is None else f"{100 * x:.0f} %"


def times(x):
    return "-" if x is None else number(x, 2) + "x"


def title(case):
    name, kind, batch = case.split("/")
    return f"{NAMES.get(name, name)}, batch {batch}" + EXTRAS.get(kind, "")


def ratios(row):
    """Eager and script; what is known of them."""
    return f"{times(row.get('peer_ratio'))} / {times(row.get('script_ratio'))}"


def table(rows):
    """rows: {case: {threads: row}}, one line each."""
    heads = ("case", "1 thread, ms (least)", "of roof", "goal", "PyTorch eager / script", "2 threads, ms", "of roof",
             "PyTorch eager / script", "p99/median, busy, 1 / 2 threads")
    yield "| " + " | ".join(heads) + " |"
    yield "|---" * len(heads) + "|"
    for case, by in rows.items():
        one, two = by.get(1, {}), by.get(2, {})
        memory = " of memory" if one.get("bound") == "memory" else ""
        tails = f"{times(one.get('tail'))} / {times(two.get('tail'))}" if one.get("tail") or two.get("tail") else "-"
        yield (f"| {title(case)} | {number(one.get('median_ms'))} ({number(one.get('min_ms'))}) | "
               f"{percent(one.get('roof_fraction'))}{memory} | {percent(one.get('goal'))} | {ratios(one)} | "
               f"{number(two.get('median_ms'))} | {percent(two.get('roof_fraction'))} | {ratios(two)} | {tails} |")


def roofs(machine):
    by = machine["roofs"]
    yield "| roof | " + " | ".join(f"{r['threads']} thread{'s' * (r['threads'] > 1)}" for r in by) + " |"
    yield "|---|" + "---|" * len(by)
    yield "| multiply-add, GFLOP/s | " + " | ".join(number(r["gflops"], 4) for r in by) + " |"
    for text, power in SIZES:
        yield f"| reading {text}, GB/s | " + " | ".join(number(r["gbps"][str(1 << power)]) for r in by) + " |"


def narrow_gains(nets):
    """How much bfloat16 weights are worth."""
    floats = {(r["case"], r["threads"]): r["median_ms"] for r in nets}
    for r in nets:
        wide = floats.get((r["case"].replace("-bf16", ""), r["threads"]))
        if "-bf16" in r["case"] and wide:
            yield f"{title(r['case'])}, {r['threads']} thread(s): {wide / r['median_ms']:.2f} times as fast as with floats."


def head(machine, nets):
    yield (f"{machine['processor']}, {machine['processors']} processors, {machine['kernels']} kernels, gcc {machine['compiler']}, "
           f"{machine['date']}, tree of {machine['commit']}, load {number(machine['load'], 2)} before.")
    yield f"Peer: {next((r['peer'] for r in nets if r['peer']), 'none').replace(', eager', '')}."
    yield ""


def loop_row(row, forwards):
    """A sampler call by its network's passes alone (hoisted), and by as many plain forward passes of that run."""
    name, kind, batch = row["case"].split("/")
    steps, ratio = row["steps"], row["median_ms"] / row["network_ms"]
    plain = forwards.get((f"{name}/forward/{batch}", row["threads"]))
    return (f"| {title(row['case'])} | {row['threads']} | {steps} | {number(row['median_ms'])} | {number(row['network_ms'])} | "
            f"{ratio:.3f}{'' if ratio <= LOOP_GOAL else ' (missed)'} | {number(plain and plain * steps)} | "
            f"{number(row['peer_ms'])} / {number(row['script_ms'])} | {ratios(row)} |")


def loops(machine, nets):
    forwards = {(r["case"], r["threads"]): r["median_ms"] for r in nets}
    heads = ("loop", "threads", "steps", "ours, ms", "network alone, ms", f"loop / network (goal {LOOP_GOAL})",
             "steps x plain forward, ms", "PyTorch eager / script, ms", "PyTorch by ours")
    yield from head(machine, nets)
    yield "| " + " | ".join(heads) + " |"
    yield "|---" * len(heads) + "|"
    for r in nets:
        if r.get("network_ms"):
            yield loop_row(r, forwards)


def section(machine, nets):
    yield from head(machine, nets)
    yield from roofs(machine)
    for heading in dict.fromkeys(KINDS.values()):
        rows = {}
        for r in nets:
            if KINDS[r["case"].split("/")[1]] == heading:
                rows.setdefault(r["case"], {})[r["threads"]] = r
        if rows:
            yield from ("", f"### {heading}", "")
            yield from table(rows)
    yield ""
    goals = [r for r in nets if r["goal"]]
    missed = [title(r["case"]) for r in goals if r["roof_fraction"] < r["goal"]]
    yield f"{len(goals) - len(missed)} of {len(goals)} goals are reached" + (f"; missed: {'; '.join(missed)}." if missed else ".")
    yield from narrow_gains(nets)


def main(folder, document, what="table"):
    begin, end = f"<!-- made by make bench-{what} -->", f"<!-- end of what make bench-{what} made -->"
    machine, nets = (json.loads((pathlib.Path(folder) / name).read_text()) for name in ("machine.json", "nets.json"))
    path = pathlib.Path(document)
    text = path.read_text()
    if text.count(begin) != 1 or text.count(end) != 1:
        sys.exit(f"{document}: needs one line {begin} and one line {end}")
    before, after = text.split(begin)[0], text.split(end)[1]
    lines = (loops if what == "loops" else section)(machine, nets)
    path.write_text(before + begin + "\n\n" + "\n".join(lines) + "\n\n" + end + after)
    print(f"{document}: {len(nets)} rows of {folder}/nets.json")


main(*sys.argv[1:])
