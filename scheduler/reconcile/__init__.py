"""What a job's allocations should be, compared with what they are."""
