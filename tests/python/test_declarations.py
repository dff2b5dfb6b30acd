"""What the package declares about the library, against the headers and the C compiler."""

import ctypes as c
import os
import re
import subprocess
from pathlib import Path

import pytest

import libdmc as dmc
from libdmc import _array, _check, _functions, _records, _version

ROOT = Path(__file__).resolve().parents[2]
HEADERS = {
    path.name: re.sub(r"/\*.*?\*/", " ", path.read_text(), flags=re.S)
    for path in sorted((ROOT / "include/libdmc").glob("*.h"))
}
API = {name: text for name, text in HEADERS.items() if name != "export.h"}  # which defines DMC_API
TYPES = {
    "void": None,
    "int32_t": c.c_int32,
    "dmc_status": c.c_int32,
    "int64_t": c.c_int64,
    "uint64_t": c.c_uint64,
    "size_t": c.c_size_t,
    "double": c.c_double,
    "void *": c.c_void_p,
    "char *": c.c_char_p,
    "char **": c.POINTER(c.c_char_p),
    "size_t *": c.POINTER(c.c_size_t),
    "int32_t *": c.POINTER(c.c_int32),
    "float *": _array.FLOATS,
    "double *": _array.DOUBLES,
    "uint8_t *": _array.BYTES,
    "float **": c.POINTER(c.POINTER(c.c_float)),
    "uint8_t **": c.POINTER(c.POINTER(c.c_uint8)),
    "dmc_reward_fn": _records.REWARD_FN,
    "dmc_score_fn": _records.SCORE_FN,
    "dmc_scores_fn": _records.SCORES_FN,
    "dmc_progress_fn": _records.PROGRESS_FN,
    "dmc_pairs_fn": _records.PAIRS_FN,
}
IN_CALLBACKS = {"float *": c.POINTER(c.c_float), "double *": c.POINTER(c.c_double)}
RECORDS = [
    _records.DatasetInfo,
    _records.TrainMetrics,
    _records.CriticMetrics,
    _records.SamplerInfo,
    _records.SamplerParts,
    _records.AlignProgress,
    _records.AlignReport,
    _records.OnlineReport,
    _records.OptionInfo,
    _records.Env,
]


def c_name(record):
    """DatasetInfo -> dmc_dataset_info"""
    return "dmc" + re.sub(r"([A-Z])", r"_\1", record.__name__).lower()


OUTPUTS = {c_name(record): record for record in RECORDS}


def to_ctypes(declared, special={}):
    """The ctypes type for "const float *obs", "int32_t shape[3]" ..."""
    words = re.sub(r"\bconst\b", " ", declared)
    words = re.sub(r"\[\d\]", "*", words).replace("*", " * ").split()
    base, stars = words[0], words.count("*")
    key = base + " " * bool(stars) + "*" * stars
    if key in special:
        return special[key]
    if key in TYPES:
        return TYPES[key]
    assert base.startswith("dmc_"), declared
    if stars == 2:
        return c.POINTER(c.c_void_p)
    return c.POINTER(OUTPUTS[base]) if base in OUTPUTS else c.c_void_p


def parameters(text, special={}):
    return [] if text.strip() == "void" else [to_ctypes(p, special) for p in text.split(",")]


def declared_functions():
    """name -> (result, *parameters) of every DMC_API declaration."""
    found = {}
    for text in API.values():
        for result, name, rest in re.findall(
            r"DMC_API\s+(?:DMC_NODISCARD\s+)?([\w\s*]+?)\b(dmc_\w+)\(([^;]*)\);", text
        ):
            found[name] = (to_ctypes(result), *parameters(rest))
    return found


def test_every_public_function_is_declared_as_in_the_headers():
    found = declared_functions()
    assert len(found) == sum(text.count("DMC_API ") for text in API.values()) > 80
    assert set(_functions.FUNCTIONS) == set(found)
    for name, signature in found.items():
        assert _functions.FUNCTIONS[name] == signature, name


def test_the_loaded_library_has_these_signatures():
    from libdmc._lib import lib

    for name, (result, *arguments) in _functions.FUNCTIONS.items():
        assert (
            getattr(lib, name).restype is result and list(getattr(lib, name).argtypes) == arguments
        )


@pytest.mark.parametrize(
    "header, name, callback",
    [
        ("aligner.h", "dmc_reward_fn", _records.REWARD_FN),
        ("aligner.h", "dmc_score_fn", _records.SCORE_FN),
        ("aligner.h", "dmc_scores_fn", _records.SCORES_FN),
        ("aligner.h", "dmc_progress_fn", _records.PROGRESS_FN),
        ("env.h", "reset", _records.RESET_FN),
        ("env.h", "step", _records.STEP_FN),
    ],
)
def test_callbacks(header, name, callback):
    result, arguments = re.search(rf"(\w+) \(\*{name}\)\(([^;]*)\);", HEADERS[header]).groups()
    assert callback._restype_ is to_ctypes(result)
    assert list(callback._argtypes_) == parameters(arguments, IN_CALLBACKS)


def test_structs_are_laid_out_as_the_compiler_does(tmp_path):
    lines, want = [], []
    for record in RECORDS:
        name = c_name(record)
        lines.append(f'printf("%zu\\n", sizeof({name}));')
        want.append(c.sizeof(record))
        for field, *_ in record._fields_:
            in_c = field.strip("_")
            lines.append(
                f'printf("%zu %zu\\n", offsetof({name}, {in_c}), sizeof((({name} *)0)->{in_c}));'
            )
            want += [getattr(record, field).offset, getattr(record, field).size]
        listed = re.search(
            rf"typedef struct {name} {{(.*?)}} {name};", "".join(HEADERS.values()), re.S
        )[1]
        declared = re.findall(r"\(\*(\w+)\)\([^)]*\);|(\w+)\s*[;,]", listed)
        assert [a or b for a, b in declared] == [field.strip("_") for field, *_ in record._fields_]
    source = tmp_path / "offsets.c"
    source.write_text(
        "#include <libdmc/libdmc.h>\n#include <stdio.h>\nint main(void)\n{\n"
        + "\n".join(lines)
        + "\n}\n"
    )
    compiler = os.environ.get("CC", "cc")
    subprocess.run(
        [compiler, "-I", ROOT / "include", source, "-o", tmp_path / "offsets"], check=True
    )
    printed = subprocess.run(
        [tmp_path / "offsets"], check=True, capture_output=True, text=True
    ).stdout
    assert list(map(int, printed.split())) == want


def test_exceptions_are_the_errors_of_status_h():
    rows = re.findall(r'X\((\w+),\s*(-?\d+),\s*"([^"]*)"\)', HEADERS["status.h"])
    assert len(rows) == HEADERS["status.h"].count("X(") >= 19
    errors = {(int(number), text) for _, number, text in rows if int(number) < 0}
    assert {(error.status, error.__doc__) for error in _check.ERRORS.values()} == errors
    assert ("STOPPED", str(_check.STOPPED)) in {(name, number) for name, number, _ in rows}


@pytest.mark.parametrize(
    "error, builtin",
    [
        (dmc.DmcRangeError, ValueError),
        (dmc.DmcCorruptError, ValueError),
        (dmc.DmcMemoryError, MemoryError),
        (dmc.DmcNotFoundError, FileNotFoundError),
        (dmc.DmcIOError, OSError),
        (dmc.DmcKeyError, KeyError),
    ],
)
def test_exceptions_are_also_builtins_and_exported(error, builtin):
    assert issubclass(error, dmc.DmcError) and issubclass(error, builtin)
    assert str(error("one sentence")) == "one sentence"
    assert {"DmcError", *(e.__name__ for e in _check.ERRORS.values())} <= set(dmc.__all__)


def test_kinds_and_field_types_are_those_of_options_h():
    def enum(prefix):
        return {
            name.lower(): int(number)
            for name, number in re.findall(rf"{prefix}_(\w+) = (\d+)", HEADERS["options.h"])
        }

    assert dmc.options.KINDS == enum("DMC_OPTIONS")
    assert {name: number for number, name in dmc.options.TYPES.items()} == enum("DMC_FIELD")


def test_version_is_that_of_version_h():
    numbers = [
        re.search(rf"DMC_VERSION_{part} (\d+)", HEADERS["version.h"])[1]
        for part in ("MAJOR", "MINOR", "PATCH")
    ]
    assert [_version.MAJOR, _version.MINOR, _version.PATCH] == list(map(int, numbers))
    assert dmc.__version__ == ".".join(numbers)
