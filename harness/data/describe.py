"""The paper's Tables 1 and 2, from the definitions and, where there are some, the data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.data.cache import Features
from harness.spec import SPLITS, DatasetSpec

__all__ = ["table1", "table2"]


def table1(definitions: Iterable[DatasetSpec], features: Mapping[str, Features] | None = None) -> list[dict[str, Any]]:
    """Return the rows of Table 1, how many utterances each split of each data set has.

    Parameters
    ----------
    definitions : iterable of DatasetSpec
        The data sets, in the order of the rows.
    features : mapping, optional
        Converted features by data set name: what they hold is counted instead of what the definition says.

    Returns
    -------
    list of dict
        ``Dataset``, ``Train``, ``Valid``, ``Test``, ``Total`` (None where unknown) and ``Counted from``
        (``data <first digits of the SHA-256>`` or ``definition``).
    """
    rows = []
    for definition in definitions:
        counted = (features or {}).get(definition.name)
        counts: dict[str, int]
        if counted is not None:
            counts = {name: len(split) for name, split in counted.splits.items()}
            origin = f"data {counted.sha256[:12]}"
        else:
            counts = {str(name): count for name, count in (definition.samples or {}).items()}
            origin = "definition"
        row: dict[str, Any] = {"Dataset": definition.title}
        row |= {split.capitalize(): counts.get(split) for split in SPLITS}
        row |= {"Total": sum(counts.values()) if len(counts) == len(SPLITS) else None, "Counted from": origin}
        rows.append(row)
    return rows


def table2(definitions: Iterable[DatasetSpec]) -> list[dict[str, Any]]:
    """Return the rows of Table 2, the named sub-features of the non-verbal modalities.

    Returns
    -------
    list of dict
        ``Dataset``, ``Modality``, ``Fine-grained features`` (names with their widths in column order; empty where
        a modality is not split), ``Groups`` (their number), ``Dimension`` and ``Tool``.
    """
    rows: list[dict[str, Any]] = []
    for definition in definitions:
        for modality in ("audio", "vision"):
            groups = definition.groups.get(modality, {})
            rows.append(
                {
                    "Dataset": definition.title,
                    "Modality": modality.capitalize(),
                    "Fine-grained features": ", ".join(f"{name} ({width})" for name, width in groups.items()),
                    "Groups": len(groups),
                    "Dimension": definition.widths[modality],
                    "Tool": definition.tools.get(modality, ""),
                }
            )
    return rows
