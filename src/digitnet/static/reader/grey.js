/** From pixels of colours and opacity to grey, as `digitnet.reading.grey` does it. */

import { grey as C } from "./constants.js";
import { argmax } from "./rounding.js";
import { boxBlur, nearest, reduce } from "./resize.js";

/** Return a grey picture, one channel, from one of four: red, green, blue, opacity. */
export function toGrey(picture, factor = 1) {
  const clear = isClear(picture.data);
  const small = factor > 1 ? reduced(picture, factor, clear) : picture;
  if (!clear) return bestChannel(small);
  const onWhite = bestChannel(over(small, 255));
  if (span(onWhite.data) >= C.BLANK_RANGE) return onWhite;
  const onBlack = bestChannel(over(small, 0));
  return span(onBlack.data) < C.BLANK_RANGE ? onWhite : onBlack;
}

function isClear(data) {
  for (let at = 3; at < data.length; at += 4) if (data[at] !== 255) return true;
  return false;
}

function reduced(picture, factor, clear) {
  if (!clear) return reduce(picture, factor);
  const weighted = mapped(picture, (colour, opacity) => over255(colour * opacity));
  return mapped(reduce(weighted, factor), (colour, opacity) =>
    opacity === 0 ? colour : Math.min(255, Math.trunc((255 * colour) / opacity)),
  );
}

function over(picture, paper) {
  return mapped(picture, (colour, opacity) => over255(paper * (255 - opacity) + colour * opacity));
}

function mapped(picture, made) {
  const data = Uint8Array.from(picture.data);
  for (let at = 0; at < data.length; at += 4) {
    for (let channel = at; channel < at + 3; channel++) {
      data[channel] = made(data[channel], data[at + 3]);
    }
  }
  return { ...picture, data };
}

function over255(product) {
  const more = product + 128;
  return ((more >> 8) + more) >> 8;
}

function bestChannel(picture) {
  const small = smaller(picture);
  const luma = lumaOf(small);
  const channels = [0, 1, 2].map((channel) => channelOf(small, channel));
  // The local contrasts of two channels differ by at most the span of their difference.
  const spans = channels.map((channel) => span(differences(channel, luma)));
  if (Math.max(...spans) >= C.MIN_CONTRAST * (1 - 1 / C.CLEARLY_MORE)) {
    const contrasts = channels.map((channel) => localContrast(channel, small));
    const least = Math.max(C.MIN_CONTRAST, C.CLEARLY_MORE * localContrast(luma, small));
    const best = argmax(contrasts);
    if (contrasts[best] >= least) return grey(picture, channelOf(picture, best));
  }
  return grey(picture, lumaOf(picture));
}

function grey({ width, height }, data) {
  return { data, width, height, channels: 1 };
}

function smaller(picture) {
  let longest = Math.max(picture.width, picture.height);
  const stride = Math.floor(longest / (4 * C.JUDGED_SIDE)) + 1;
  let small = picture;
  if (stride > 1) {
    const [width, height] = [picture.width, picture.height].map((side) =>
      Math.max(Math.floor(side / stride), 1),
    );
    small = nearest(picture, width, height);
    longest = Math.max(width, height);
  }
  const factor = Math.ceil(longest / C.JUDGED_SIDE);
  return factor > 1 ? reduce(small, factor) : small;
}

function lumaOf({ data }) {
  const luma = new Uint8Array(data.length / 4);
  for (let at = 0, pixel = 0; pixel < luma.length; at += 4, pixel++) {
    luma[pixel] = (data[at] * 19595 + data[at + 1] * 38470 + data[at + 2] * 7471 + 0x8000) >> 16;
  }
  return luma;
}

function channelOf({ data }, channel) {
  const bytes = new Uint8Array(data.length / 4);
  for (let pixel = 0; pixel < bytes.length; pixel++) bytes[pixel] = data[4 * pixel + channel];
  return bytes;
}

function differences(bytes, others) {
  return Int16Array.from(bytes, (value, pixel) => value - others[pixel]);
}

function localContrast(bytes, { width, height }) {
  const blurred = boxBlur(bytes, width, height, Math.floor(C.JUDGED_SIDE / 16));
  return bytes.reduce((most, value, pixel) => Math.max(most, Math.abs(value - blurred[pixel])), 0);
}

function span(values) {
  let [low, high] = [values[0], values[0]];
  for (const value of values) {
    if (value < low) low = value;
    else if (value > high) high = value;
  }
  return high - low;
}
