"""Public models of the field behind this project's window and forecast, for ``benchmarks.compare``."""
