"""The run store: records and failures as folders, published whole or not at all.

The only code that knows paths below the runs folder. Layout::

    runs/<dataset>/<model>/<variant>-<task>-s<seed>-<run_id>/          a record (holds record.json)
    runs/<dataset>/<model>/<variant>-<task>-s<seed>-<run_id>.failed/   a failure (holds failure.json)
    runs/.tmp/<owner>.<random>/                                        a draft, private to one process
    runs/.leases/<run_id>.json                                         who works on a run, and that he lives
    runs/.checkpoints/<run_id>.pt                                      the state of a long run at an epoch's end

A draft becomes a record by one rename within one file system, after its files and folders were flushed to disk. A
record and a failure never share a path: a record cannot be overwritten by a failure, two processes that publish the
same run need no lock, and where both exist the record counts. The name of a draft says who owns it, so that there is
no moment in which a draft exists without an owner. Drafts of dead processes of this host are swept by
`RunStore.prepare`, and so are those from before its latest boot once they are a week old; those of other hosts (or of
another PID namespace) are left alone, because nobody here can tell whether their owners live. `harness.store.owners`
has the rule.

``record.json`` holds the SHA-256 of the other files of a record; each is checked whenever it is read.
"""

from __future__ import annotations

from harness.store.checkpoints import Checkpoints
from harness.store.disk import store_error, write_json
from harness.store.leases import Lease, Leases
from harness.store.record import LOG_FILE, Failure, FailureKind, Record
from harness.store.runs import RunStore, Status

__all__ = [
    "LOG_FILE",
    "Checkpoints",
    "Failure",
    "FailureKind",
    "Lease",
    "Leases",
    "Record",
    "RunStore",
    "Status",
    "store_error",
    "write_json",
]
