"""Which device the next run gets, and who may sit beside whom: no GPU is needed to decide it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Need", "Placement"]

_ROUNDING = 1e-9  # ten tenths of a GPU are one


@dataclass(frozen=True)
class Need:
    """What one run takes of its device.

    Attributes
    ----------
    share : float
        Of a GPU, up to 1; means nothing on a CPU.
    memory_gib : float
        Main memory; 0 where nobody knows.
    neighbours : int or None
        How many others may run beside it on its device; None for any number. A run that ran out of memory comes back
        with half as many as it had.
    """

    share: float = 1.0
    memory_gib: float = 0.0
    neighbours: int | None = None


@dataclass
class Placement:
    """The devices of this machine, and what runs on each.

    Parameters
    ----------
    devices : sequence of str
        As torch names them: ``cpu``, or ``cuda:0``, ``cuda:1``, ...
    memory_gib : float
        Main memory that the runs may take together.
    """

    devices: Sequence[str]
    memory_gib: float = float("inf")
    _running: dict[str, tuple[str, Need]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.devices:
            raise ValueError("no device")

    def where(self, need: Need) -> str | None:
        """Return the device that a run would get, or None where it has to wait.

        Of the devices that it fits on, the one with the smallest share taken; where nothing runs at all, it fits.
        """
        taken = sum(other.memory_gib for _, other in self._running.values())
        if self._running and taken + need.memory_gib > self.memory_gib:
            return None
        return min((device for device in self.devices if self._fits(device, need)), key=self._load, default=None)

    def put(self, run_id: str, device: str, need: Need) -> None:
        """Count a run on a device."""
        self._running[run_id] = (device, need)

    def leave(self, run_id: str) -> None:
        """Take a run off its device."""
        self._running.pop(run_id, None)

    def beside(self, run_id: str) -> int:
        """Return how many others run on the device of a run."""
        device, _ = self._running[run_id]
        return sum(other == device for other, _ in self._running.values()) - 1

    def _on(self, device: str) -> Mapping[str, Need]:
        return {run_id: need for run_id, (place, need) in self._running.items() if place == device}

    def _load(self, device: str) -> tuple[float, int]:
        there = self._on(device)
        return sum(need.share for need in there.values()), len(there)

    def _fits(self, device: str, need: Need) -> bool:
        there = self._on(device)
        if any(one.neighbours is not None and one.neighbours < len(there) for one in there.values()):
            return False
        if need.neighbours is not None and need.neighbours < len(there):
            return False
        is_gpu = device.startswith("cuda")
        return not there or not is_gpu or self._load(device)[0] + need.share <= 1.0 + _ROUNDING
