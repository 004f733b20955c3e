"""What eval/cookbook.py consists of: what is compared, its runs, their figures and tables."""
