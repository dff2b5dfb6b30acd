"""Run one step of `make check` and count what it ran:  run_step.py NAME COMMAND...
Print the totals of all steps so far:                   run_step.py --totals
Counts lie in the folder $COUNTS, build/check if it is not set.

Counted are the summary lines of Check ("100%: Checks: 8, Failures: 0, Errors: 0"), of pytest and of our own scripts
("7 passed, 1 failed, 2 skipped"). A test of a Check suite that cannot run here prints a line "SKIP: why" and returns: it
counts as skipped. A step without a summary line counts as one.
"""
import json
import os
import pathlib
import re
import subprocess
import sys

FOLDER = pathlib.Path(os.environ.get("COUNTS", "build/check"))
CHECK_LINE = re.compile(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)")
WORDS = re.compile(r"\b(\d+) (passed|failed|errors?|skipped)\b")
SKIP_LINE = re.compile(r"^ *(SKIP|skipped): ")
SUMMARY_LINE = re.compile(r"^[= ]*\d+ (passed|failed|errors?|skipped)\b")


def count_line(line, counts):
    """Add what a summary line says; True if it is one."""
    if m := CHECK_LINE.match(line):
        checks, failures, errors = map(int, m.groups())
        counts["passed"] += checks - failures - errors
        counts["failed"] += failures + errors
    elif SUMMARY_LINE.match(line):
        for number, word in WORDS.findall(line):
            counts["failed" if word.startswith("error") else word] += int(number)
    else:
        return False
    return True


def run_step(name, command):
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    counted = False
    print(f"== {name}", flush=True)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    for line in process.stdout:
        sys.stdout.write(line)
        sys.stdout.flush()
        if SKIP_LINE.match(line):
            counts["skipped"] += 1
            counts["passed"] -= 1
        counted |= count_line(line, counts)
    status = process.wait()
    if status and not counts["failed"]:
        counts["failed"] = 1
    if not status and not counted:
        counts["passed"] += 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(counts))
    if status:
        print(f"FAILED: {name}. Run it again with:  make {name}")
    return status


def print_totals():
    total = {"passed": 0, "failed": 0, "skipped": 0}
    for path in sorted(FOLDER.glob("*.json")):
        counts = json.loads(path.read_text())
        if counts["failed"]:
            print(f"FAILED: {path.stem}. Run it again with:  make {path.stem}")
        for word in total:
            total[word] += counts[word]
    print(", ".join(f"{number} {word}" for word, number in total.items()))
    return 1 if total["failed"] or not total["passed"] else 0


sys.exit(print_totals() if sys.argv[1:] == ["--totals"] else run_step(sys.argv[1], sys.argv[2:]))
