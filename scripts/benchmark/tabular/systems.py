"""Which systems there are, where each runs, and in which version."""

import hashlib
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ehrsynth.registry import known
from tabular.sources import SOURCES

ROOT = Path(__file__).parents[3]
ADAPTERS = Path(__file__).parent / "adapters"
# What a synthetic table of ours depends on.
SOURCE_CODE = (
    "conditions.py",
    "encoding",
    "expressions",
    "generators",
    "randomness.py",
    "schema",
    "selection",
    "tables",
)
FEW_SEEDS, MANY_SEEDS = (1, 2, 3), (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class System:
    """A generator: its adapter and the setting handed to it, its environment (or ours), its package."""

    name: str
    title: str
    adapter: str
    setting: str = ""
    environment: str = ""
    package: str = ""
    timed: bool = False

    def python(self, environments: Path | None) -> Path | None:
        """The interpreter of its environment; None when there is none."""
        if not self.environment:
            return Path(sys.executable)
        path = None if environments is None else environments / self.environment / "bin" / "python"
        return path if path is not None and path.exists() else None

    def seeds(self, table: str) -> tuple[int, ...]:
        """Which splits it runs on: five of the small tables; three where it is timed, one elsewhere."""
        if not SOURCES[table].larger:
            return MANY_SEEDS
        return FEW_SEEDS if self.timed else FEW_SEEDS[:1]


OURS = "autoregressive"
RIVAL = "tabularargn"
CALIBRATION = ("sketch_b", "sketch_c")
_ALL = (
    System(OURS, "ehrsynth autoregressive", "ours", OURS, timed=True),
    System(RIVAL, "TabularARGN", "tabularargn", "", "tabularargn", "mostlyai-engine", timed=True),
    System("auto", "ehrsynth auto", "ours", "auto"),
    System("cart", "ehrsynth cart", "ours", "cart"),
    System("diffusion", "ehrsynth diffusion", "ours", "diffusion"),
    System("sdv_copula", "SDV Gaussian copula", "sdv_synthesizers", "copula", "", "sdv"),
    System("sdv_tvae", "SDV TVAE", "sdv_synthesizers", "tvae", "", "sdv"),
    System("sdv_ctgan", "SDV CTGAN", "sdv_synthesizers", "ctgan", "", "sdv"),
    System("arfpy", "arfpy", "arf", "", "arfpy", "arfpy"),
    System("synthcity_ddpm", "synthcity ddpm", "synthcity_ddpm", "", "synthcity", "synthcity"),
    System("sketch_b", "issue's sketch B", "sketches", "b", "", "scikit-learn"),
    System("sketch_c", "issue's sketch C", "sketches", "c", "", "scikit-learn"),
)
PEERS = tuple(s.name for s in _ALL if s.adapter not in {"ours", "sketches"})


def systems() -> dict[str, System]:
    """All systems, without those of ours that this version does not have."""
    have = known("generator")
    return {s.name: s for s in _ALL if s.adapter != "ours" or s.setting in have}


@cache
def version(system: System, environments: Path | None) -> str:
    """What a result depends on beside the split: the packages' versions, of ours the code's hash."""
    if system.adapter == "ours":
        return f"ehrsynth {own_hash()}"
    python = system.python(environments)
    if python is None:
        return "not installed"
    asked = f"from importlib.metadata import version; print(version({system.package!r}))"
    ran = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=False)
    adapter = hashlib.sha256((ADAPTERS / f"{system.adapter}.py").read_bytes()).hexdigest()[:6]
    return f"{system.package} {ran.stdout.strip() or 'of an unknown version'}, adapter {adapter}"


@cache
def own_hash() -> str:
    """Ten digits of the hash of every file of ours that generates."""
    package, found = ROOT / "ehrsynth", hashlib.sha256()
    for part in SOURCE_CODE:
        path = package / part
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path] * path.exists():
            found.update(str(file.relative_to(package)).encode() + file.read_bytes())
    return found.hexdigest()[:10]
