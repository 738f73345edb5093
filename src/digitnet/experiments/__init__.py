"""Studies, transfer, the benches, and the engine for many processors."""
