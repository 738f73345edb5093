/** Pictures from elsewhere: a file, the clipboard, something dropped, the camera. */

import { byId } from "./elements.js";

/** @param onPicture is called with a Blob */
export function listen(onPicture, onProblem) {
  byId("file").onchange = ({ target }) => {
    if (target.files[0]) onPicture(target.files[0]);
    target.value = "";
  };
  document.onpaste = ({ clipboardData }) => {
    const file = [...(clipboardData?.files ?? [])][0];
    if (file) onPicture(file);
  };
  listenForDrops(onPicture, onProblem);
  offerCamera(onPicture, onProblem);
}

function listenForDrops(onPicture, onProblem) {
  const pad = byId("pad");
  const show = (event, over) => {
    event.preventDefault();
    pad.classList.toggle("dropping", over);
  };
  document.ondragenter = document.ondragover = (event) => show(event, true);
  document.ondragleave = (event) => !event.relatedTarget && show(event, false);
  document.ondrop = (event) => {
    show(event, false);
    const file = event.dataTransfer.files[0];
    if (file) onPicture(file);
    else onProblem("What was dropped is no file. Drop a picture, or choose one.");
  };
}

async function offerCamera(onPicture, onProblem) {
  const devices = (await navigator.mediaDevices?.enumerateDevices?.().catch(() => [])) ?? [];
  if (!devices.some(({ kind }) => kind === "videoinput")) return;
  const [button, finder, video] = ["camera", "viewfinder", "video"].map(byId);
  let stream = null;
  const stop = () => stream?.getTracks().forEach((track) => track.stop());
  const close = () => {
    stop();
    stream = video.srcObject = null;
    finder.hidden = true;
    button.disabled = false;
    button.focus();
  };
  button.hidden = false;
  button.onclick = async () => {
    try {
      button.disabled = true;
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      video.srcObject = stream;
      finder.hidden = false;
      await video.play();
      byId("shoot").focus();
    } catch {
      close();
      onProblem("The camera cannot be used. Allow it in the browser, or choose a photo.");
    }
  };
  byId("no-camera").onclick = close;
  byId("shoot").onclick = async () => {
    const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    canvas.getContext("2d").drawImage(video, 0, 0);
    const picture = await canvas.convertToBlob({ type: "image/png" });
    close();
    onPicture(picture);
  };
}
