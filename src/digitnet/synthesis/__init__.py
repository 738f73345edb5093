"""Whatever draws: pens, styles, non-digits, faults, scenes and photographs of them, corruptions."""
