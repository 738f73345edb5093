/** Readings as they are: their signs, and their boxes elsewhere. */

/** Return all signs of a reading, digits and others, in reading order. */
export const signsOf = (reading) => reading.lines.flatMap((line) => line.digits);

/** Return a reading whose boxes are moved. */
export function withBoxes(reading, moved) {
  const digitsOf = ({ digits }) => digits.map((one) => ({ ...one, box: one.box && moved(one.box) }));
  return { ...reading, lines: reading.lines.map((line) => ({ ...line, digits: digitsOf(line) })) };
}
