"""A seeded workload, a nemesis that breaks every process, and a checker that proves from the log what came of it."""
