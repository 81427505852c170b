"""Benchmarks: ratios against peers in one run; results go to `bench/results`, which git ignores."""
