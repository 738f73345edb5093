"""Whatever draws: pens, styles, drawings of no digit, faults, pages, light, camera, corruptions."""
