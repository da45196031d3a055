"""Comparisons of runs: whole benchmarks, gains over a baseline with their statistics, training a checkpoint again."""
