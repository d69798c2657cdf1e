"""Plugin entries, and how plugins get into residual blocks, modules and outputs."""
