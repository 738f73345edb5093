/** Small pictures, cleaned: what `digitnet.reading.cleaning` does. */

import { cleaning as C } from "./constants.js";
import { changed, closed, greysOfEdge, negative } from "./light.js";
import { argmax, clip, median, sum, times } from "./rounding.js";
import { pictureOf } from "./views.js";

const WEIGHTS = [1, 2, 1, 2, 4, 2, 1, 2, 1];

/** Return how a picture would look cleaned and softer; null if it is clean. */
export function cleaned(picture) {
  const { data } = picture;
  const edge = greysOfEdge(picture);
  let clean;
  if (new Set(data).size === 2) {
    const ground = argmax(edge);
    clean = closed(changed(picture, (grey) => Math.abs(grey - ground)), C.NARROW);
  } else if (Math.max(...edge) < C.COMMON * sum(edge)) {
    const [low, high] = [Math.min(...data), Math.max(...data)];
    if (sum(data) - low * data.length > C.DARK * (high - low) * data.length) return null;
    const ground = softened(softened(negative(closed(negative(picture), C.NARROW)))).data;
    clean = changed(picture, (grey, at) => Math.max(grey - ground[at], 0));
  } else {
    let specks = 0;
    clean = around(picture, (near) => {
      const [grey] = near.splice(4, 1);
      const usual = Math.round(median(near));
      if (grey % 255 || Math.abs(grey - usual) <= C.SPECK) return grey;
      specks++;
      return usual;
    });
    if (specks < C.FEW * data.length) return null;
  }
  return softened(clean);
}

const softened = (page) =>
  around(page, (near) => near.reduce((all, grey, k) => all + grey * WEIGHTS[k], 8) >> 4);

function around({ data, width, height }, make) {
  const at = (x, y) => data[clip(y, 0, height - 1) * width + clip(x, 0, width - 1)];
  return pictureOf(width, height, (x, y) =>
    make(times(9, (k) => at(x + (k % 3) - 1, y + Math.floor(k / 3) - 1))),
  );
}
