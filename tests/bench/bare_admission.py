"""An agent that stores jobs as they are decoded and completed, unmutated and unchecked: what admission is measured against."""

from __future__ import annotations

from typing import Any

from yurt.fsm.job.admit import Admitted, Limits
from yurt.fsm.job.canonicalize import canonicalize
from yurt.fsm.store.reader import Reader
from yurt.server.cli.main import main
from yurt.server.http.routes import jobs_write


def bare(body: dict[str, Any], *, reader: Reader, namespace: str, region: str, limits: Limits) -> Admitted:
    """`admit` without rules."""
    return Admitted(canonicalize(body, namespace=namespace, region=region, priority=limits.priority_default), ())


if __name__ == "__main__":
    jobs_write.admit = bare
    main()
