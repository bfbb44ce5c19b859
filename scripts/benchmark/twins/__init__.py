"""The benchmarks of the twins: each writes a report below reports/twins."""
