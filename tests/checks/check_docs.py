"""Every public function is preceded by a comment; functions that stand together without a blank line share one."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAME = re.compile(r"\b(dmc_\w+)\(")
BAR = re.compile(r"/\* -{4,}.*-{4,} \*/$")


def undocumented(path):
    """(line, name) of each DMC_API declaration whose group has no comment directly above."""
    lines = path.read_text().splitlines()
    for i, line in enumerate(lines):
        if not line.startswith("DMC_API"):
            continue
        above = i - 1
        while above >= 0 and lines[above].strip() and not lines[above].rstrip().endswith("*/"):
            above -= 1
        text = lines[above].rstrip() if above >= 0 else ""
        if not text.endswith("*/") or BAR.match(text):
            name = NAME.search(" ".join(lines[i:i + 3]))
            yield i + 1, name[1] if name else line


def main():
    count = 0
    problems = []
    for path in sorted((ROOT / "include/libdmc").glob("*.h")):
        count += path.read_text().count("\nDMC_API")
        if not path.read_text().startswith(f"/* {path.name} — "):
            problems.append(f"{path.relative_to(ROOT)}:1: does not open with '/* {path.name} — what it is for'")
        for line, name in undocumented(path):
            problems.append(f"{path.relative_to(ROOT)}:{line}: {name} has no comment above it")
    for problem in problems:
        print(problem)
    print(f"check-docs: {count} public functions, {len(problems)} problems")
    return 1 if problems or not count else 0


sys.exit(main())
