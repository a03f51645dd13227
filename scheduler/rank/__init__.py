"""Which of the feasible nodes is the best (spec scheduling §12)."""
