"""What of a suite is done, failed, running or missing: read from the store, whoever runs it."""

from __future__ import annotations

from typing import Any

from harness.errors import StoreError
from harness.spec import RunSpec
from harness.workflow.planning import Planned

__all__ = ["outdated", "run_row", "status_rows"]


def status_rows(planned: Planned) -> list[dict[str, Any]]:
    """Return one row a run: what it is, whether it is done, failed, running or missing, and what is known of it.

    ``reason`` says why a run failed; ``where`` and ``progress`` who works on a running one, and how far it is.
    """
    held = {lease.run_id: lease for lease in planned.store.leases.all()}
    rows = []
    for run in planned.plan.runs:
        status, reason, where, progress = planned.store.status(run), "", "", ""
        lease = held.get(run.run_id)
        if status == "failed":
            try:
                failure = planned.store.failure(run)
                reason = f"{failure.kind}: {failure.reason}" if failure else ""
            except StoreError as error:
                reason = error.what
        if lease is not None and status != "done":
            about = lease.about
            said = about.get("progress") or {}
            where = f"{about.get('host', '')} {about.get('device', '')} ({about.get('engine', '')})".strip()
            progress = f"epoch {said['epoch']}" if "epoch" in said else "starting"
        shown = "running" if where else status
        rows.append({**run_row(run), "status": shown, "reason": reason, "where": where, "progress": progress})
    return rows


def outdated(planned: Planned) -> int:
    """Count runs without a record for which one made from other sources, data or hyper-parameters exists."""
    store = planned.store
    return sum(count > 0 for count in store.relatives(r for r in planned.plan.runs if store.status(r) == "missing"))


def run_row(run: RunSpec) -> dict[str, Any]:
    """Return what a listing says of every run."""
    return {
        "dataset": run.data.dataset,
        "setting": run.data.setting,
        "task": run.task,
        "model": run.model,
        "variant": run.variant,
        "seed": run.seed,
        "run_id": run.run_id,
    }
