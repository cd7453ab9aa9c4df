"""Let an environment see the packages of the one that runs this: python benchmarks/join.py FOLDER"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path


def main(folder: str) -> None:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    theirs = Path(folder, "lib", version, "site-packages")
    ours = sysconfig.get_path("purelib")
    (theirs / "layerlr-bench.pth").write_text(f"import site; site.addsitedir({ours!r})\n")


if __name__ == "__main__":
    main(sys.argv[1])
