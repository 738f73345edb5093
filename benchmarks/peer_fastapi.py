"""A service as tutorials write it: FastAPI and ONNX Runtime, forty lines around the same engine.

No queue, no limit, no batch. ``--threads`` makes the handler a plain function, which FastAPI runs
in its pool of threads; by default it is a coroutine that computes where it is, as most tutorials
have it. It answers at the path of digitnet's own service, so that one load generator serves both.
"""

import argparse
from typing import Any

import uvicorn
from fastapi import FastAPI, File, UploadFile

from digitnet import Recognizer

app = FastAPI()
recognizer = Recognizer(threads=1)


def answer(content: bytes) -> dict[str, Any]:
    """Return what a tutorial returns."""
    prediction = recognizer.predict(content)
    return {
        "digit": prediction.digit,
        "confidence": prediction.confidence,
        "probabilities": [float(p) for p in prediction.probabilities],
    }


def main() -> None:
    """Serve until somebody stops it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", action="store_true")
    args = parser.parse_args()

    async def waiting(file: UploadFile = File(...)) -> dict[str, Any]:  # noqa: B008
        return answer(await file.read())

    def pooled(file: UploadFile = File(...)) -> dict[str, Any]:  # noqa: B008
        return answer(file.file.read())

    app.post("/v1/predict")(pooled if args.threads else waiting)
    uvicorn.run(app, host="127.0.0.1", port=args.port, log_level="error")


if __name__ == "__main__":
    main()
