"""Function lengths and the share of comments, by room. Aim: half under 20 lines, hardly any over 60, none over 90."""
import pathlib
import re
import statistics

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMENT = re.compile(r"/\*.*?\*/", re.S)


def functions(text):
    """(first line, length) of each function: a line that is or ends in an opening brace at the left margin."""
    start = None
    for number, line in enumerate(text.split("\n"), 1):
        if line == "{":
            start = number - 1
        elif re.match(r"[A-Za-z_].*\)\s*\{$", line):
            start = number
        elif line.startswith("}") and start:
            yield start, number - start + 1
            start = None


def main():
    rooms, longest = {}, []
    for path in sorted(p for top in ("lib", "kernels", "bindings/cli", "examples", "tests") for p in (ROOT / top).rglob("*.[ci]*")
                       if p.suffix in (".c", ".inc")):
        text = path.read_text(errors="replace")
        name = "/".join(path.relative_to(ROOT).parts[:2])
        lengths, comments, lines = rooms.setdefault(name, ([], [0], [0]))
        for start, length in functions(text):
            lengths.append(length)
            longest.append((length, f"{path.relative_to(ROOT)}:{start}"))
        comments[0] += sum(m[0].count("\n") + 1 for m in COMMENT.finditer(text))
        lines[0] += sum(1 for line in text.split("\n") if line.strip())
    print(f"{'room':22}{'lines':>7}{'functions':>11}{'median':>8}{'p90':>6}{'max':>6}{'comments':>10}")
    for name, (lengths, comments, lines) in rooms.items():
        if lengths:
            p90 = sorted(lengths)[int(0.9 * (len(lengths) - 1))]
            print(f"{name:22}{lines[0]:7}{len(lengths):11}{statistics.median(lengths):8.0f}{p90:6}{max(lengths):6}"
                  f"{comments[0] / lines[0]:10.2f}")
    for length, place in sorted(longest, reverse=True)[:8]:
        print(f"  {length:4} lines  {place}")


main()
