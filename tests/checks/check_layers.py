"""Who may include whom: the table of lib/README.md and the rules below it."""
import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)
FILE_FORMATS = re.compile(r"^(hdf5|hdf5_hl|H5\w*|yaml|jansson)\.h$")
PUBLIC_FOR_ALL = {"status.h", "export.h", "version.h"}
PUBLIC_ROOMS = {"api", "config"}
KERNEL_SYSTEM = re.compile(
    r"^(assert|complex|errno|fenv|float|inttypes|limits|math|pthread|stdatomic|stdbool|stddef|stdint|stdlib|string"
    r"|cpuid|immintrin|x86intrin|arm_neon|arm_sve|sleef|Random123/philox)\.h$")
SHARED_BY_KERNELS = {ROOT / "kernels" / name for name in ("kernels.h", "ops.def", "plugin.h")}
KERNEL_SYSTEM_CUDA = re.compile(r"^(cublasLt|cuda_runtime|cuda_bf16|cuda_fp16|mma)\.h$")
problems = []


def complain(path, line, what):
    problems.append(f"{path.relative_to(ROOT)}:{line}: {what}")


def read_table():
    """{room: rooms it may include}, in the order of the table; arrows must go up the list."""
    table = {}
    for line in (ROOT / "lib/README.md").read_text().splitlines():
        row = re.match(r"\| (\w+) \| ([\w ]*)\|$", line)
        if row and row[1] not in ("room", "letter"):
            allowed = set(row[2].split())
            unknown = allowed - set(table)
            if unknown:
                problems.append(f"lib/README.md: room {row[1]} includes {sorted(unknown)}, which is not above it")
            table[row[1]] = allowed
        elif table and not line.startswith("|"):
            break
    return table


def includes(path):
    """(line, is_system, name, the file inside the tree or None) of each #include."""
    text = path.read_text(errors="replace")
    for match in INCLUDE.finditer(text):
        line = text.count("\n", 0, match.start(2)) + 1
        name = match[2]
        for folder in (path.parent, ROOT, ROOT / "include"):
            target = (folder / name).resolve()
            if target.is_file() and ROOT in target.parents:
                break
        else:
            target = None
        yield line, match[1] == "<", name, target


def where(target):
    """("lib", "nn", "net.h") of a file in the tree."""
    parts = target.relative_to(ROOT).parts
    return parts if len(parts) > 2 else (parts[0], "", parts[-1])


def check_room(path, room, table):
    for line, system, name, target in includes(path):
        if target is None:
            if FILE_FORMATS.match(pathlib.PurePath(name).name) and room != "io":
                complain(path, line, f"<{name}> belongs to lib/io")
            elif not system:
                complain(path, line, f'"{name}" is not in the tree')
            continue
        top, folder, base = where(target)
        if base.endswith(".c"):
            complain(path, line, f"includes a source, {name}")
        elif top == "include" and base not in PUBLIC_FOR_ALL and room not in PUBLIC_ROOMS:
            complain(path, line, f"public header {base}: only lib/api and lib/config include those")
        elif top == "kernels" and (folder or base == "plugin.h" and room != "backend" or
                                  base != "kernels.h" and "backend" not in table[room] | {room}):
            complain(path, line, f"lib/{room} may not include {name}")
        elif top == "lib" and folder != room and folder not in table[room]:
            complain(path, line, f"lib/{room} may not include lib/{folder} (table in lib/README.md)")
        elif top not in ("include", "kernels", "lib"):
            complain(path, line, f"lib/{room} may not include {name}")


def check_kernel(path):
    for line, system, name, target in includes(path):
        if target is None:
            if not KERNEL_SYSTEM.match(name) and not (path.parent.name == "cuda" and KERNEL_SYSTEM_CUDA.match(name)):
                complain(path, line, f"kernels may not include <{name}>")
            continue
        allowed = target.parent == path.parent or target in SHARED_BY_KERNELS
        if not allowed or target.suffix == ".c":
            complain(path, line, f"kernels may not include {name}")


def check_program(path):
    for line, _, name, target in includes(path):
        if target and where(target)[0] in ("lib", "kernels"):
            complain(path, line, f"programs see the public headers only, not {name}")


def check_names(paths):
    by_name = collections.defaultdict(list)
    for path in paths:
        if path.relative_to(ROOT).parts[0] != "include":
            by_name[path.name].append(path)
    for name, same in by_name.items():
        if len(same) > 1:
            problems.append(f"{name}: the name is taken twice: " + ", ".join(str(p.relative_to(ROOT)) for p in same))


def main():
    table = read_table()
    rooms = {p.name for p in (ROOT / "lib").iterdir() if p.is_dir()}
    for room in sorted(rooms ^ set(table)):
        problems.append(f"lib/README.md and the folders disagree about room {room}")
    suffixes = (".c", ".h", ".cpp", ".cu", ".cuh", ".def", ".inc")
    sources = [p for top in ("include", "lib", "kernels", "bindings", "examples", "tests")
               for p in sorted((ROOT / top).rglob("*")) if p.suffix in suffixes and p.is_file()]
    for path in sources:
        top, folder, _ = where(path)
        if top == "lib" and folder in table:
            check_room(path, folder, table)
        elif top == "kernels" and folder:
            check_kernel(path)
        elif top == "examples" or (top, folder) == ("bindings", "cli"):
            check_program(path)
    check_names(sources)
    for problem in problems:
        print(problem)
    print(f"check-layers: {len(sources)} files, {len(table)} rooms, {len(problems)} problems")
    return 1 if problems or not table or not sources else 0


sys.exit(main())
