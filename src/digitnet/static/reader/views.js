/** Views of bytes: numbers of more than one byte in them. */

export function viewOf(bytes) {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
