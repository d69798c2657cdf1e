"""Compare, before the first step, what has to agree: config, model, files, images."""
