// Written by tools/reader_constants.py from Python; do not edit.

export const pictures = {
  MAX_PIXELS: 50000000, MAX_SIDE: 2048,
};

export const grey = {
  CLEARLY_MORE: 2.0, MIN_CONTRAST: 32, JUDGED_SIDE: 128, BLANK_RANGE: 16,
  DEPTHS: [8, 10, 12, 14, 16],
};

export const modelFile = {
  LEAST_PAGE: 32, FORMAT: "digitnet", FORMAT_VERSION: 2,
};

export const finding = {
  PAGE_AREA: 36864, LONGEST: 448, MOST_AREA: 147456, ENLARGED: 5.0, TINY: 22.0, CLEAR: 40.0,
  MOST_PARTS: 48, CROWD: 56, LOOKS: 2, SMALL: 40, ROOM: 0.1, EVEN: 0.3, UNSURE: 0.3, CLOSER: 2.0,
  MARGIN: 1.0, BEYOND: 0.25, ONE_SIGN: 0.3, CLOSER_BY: 1.2, REACH: 1.5, SMALLER: 0.5, GAP: 3.0,
  CLEAREST: 12.0, UNCLEAR: 1.0, CLEARLY: 4.0, DOUBTLESS: 6.0,
};

export const cleaning = {
  COMMON: 0.15, DARK: 0.58, NARROW: 5, SPECK: 70, FEW: 0.03,
};

export const light = {
  EVEN: 0.8, DARKEST: 0.1, WIDE: 15, NARROW: 15, PAPER: 210.0, LIGHTEST: 1.2, APART: 128,
  NARROWEST: 0.125, GROUND: 0.7, ROUGH: 16,
};

export const strokes = {
  SIDE: 100.0, PEN: 10.0, MARGIN: 2.0, USUAL_PRESSURE: 0.5, THINNEST: 0.5, STEP: 4.0,
  SMALLEST: 1e-300, PEN_OF_SIGN: 0.1, PAPER: 0.5, LEAST_SIGN: 48.0, LONGEST_WAY: 2000000.0,
  MOST_STROKES: 0.75, FLAT: 0.05, FINEST: 1.5, BROADEST: 60.0, UNSURE: 0.95, PLAINLY_ONE: 3.0,
};

export const lines = {
  STEP: 0.55, FAR_STEP: 0.8, STEEPEST: 0.4, TRIED: 81, LEVEL: 8.0, OWN_SLOPE: 0.12, LONG: 4.0,
  FLAT: 0.6, OVERLAP: 0.35,
};

export const writing = {
  LEFT_OUT: -1, DOUBTFUL: 0.15, SURE: 0.55, LEAST_SHARE: 0.15, WITHIN: 0.3,
  LIKENESS: [2.2, -0.287, -0.09], COMPANY: 0.35, AT_MOST: 5.0, FAINTEST: 0.05, PLAINLY: 0.5,
  AS_LARGE: 0.4, MIDDLE: 0.8, WITNESSES: 3, PLAIN: 0.95, TINY: 1e-06, ROUNDING: 1e-09,
};

export const lineStrips = {
  HEIGHT: 32, LEAST_WIDTH: 16, MOST_WIDTH: 512, ABOVE: 0.12, BESIDE: 1.0, FLAT: 0.5, LEVEL: 0.5,
  STEEPEST: 0.5,
};

export const lineTexts = {
  LIKELY: 0.5, SIGNS: "0123456789?", BLANK: 11, BEAMS: 8, LEAST: -6.0, EMPTY: -0.0001, APART: 0.12,
  TOUCHING: -0.04, SUREST: -7.0, EQUAL: 1e-09,
};

export const lineReading = {
  INK_SIDE: 160, BY_COLUMNS: 0.828, BY_SIGNS: 0.55, WHERE_CLOSE: -0.384, MISSED: -4.0,
  DOUBTS: [1.3675, 0.1031, 0.0091, 0.001], NEVER: -60.0, PAPER: 0.35,
};

export const looks = {
  DOUBTED: 0.7, LOOKS: [0.6, 0.8, 1.25], MOST_LINES: 3, ALL: 2.6, PLAIN: 0.95, FAMILIAR: 4.0,
  ENOUGH: 3, REFUSED: 0.3,
};

export const turning = {
  WELL: 0.8, VERY_WELL: 0.97, LIKELIER: 6.0, LEFT: 0.8, FEWEST: 3, MANY: 20, MANY_WELL: 0.94,
};

export const reader = {
  AMBIGUOUS: 0.5, MAX_INK_SIDE: 1024, FAINTEST: 0.00196078431372549,
};

export const explanation = {
  PATCH: 5, STRIDE: 2, NEIGHBOURS: 6,
};

export const lessons = {
  MOST_IMAGES: 256, HOW_TAUGHT: "last layer, in the page",
};
