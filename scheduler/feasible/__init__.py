"""Which nodes a group may be placed on (spec scheduling §11)."""
