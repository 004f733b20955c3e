"""What eval/benchmark.py measures, a module each."""
