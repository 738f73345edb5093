# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Reading numbers in your program
#
# For developers who want digits out of pictures and have no wish to train anything: read, know when
# not to believe, say what you know about the number, read many pictures, and read from another
# program over HTTP. How the networks behind it learn is told in
# [Reading handwritten digits](digit_recognition.ipynb).
#
# `pip install .` in digitnet's folder is enough to read; there is no PyTorch in it. (This notebook
# also shows pictures, for which it uses the extra `notebook`.)

# %%
import io
import json
import subprocess
import sys
import time

import numpy as np
import requests
from PIL import Image, ImageDraw

import digitnet
from digitnet.showing.notebook_pictures import described

recognizer = digitnet.Recognizer()
print(recognizer)

# %% [markdown]
# Loading the model takes a tenth of a second, so do it once. A `Recognizer` may be used by several
# threads at a time.
#
# ## Something to read
#
# You will have photographs and scans. Here we make our own pages, from digits of MNIST's test part,
# of which digitnet brings a sample along: one row of digits on each, dark on light.

# %%
sample = digitnet.load_dataset("sample")
digits = [sample.test_images[sample.test_labels == digit] for digit in range(10)]

pages = {}
for text in ("7", "2048", "90210", "79927398713"):
    row = np.hstack([digits[int(sign)][place] for place, sign in enumerate(text)])
    ink = Image.fromarray(row).resize((2 * row.shape[1], 2 * row.shape[0]))
    pages[text] = Image.new("L", (ink.width + 160, ink.height + 120), 225)
    pages[text].paste(40, (80, 60), ink)

file = io.BytesIO()
pages["90210"].save(file, format="png")
described(file.getvalue(), "A grey page with the handwritten number 90210 in the middle.")

# %% [markdown]
# ## Read
#
# `read` returns all digits in a picture, line by line. It takes a path, bytes, an open file, a
# Pillow image, an array or a data URL. `confidence` is the probability that the *whole* text is
# right; each digit has its own, and a box in pixels of the picture.

# %%
reading = recognizer.read(file.getvalue())

print("text       ", reading.text)
print("confidence ", f"{reading.confidence:.1%}")
for digit in reading.lines[0].digits:
    print(f"{digit.label}  {digit.confidence:6.1%}  {digit.box}")

# %%
marked = pages["90210"].convert("RGB")
for digit in reading.lines[0].digits:
    ImageDraw.Draw(marked).rectangle(tuple(digit.box), outline="#0069a6", width=2)

file = io.BytesIO()
marked.save(file, format="png")
described(file.getvalue(), "The same page with a blue box round each of the five digits.")

# %% [markdown]
# Where you know that there is one digit, ask for one: `predict` returns it with its ten
# probabilities, and says when there is another beside it.

# %%
for text in ("7", "2048"):
    answer = recognizer.predict(pages[text])
    print(f"{text:5} → {answer.digit}, {answer.confidence:.1%}, reason: {answer.reason}")

# %% [markdown]
# ## Refuse
#
# Not every picture holds a number, and a program must know when not to believe. A blank page has an
# empty text and a `reason`. A scribble is a sign that is no digit, `?`, or looks a little like one;
# so say how sure you must be: `min_confidence`. Below it the text is empty, and `refusal` says why
# in words.

# %%
blank = Image.new("L", (300, 200), 225)
scribble = blank.copy()
zigzag = [(60, 60), (200, 140), (90, 150), (220, 60), (70, 100), (210, 120)]
ImageDraw.Draw(scribble).line(zigzag, fill=40, width=5)

for name, page in {"blank": blank, "scribble": scribble, "2048": pages["2048"]}.items():
    for least in (0.0, 0.9):
        got = recognizer.read(page, min_confidence=least)
        print(f"{name:9} {least:4.0%} {got.text!r:7} reason: {got.reason}, refusal: {got.refusal}")

# %% [markdown]
# **Try it.** Ask for `0.999`. You should see 2048 refused, too: the whole number is less sure.
# Which limit is right depends on what a mistake costs you; choose it on pictures of your own, and
# count on others.
#
# ## Numbers
#
# If you know something about the number, say so. `digits` is how many there are, or from how many
# to how many; `check` is a check digit, `"luhn"`, `"mod97"` or `"ean13"`, or a function of yours.
# The likeliest text that fits is the answer, and what you know makes it surer:

# %%
card = pages["79927398713"]
goals = {
    "anything": {},
    "11 digits": {"digits": 11},
    "luhn": {"check": "luhn"},
    "11 digits, luhn": {"digits": 11, "check": "luhn"},
    "5 to 8 digits": {"digits": (5, 8)},
    "ends in 3": {"check": lambda text: text.endswith("3")},
}
for name, goal in goals.items():
    got = recognizer.read(card, **goal)
    print(f"{name:15} {got.text:11} {got.confidence:6.1%}  {got.refusal or ''}")

# %% [markdown]
# ## Many pictures
#
# `read_many` returns a list; `read_each` yields one answer after the other, with bounded memory,
# and in place of a picture that cannot be read its error. Both use all cores.

# %%
inputs = [*pages.values(), blank, b"no picture at all"]

for got in recognizer.read_each(inputs, min_confidence=0.5):
    if isinstance(got, digitnet.DigitnetError):
        print("error:", got)
    else:
        print(f"{got.text or '-':12} {got.confidence:6.1%}  {got.refusal or got.reason or ''}")

# %% [markdown]
# An answer is the same alone and in a batch, and `as_dict()` is ready for JSON. For millions of
# pictures there is an engine that runs on many machines, `digitnet read --engine ray`.

# %%
some = list(pages.values()) * 10
started = time.perf_counter()
answers = recognizer.read_many(some)
seconds = time.perf_counter() - started

print(f"{len(some) / seconds:.0f} pictures a second here")
print("the same in a batch:", answers[0].as_dict() == recognizer.read(some[0]).as_dict())
print("as JSON:", str(answers[0].as_dict())[:72], "…")

# %% [markdown]
# ## From another program: REST
#
# `digitnet serve` (`pip install '.[serve]'`) answers the same questions over HTTP, on this machine
# only unless you say otherwise. Usually you start it in a terminal, with `--port 8000`; here we
# start it in the background, at any free port. It says where it answers once it does.

# %%
command = [sys.executable, "-m", "digitnet", "serve", "--port", "0", "--json"]
service = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
address = json.loads(service.stdout.readline())["address"]

print("ready:", requests.get(f"{address}/readyz", timeout=5).status_code)

# %% [markdown]
# Send the bytes of a picture file as the body; what you know about the number goes into the
# address. The answer is what `as_dict()` returns.

# %%
file = io.BytesIO()
card.save(file, format="png")

got = requests.post(
    f"{address}/v1/read",
    params={"digits": 11, "check": "luhn"},
    data=file.getvalue(),
    headers={"Content-Type": "image/png"},
    timeout=30,
).json()
print("read   ", got["text"], f"{got['confidence']:.1%}", got["reason"])

seven = [[[60, 40], [140, 42], [95, 160]]]  # a pen's stroke, as points x and y
got = requests.post(f"{address}/v1/predict", json={"strokes": seven}, timeout=30).json()
print("predict", got["digit"], f"{got['confidence']:.1%}", got["reason"])

# %% [markdown]
# What cannot be read is answered with a sentence, too, and a status that says whose fault it was.

# %%
answer = requests.post(
    f"{address}/v1/read",
    data=b"no picture at all",
    headers={"Content-Type": "image/png"},
    timeout=30,
)
print(answer.status_code, answer.headers["content-type"])
print(answer.json()["detail"])

service.terminate()  # it answers what it has accepted, and stops
print("stopped with exit code", service.wait(timeout=30))
service.stdout.close()

# %% [markdown]
# Every path and field is described at `/docs` of the running service.
