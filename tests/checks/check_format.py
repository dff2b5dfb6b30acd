"""What every text file of the tree looks like, and the few habits of C that a program can see."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
WIDTH = 132  # aim at 100
C_SUFFIXES = {".c", ".h", ".inc", ".def", ".cpp", ".cu", ".cuh"}
SUFFIXES = C_SUFFIXES | {".py", ".sh", ".md", ".map", ".in", ".yaml", ".yml"}
FOLDERS = ("include", "lib", "kernels", "examples", "tests", "bindings", "docs", "pkgconfig", ".ci")
LITERAL_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/', re.S)
BANNED = {
    r"//": "comments are /* */",
    r"\balloca\s*\(": "no alloca",
    r"\bassert\s*\(": "no assert: errors are return values",
    r"\b(TODO|FIXME|XXX)\b": "unfinished work belongs in an issue",
}


def check_lines(text):
    """(line, problem) for what holds in any language."""
    if not text.endswith("\n") or text.endswith("\n\n"):
        yield text.count("\n") + 1, "the file must end with one newline"
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > WIDTH:
            yield number, f"{len(line)} columns, at most {WIDTH}"
        if line != line.rstrip():
            yield number, "space at the end of the line"
        if "\t" in line:
            yield number, "tab"
        if "\r" in line:
            yield number, "carriage return"


def check_c(text):
    """(line, problem) for code outside strings and comments."""
    code = LITERAL_OR_COMMENT.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)
    for pattern, problem in BANNED.items():
        for match in re.finditer(pattern, code):
            yield code.count("\n", 0, match.start()) + 1, problem


def main():
    paths = [p for folder in FOLDERS for p in sorted((ROOT / folder).rglob("*"))
             if p.is_file() and p.suffix in SUFFIXES and "__pycache__" not in p.parts]
    paths += sorted(ROOT.glob("*.md"))
    problems = 0
    for path in paths:
        text = path.read_text(errors="replace")
        found = [] if path.suffix == ".md" else list(check_lines(text))
        if path.suffix in C_SUFFIXES:
            found += check_c(text)
        for line, problem in sorted(found):
            print(f"{path.relative_to(ROOT)}:{line}: {problem}")
        problems += len(found)
    print(f"check-format: {len(paths)} files, {problems} problems")
    return 1 if problems or not paths else 0


sys.exit(main())
