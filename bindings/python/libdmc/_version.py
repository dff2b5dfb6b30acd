"""_version.py — which libdmc this package is for: the number of the headers beside it.

In the source tree include/libdmc/version.h says it; setup.py puts bare numbers in a built package.
"""

import re
from pathlib import Path

_HEADER = Path(__file__).resolve().parents[3] / "include" / "libdmc" / "version.h"
_NUMBERS = dict(re.findall(r"#define DMC_VERSION_(\w+) (\d+)", _HEADER.read_text()))
MAJOR, MINOR, PATCH = (int(_NUMBERS[part]) for part in ("MAJOR", "MINOR", "PATCH"))
