"""The network: its settings, the canonical image, the layers, the recipes, the export."""
