"""How long, and in how much memory, the harness makes the runs that MMSA's own loop makes.

Three parts: the same list of original runs by both, bit-equal predictions demanded; peak memory of one and of four
workers on a file of CH-SIMS's size; what the harness adds to its bare training loop. ``benchmarks/README.md`` tells
how to read the figures.
"""
