"""Parse plugin entries; place plugins in residual blocks, in modules, on outputs."""
