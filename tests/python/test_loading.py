"""Finding the library: what is loaded, and what is refused with which words."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import libdmc._lib
from libdmc import _version

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "bindings/python"


def load(package=PACKAGE, **environment):
    """Import in a fresh process: (loaded file or last line of stderr)."""
    clean = {key: value for key, value in os.environ.items() if key != "LIBDMC"}
    run = subprocess.run(
        [sys.executable, "-c", "import libdmc._lib as l; print(l.lib._name)"],
        capture_output=True,
        text=True,
        env={**clean, "PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1", **environment},
    )
    return (run.stdout if run.returncode == 0 else run.stderr.splitlines()[-1]).strip()


def compile_library(folder, text):
    (folder / "fake.c").write_text(text)
    subprocess.run(
        [
            os.environ.get("CC", "cc"),
            "-shared",
            "-fPIC",
            folder / "fake.c",
            "-o",
            folder / "fake.so",
        ],
        check=True,
    )
    return str(folder / "fake.so")


def test_the_environment_comes_first():
    loaded = libdmc._lib.lib._name
    assert load(LIBDMC=loaded) == loaded
    if given := os.environ.get("LIBDMC"):
        assert loaded == given


def test_a_missing_file_is_an_import_error():
    said = load(LIBDMC="/nowhere/libdmc.so")
    assert (
        said.startswith("ImportError: libdmc cannot be loaded: /nowhere/libdmc.so")
        and "LIBDMC" in said
    )


def test_another_version_is_refused(tmp_path):
    fake = compile_library(tmp_path, 'const char *dmc_version(void) { return "9.8.7"; }')
    said = load(LIBDMC=fake)
    ours = f"{_version.MAJOR}.{_version.MINOR}.*"
    assert said.startswith(f"ImportError: {fake} is libdmc 9.8.7, this package is for {ours}")


def test_another_library_is_refused(tmp_path):
    fake = compile_library(tmp_path, "int something_else;")
    assert load(LIBDMC=fake).startswith(f"ImportError: {fake} is not libdmc")


def test_a_library_without_a_function_is_refused(tmp_path):
    version = f"{_version.MAJOR}.{_version.MINOR}.{_version.PATCH}"
    fake = compile_library(tmp_path, f'const char *dmc_version(void) {{ return "{version}"; }}')
    assert load(LIBDMC=fake).startswith(f"ImportError: {fake} is not libdmc {version}")


def test_the_source_tree_needs_no_variable():
    built = ROOT / "build/release" / libdmc._lib.SONAME
    if not built.exists():
        pytest.skip("build/release has no library")
    assert load() == str(built)


def test_a_built_package_carries_its_library_and_version(tmp_path):
    pytest.importorskip("setuptools", minversion="61")
    built = ROOT / "build/release" / libdmc._lib.SONAME
    if not built.exists():
        pytest.skip("build/release has no library")
    subprocess.run(
        [sys.executable, "setup.py", "-q", "build_py", "-d", tmp_path],
        cwd=PACKAGE,
        check=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert {path.name for path in (tmp_path / "libdmc").iterdir()} == {
        path.name for path in (PACKAGE / "libdmc").iterdir() if path.is_file()
    } | {built.name}
    assert "include" not in (tmp_path / "libdmc/_version.py").read_text()
    assert load(package=tmp_path) == str(tmp_path / "libdmc" / built.name)
