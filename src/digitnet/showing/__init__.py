"""Figures, the report of a run, and pages."""
