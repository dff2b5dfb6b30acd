"""What ptxas says of each CUDA kernel, as a table:  cuda_report.py OUT.md REPORT...

A REPORT is what `nvcc -Xptxas -v` printed while it compiled one file; the Makefile keeps it beside the object. Fails where a
kernel spills registers beyond SPILLS_ALLOWED, where a report holds no kernel, and where an exception names none.
"""
import pathlib
import re
import shutil
import subprocess
import sys

SPILLS_ALLOWED = 0  # bytes, stores or loads
# Kernels that may spill more: {part of the demangled name: (bytes, why it is right)}.
EXCEPTIONS = {}

ENTRY = re.compile(r"Compiling entry function '(\S+)' for '(sm_\w+)'")
PROPERTIES = re.compile(r"Function properties for (\S+)")
STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")


def read_report(path):
    """Rows {file, kernel, arch, registers, shared, stack, stores, loads}; what an entry calls and is not inlined counts to it."""
    row, rows = None, []
    for line in path.read_text().splitlines():
        if m := ENTRY.search(line):
            row = dict(file=path.stem, kernel=m[1], arch=m[2], registers=0, shared=0, stack=0, stores=0, loads=0)
            rows.append(row)
        elif row and (m := STACK.search(line)):
            for key, number in zip(("stack", "stores", "loads"), m.groups()):
                row[key] = max(row[key], int(number))
        elif row and (m := USED.search(line)):
            row["registers"] = int(m[1])
            if m := SHARED.search(line):
                row["shared"] = int(m[1])
    return rows


def demangle(rows):
    """Names as in the source, without their parameters, which say nothing that the template arguments do not."""
    tool = shutil.which("c++filt")
    if not tool:
        return
    text = subprocess.run([tool, "-p"], input="\n".join(r["kernel"] for r in rows), capture_output=True, text=True, check=True)
    for row, name in zip(rows, text.stdout.splitlines()):
        row["kernel"] = re.sub(r"^void ", "", name).replace("(anonymous namespace)::", "")


def allowed(row):
    return next((size for part, (size, _) in EXCEPTIONS.items() if part in row["kernel"]), SPILLS_ALLOWED)


def problems(rows, reports):
    empty = {p.stem for p in reports} - {r["file"] for r in rows}
    for name in sorted(empty - {"cuda_device", "cuda_plugin", "cuda_blas"}):  # of the host alone
        yield f"{name}: no kernel in its report"
    for r in rows:
        if max(r["stores"], r["loads"]) > allowed(r):
            yield (f"{r['file']}: {r['kernel']} for {r['arch']} spills {r['stores']} bytes of stores, {r['loads']} of loads; "
                   f"at most {allowed(r)}")
    for part in EXCEPTIONS:
        if not any(part in r["kernel"] for r in rows):
            yield f"{part}: an exception of cuda_report.py for a kernel that is gone"


def table(rows, arch):
    mine = [r for r in rows if r["arch"] == arch]
    yield f"## {arch}: {len(mine)} kernels"
    yield ""
    yield "| kernel | file | registers | shared, bytes | stack | spill stores | spill loads |"
    yield "|---|---|---|---|---|---|---|"
    for r in sorted(mine, key=lambda r: (-r["registers"], r["file"], r["kernel"])):
        numbers = (r[key] for key in ("registers", "shared", "stack", "stores", "loads"))
        yield f"| `{r['kernel']}` | {r['file']} | " + " | ".join(map(str, numbers)) + " |"
    yield ""


def main(out, *names):
    reports = [pathlib.Path(name) for name in names]
    rows = [row for path in reports for row in read_report(path)]
    demangle(rows)
    archs = sorted({r["arch"] for r in rows}, key=lambda a: int(re.sub(r"\D", "", a)), reverse=True)
    lines = ["# What ptxas says of the CUDA kernels", "", "Made by `make cuda-report`: most registers first. Dynamic shared "
             "memory is not in it.", ""]
    for arch in archs:
        lines += table(rows, arch)
    pathlib.Path(out).write_text("\n".join(lines))
    found = list(problems(rows, reports))
    for problem in found:
        print(problem)
    worst = max(rows, key=lambda r: r["registers"], default=None)
    most = f"; most registers {worst['registers']}, {worst['file']} for {worst['arch']}" if worst else ""
    print(f"cuda-report: {len(rows)} kernels of {len(reports)} files for {' '.join(archs) or 'nothing'}{most}; "
          f"{len(found)} problems; table in {out}")
    return 1 if found or not rows else 0


sys.exit(main(*sys.argv[1:]))
