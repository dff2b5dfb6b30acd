#!/usr/bin/python3
"""Put what check-cuda and bench-cuda found into a document:  bench_gpu_table.py RESULTS DOCUMENT

RESULTS holds cuda.json and check.txt; what is not there was not run, and the table says so. In DOCUMENT everything between the two
marker lines is replaced.
"""
import json
import pathlib
import sys

from bench_titles import NAMES, number

BEGIN, END = "<!-- made by make gpu-table -->", "<!-- end of what make gpu-table made -->"
NOT_YET = "not yet run"
TAIL_GOAL = 1.2
# (what, parts of check-cuda that show it)
CHECKS = [
    ("operations against the reference: forward 1e-4 in fp32, 2e-2 in bf16, of the largest element", ["ops_device"]),
    ("sampling agrees with the processor's to 1e-3 after 20 steps", ["cuda"]),
    ("networks against PyTorch's numbers", ["golden"]),
    ("no bad access, no race (compute-sanitizer)", ["memcheck", "racecheck"]),
]
# (what, case, milliseconds at most): also at least 5 times as fast as PyTorch eager, 1.5 times as torch.compile with CUDA graphs
ACTIONS = [
    ("DiT policy, 5 steps, batch 1", "dp_dit/sample/1/fp32", 0.3),
    ("Diffuser, hopper, 64 plans, 20 steps", "janner/sample/64/fp32", 3),
    ("Chi U-Net, 10 steps, batch 1", "chi10/sample-bf16/1/bf16", 5),
]
TRAININGS = ["dp_dit/train/256/tf32", "janner/train/256/tf32", "chi/train/256/tf32", "idql/train/256/tf32"]


def read(folder):
    """(head of the JSON or {}, {case: row}, {part: "ok" or "failed"})."""
    timings, checks = folder / "cuda.json", folder / "check.txt"
    head, *rows = json.loads(timings.read_text()) if timings.exists() else [{}]
    if head.get("tiny"):
        sys.exit(f"{timings}: of the emulator, at tiny sizes: no result")
    words = [line.split() for line in checks.read_text().splitlines()] if checks.exists() else []
    return head, {r["case"]: r for r in rows}, {part: verdict for verdict, part in words}


def verdict(reached):
    return {None: "open", True: "reached", False: "missed"}[reached]


def ratio(row, style):
    """How many times as fast as the peer; None: not known."""
    return row[f"{style}_ms"] / row["median_ms"] if row and row[f"{style}_ms"] else None


def line(what, goal, value, reached):
    """A row of the table; value None: not measured; reached None: in part."""
    return f"| {what} | {goal} | " + (f"{NOT_YET} | |" if value is None else f"{value} | {verdict(reached)} |")


def check_lines(checks):
    for what, parts in CHECKS:
        known = [checks[p] for p in parts if p in checks]
        value = ", ".join(f"{p} {checks.get(p, NOT_YET)}" for p in parts) if known else None
        yield line(what, "holds", value, False if "failed" in known else True if len(known) == len(parts) else None)


def ratio_line(what, row, style, name, goal):
    x = ratio(row, style)
    return line(f"{what}: PyTorch's time by ours, {name}", f">= {goal}", x and number(x), x and x >= goal)


def goal_lines(rows):
    for what, case, most in ACTIONS:
        row = rows.get(case)
        ms, tail, taken = (row.get(key) if row else None for key in ("median_ms", "tail", "allocated"))
        yield line(what, f"<= {most} ms", ms and f"{number(ms)} ms", ms and ms <= most)
        yield ratio_line(what, row, "eager", "eager", 5)
        yield ratio_line(what, row, "compile", "torch.compile with CUDA graphs", 1.5)
        yield line(f"{what}: p99/median", f"<= {TAIL_GOAL}", tail and number(tail), tail and tail <= TAIL_GOAL)
        yield line(f"{what}: allocations on the device after creation", "0", taken if taken is None else f"{taken}", taken == 0)
    for case in TRAININGS:
        name = f"training step, {NAMES[case.split('/')[0]]}, batch 256, tf32"
        yield ratio_line(name, rows.get(case), "eager", "eager", 1.5)
        yield ratio_line(name, rows.get(case), "compile", "torch.compile", 1)


def roof_lines(head):
    yield "| roof | measured |"
    yield "|---|---|"
    for what, key, unit in (("copy on the device", "copy_gbps", "GB/s"), ("products in fp32", "fp32_tflops", "TFLOP/s"),
                            ("in tf32", "tf32_tflops", "TFLOP/s"), ("in bf16", "bf16_tflops", "TFLOP/s")):
        yield f"| {what} | " + (f"{number(head[key], 4)} {unit} |" if head.get(key) else f"{NOT_YET} |")


def case_lines(rows):
    yield "| case | ms (least) | launched one by one | of roof | eager / CUDA graph / compile by ours | p99/median |"
    yield "|---|---|---|---|---|---|"
    for case, r in rows.items():
        ratios = " / ".join(number(ratio(r, style)) for style in ("eager", "graph", "compile"))
        memory = " of memory" if r["bound"] == "memory" else ""
        yield (f"| {case} | {number(r['median_ms'])} ({number(r['min_ms'])}) | {number(r['launched_ms'])} | "
               f"{100 * r['roof_fraction']:.0f} %{memory} | {ratios} | {number(r['tail'])} |")


def section(head, rows, checks):
    if head:
        yield f"{head['gpu']}, tree of {head['commit']}; peer: {head['peer'] or 'none'}."
    else:
        yield "No figure in this project has been measured on a GPU so far."
    yield from ("", "| what | goal | measured | |", "|---|---|---|---|")
    yield from check_lines(checks)
    yield from goal_lines(rows)
    yield ""
    yield from roof_lines(head)
    if rows:
        yield ""
        yield from case_lines(rows)


def main(folder, document):
    head, rows, checks = read(pathlib.Path(folder))
    path = pathlib.Path(document)
    text = path.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        sys.exit(f"{document}: needs one line {BEGIN} and one line {END}")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    path.write_text(before + BEGIN + "\n\n" + "\n".join(section(head, rows, checks)) + "\n\n" + END + after)
    print(f"{document}: {len(rows)} cases and {len(checks)} checks of {folder}")


if __name__ == "__main__":
    main(*sys.argv[1:])
