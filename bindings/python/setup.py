"""setup.py — a wheel of the package with the library inside, after make:

pip wheel --no-build-isolation --no-deps bindings/python
"""

import sys
from pathlib import Path
from runpy import run_path

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

try:
    from wheel.bdist_wheel import bdist_wheel
except ImportError:
    bdist_wheel = None

HERE = Path(__file__).resolve().parent
BUILD = HERE.parents[1] / "build"
SCRATCH = BUILD / "python"  # what setuptools would leave beside the sources
VERSION = tuple(
    run_path(str(HERE / "libdmc" / "_version.py"))[part] for part in ("MAJOR", "MINOR", "PATCH")
)
SONAME = f"libdmc.so.{VERSION[0]}"


class BuildWithLibrary(build_py):
    """Beside the Python files: the library, and the version as numbers."""

    def run(self):
        super().run()
        library = BUILD / "release" / SONAME
        if not library.exists():
            sys.exit(f"{library} is not there: run make first")
        target = Path(self.build_lib) / "libdmc"
        self.copy_file(str(library), str(target / SONAME))
        (target / "_version.py").write_text(
            '"""_version.py — which libdmc this package is for."""\n'
            "MAJOR, MINOR, PATCH = {}, {}, {}\n".format(*VERSION)
        )


class BinaryDistribution(Distribution):
    """Not the same on every machine, though Python compiles nothing."""

    def has_ext_modules(self):
        return True


commands = {"build_py": BuildWithLibrary}
if bdist_wheel:

    class AnyPythonWheel(bdist_wheel):
        """One machine, but any Python 3: ctypes does not care."""

        def get_tag(self):
            return "py3", "none", super().get_tag()[2]

    commands["bdist_wheel"] = AnyPythonWheel

SCRATCH.mkdir(parents=True, exist_ok=True)
setup(
    version=".".join(map(str, VERSION)),
    cmdclass=commands,
    distclass=BinaryDistribution,
    options={"build": {"build_base": str(SCRATCH)}, "egg_info": {"egg_base": str(SCRATCH)}},
)
