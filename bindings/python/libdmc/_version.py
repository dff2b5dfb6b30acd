"""_version.py — which libdmc this package is for: the number of the headers beside it.

In the source tree include/libdmc/version.h says it; setup.py replaces this file by the bare numbers.
"""
import re
from pathlib import Path

_HEADER = Path(__file__).resolve().parents[3] / "include" / "libdmc" / "version.h"
MAJOR, MINOR, PATCH = (int(re.search(rf"#define DMC_VERSION_{part} (\d+)", _HEADER.read_text())[1])
                       for part in ("MAJOR", "MINOR", "PATCH"))
