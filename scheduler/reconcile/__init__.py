"""The reconcilers, which compare a job's desired allocations with the actual ones."""
