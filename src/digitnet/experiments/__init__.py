"""Studies, transfer, the robustness bench, and the engine for many processors."""
