"""Pure scheduling decisions: (view, evaluation) → plan."""
