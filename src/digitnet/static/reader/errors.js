/** What the reader refuses, in sentences for people: `InputError`, as Python's. */

export class InputError extends Error {
  constructor(message) {
    super(message);
    this.name = "InputError";
  }
}
