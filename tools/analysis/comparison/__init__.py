"""Several configs over several seeds: the runs, their statistics, the report."""
