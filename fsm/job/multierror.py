"""Lists of errors and warnings as one text (spec job-model §4.2, §4.4)."""

from __future__ import annotations

from collections.abc import Sequence


def multierror(errors: Sequence[str]) -> str:
    """`1 error occurred:` and a bullet each; ends in two newlines."""
    head = "1 error occurred:" if len(errors) == 1 else f"{len(errors)} errors occurred:"
    return head + "".join(f"\n\t* {error}" for error in errors) + "\n\n"


def multiwarning(warnings: Sequence[str]) -> str:
    """`1 warning:` and a bullet each, trimmed, without a newline at the end; empty for none."""
    if not warnings:
        return ""
    head = "1 warning:" if len(warnings) == 1 else f"{len(warnings)} warnings:"
    return head + "\n\n" + "\n".join(f"* {warning.strip()}" for warning in warnings)
