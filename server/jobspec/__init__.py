"""The HCL job language: evaluation and the job's schema."""
