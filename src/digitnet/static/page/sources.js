/** Pictures from elsewhere: a file, the clipboard, something dropped, the camera. */

import { byId } from "./elements.js";

/** @param onPicture is called with a Blob */
export function listen(onPicture, onProblem) {
  byId("file").addEventListener("change", ({ target }) => {
    if (target.files[0]) onPicture(target.files[0]);
    target.value = "";
  });
  document.addEventListener("paste", ({ clipboardData }) => {
    const file = [...(clipboardData?.files ?? [])][0];
    if (file) onPicture(file);
  });
  listenForDrops(onPicture, onProblem);
  offerCamera(onPicture, onProblem);
}

function listenForDrops(onPicture, onProblem) {
  const pad = byId("pad");
  const show = (event, over) => {
    event.preventDefault();
    pad.classList.toggle("dropping", over);
  };
  for (const name of ["dragenter", "dragover"]) document.addEventListener(name, (event) => show(event, true));
  document.addEventListener("dragleave", (event) => !event.relatedTarget && show(event, false));
  document.addEventListener("drop", (event) => {
    show(event, false);
    const file = event.dataTransfer.files[0];
    if (file) onPicture(file);
    else onProblem("What was dropped is no file. Drop a picture, or choose one.");
  });
}

async function offerCamera(onPicture, onProblem) {
  const devices = (await navigator.mediaDevices?.enumerateDevices?.().catch(() => [])) ?? [];
  if (!devices.some(({ kind }) => kind === "videoinput")) return;
  const [button, finder, video] = ["camera", "viewfinder", "video"].map(byId);
  let stream = null;
  const close = () => {
    stream?.getTracks().forEach((track) => track.stop());
    stream = video.srcObject = null;
    finder.hidden = true;
    button.focus();
  };
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      stream?.getTracks().forEach((track) => track.stop());
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      video.srcObject = stream;
      finder.hidden = false;
      await video.play();
      byId("shoot").focus();
    } catch {
      close();
      onProblem("The camera cannot be used. Allow it in the browser, or choose a photo.");
    }
  });
  byId("no-camera").onclick = close;
  byId("shoot").addEventListener("click", async () => {
    const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    canvas.getContext("2d").drawImage(video, 0, 0);
    const picture = await canvas.convertToBlob({ type: "image/png" });
    close();
    onPicture(picture);
  });
}
