# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Reading handwritten digits
#
# A postcode, a cheque, a form filled in by hand: you read the digits on it without effort, and yet
# you could not write down the rules you follow. So we shall not write rules. We shall show a small
# program thousands of digits together with the right answers, let it find its own rules, and then
# find out how far it can be trusted.
#
# You need a little Python, no machine learning, and an hour.
#
# 1. **Data**, and a reader that learns nothing, to know what learning is worth
# 2. **Preprocessing**: getting pictures ready
# 3. **Architecture**: the network, layer by layer
# 4. **Training**: the loop in which it learns, first our own, then digitnet's
# 5. **Evaluation**: how good it is, honestly
# 6. **Visualisation**: what it looks at
# 7. **Extensions**: changing it, and seeing what that does
# 8. **Your own handwriting**: from a photograph to a digit
# 9. **Dictionary**: if you know Keras, its words and what does the same here
#
# Run a cell with Shift+Enter. Every cell answers with a number or a picture. Where you see
# **Try it**, change something and run the cell again; nothing can break.

# %% [markdown]
# ## Settings
#
# At `"full"` length the network learns from all of MNIST, which is fetched once. The whole notebook
# then computes for about ten minutes on an ordinary processor with two cores. With `"short"` in its
# place it takes about a minute, on a small sample that comes with digitnet; the results are much
# worse, and the story is the same.

# %%
import os

LENGTH = os.environ.get("DIGITNET_NOTEBOOK", "full")  # or write "short" here

settings = {
    "full": {"data": "mnist"},
    "short": {"data": "sample", "epochs": 2, "threads": 1},
}[LENGTH]

print(f"{LENGTH} length: learning from the data set {settings['data']!r}")

# %% [markdown]
# `numpy` handles tables of numbers, and `torch` is the engine that networks run on. `digitnet` is
# the package that this notebook belongs to; `described` shows a picture together with words for
# whoever cannot see it.

# %%
import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name that every PyTorch reader knows)
from IPython.display import Markdown
from torch import nn

import digitnet
from digitnet.data.dataset import split_train_val
from digitnet.experiments.robustness_readers import invert_and_resize
from digitnet.network.cnn import predict_logits, to_float
from digitnet.network.config import setting_meanings
from digitnet.reading.pictures import decode
from digitnet.showing import charts, galleries, layers
from digitnet.showing.explanation_page import explain
from digitnet.showing.notebook_pictures import LiveCurves, described
from digitnet.showing.report_figures import first_kernels, layer_outputs
from digitnet.synthesis.nondigits import draw_non_digits
from digitnet.synthesis.photographs import simulate
from digitnet.training.batches import augment
from digitnet.training.evaluation import measure, softmax
from digitnet.training.statistics import wilson_interval

torch.set_num_threads(settings.get("threads", torch.get_num_threads()))
print("digitnet", digitnet.__version__)

# %% [markdown]
# ## 1. Data
#
# MNIST is a famous collection of digits, written by office workers and school pupils, scanned,
# and each labelled with the digit it is meant to be. It comes in two parts: digits to *train* on,
# and digits to *test* on, which we shall not look at until section 5.

# %%
data = digitnet.load_dataset(settings["data"], progress=print)

for name in ("train_images", "train_labels", "test_images", "test_labels"):
    array = getattr(data, name)
    print(f"{name:13} {array.dtype!s:6} {array.shape!s:16} from {array.min()} to {array.max()}")

# %% [markdown]
# Read the shapes like this: so many images, each 28 rows high and 28 columns wide. A pixel is a
# whole number from 0 (no ink) to 255 (full ink); `uint8` is the type that holds exactly these
# values, in one byte. For each image there is one label, the digit itself.
#
# Here are the first images of each digit. See how differently people write:

# %%
described(
    galleries.examples(data.train_images, data.train_labels),
    "Ten rows of handwritten digits, a row each for 0 to 9. Hands differ: some 1s lean, "
    "some 2s have a loop, some 4s are open at the top, some 7s have a bar.",
)

# %% [markdown]
# That is what *you* see. The program gets only the numbers. These are the numbers of the very
# first image, without the empty rows and columns around it (a dot stands for 0). Lean back and the
# digit appears.

# %%
image, label = data.train_images[0], data.train_labels[0]

print("label:", label)
for row in image[image.any(axis=1)][:, image.any(axis=0)]:
    print("".join(f"{pixel:4d}" if pixel else "   ·" for pixel in row))

# %% [markdown]
# **Try it.** Replace both `0` by `1`. You should see another digit, and its label above it: with
# MNIST a large ring, the 0. (Go back to `0` afterwards: the image is used again.)
#
# ### Three heaps of images
#
# Somebody who learns past exams by heart will shine at past exams. To find out what a program has
# *understood*, we must ask about images that it has not learned from. So the training images are
# divided once more. From most of them it learns; the others, the *validation* images, are used to
# watch it. Whenever we choose between two ways of doing something, validation decides.
#
# And the *test* images? They decide nothing. Every time you pick the better of two programs, you
# also pick a little luck. Do that on the test images and their result is no longer the result on
# *new* digits, which is the only one that anybody wants to know.

# %%
config = digitnet.recipe("reference").override(**settings)
train, val = split_train_val(
    data.train_labels, val_fraction=config.val_fraction, seed=config.split_seed
)

print(f"{len(train):6,} images to learn from")
print(f"{len(val):6,} images to validate on")
print(f"{len(data.test_labels):6,} images for one question at the end")
print("of each digit, to learn from:", np.bincount(data.train_labels[train]))

# %% [markdown]
# The split is drawn by chance, but from a fixed *seed*, so it is the same every time. Each digit is
# there about equally often, so whoever only guesses is right about one time in ten.
#
# ### A reader that learns nothing
#
# Before we build anything clever: how far does something simple get? Take the average of all images
# of each digit. To read an image, see which of the ten averages it is nearest to, pixel by pixel.

# %%
of_digit = [data.train_images[train][data.train_labels[train] == digit] for digit in range(10)]
means = np.stack([images.mean(axis=0) for images in of_digit])

described(
    means / 255,
    "The average images of the digits 0 to 9 in a row: each can be recognised, and each is blurred "
    "where hands differ.",
)

# %%
pixels = data.train_images[val].reshape(len(val), 784) / 255
distances = np.stack([((pixels - mean.ravel() / 255) ** 2).sum(axis=1) for mean in means], axis=1)
right = distances.argmin(axis=1) == data.train_labels[val]

print(f"nearest average: {right.mean():.1%} of the validation images right")
for digit in range(10):
    share = right[data.train_labels[val] == digit].mean()
    print(f"{digit}  {share:4.0%}  {'█' * round(40 * share)}")

# %% [markdown]
# Four in five, without any learning to speak of! That is the bar to clear. The averages do well
# with digits that everybody writes alike, and worse where there are several ways to write one, such
# as 5: an average of two shapes is neither of them.
#
# **Try it.** Put these lines into a new cell below. They ask for the nearest of a thousand single
# images instead of ten averages. You should see about 88 %: better, because most ways of writing
# are among a thousand images, and a hundred times as slow.
#
# ```python
# few = train[:1000]
# far = [((pixels - one.ravel() / 255) ** 2).sum(axis=1) for one in data.train_images[few]]
# print((data.train_labels[few][np.argmin(far, axis=0)] == data.train_labels[val]).mean())
# ```

# %% [markdown]
# ## 2. Preprocessing
#
# Networks learn best from small numbers, so pixels are divided by 255. They also expect a fixed
# order of dimensions: how many images, how many colour channels (one, because the images are
# grey), height, width. `to_float` does both.
#
# The labels need nothing at all. You may have seen them turned into rows with a single 1, which
# is called one-hot encoding. A whole number says the same in less space, and the loss that we
# shall use takes it as it is.

# %%
some = to_float(torch.from_numpy(data.train_images[:3]))

print("before:", data.train_images[:3].dtype, data.train_images[:3].shape)
print("after: ", some.dtype, tuple(some.shape), f"from {some.min():.1f} to {some.max():.1f}")
print("labels as they are:", data.train_labels[:3])
print("the same as one-hot:")
print(np.eye(10, dtype=int)[data.train_labels[:3]])

# %% [markdown]
# ## 3. Architecture
#
# A network turns 784 pixels into ten numbers, one for each digit, in several simple steps called
# layers. Three of them deserve to be seen at work before we let a machine use them.
#
# **Convolution.** Lay a small window, 3 by 3 pixels, over the image. Multiply each pixel with a
# weight, add up the nine products, write the sum down. Move the window by one pixel and repeat.
# The nine weights are a *filter*, and the sums make a new picture, a *map*: large where the
# filter's pattern is.
#
# **ReLU.** Replace every negative number by 0. It looks like nothing, but without such a bend
# between them any number of layers could do no more than a single one.
#
# **Max pooling.** Of each 2 by 2 numbers keep the largest. The map halves in each direction, and
# it no longer matters whether a stroke is one pixel further left.
#
# Here they are with two filters made by hand. Where is each of them strong?

# %%
windows = np.lib.stride_tricks.sliding_window_view(image / 255, (3, 3))
top_edge = np.array([[-1, -1, -1], [0, 0, 0], [1, 1, 1]])
left_edge = top_edge.T

convolved = np.stack([(windows * edge).sum(axis=(2, 3)) for edge in (top_edge, left_edge)])
rectified = np.maximum(convolved, 0)
pooled = rectified.reshape(2, 13, 2, 13, 2).max(axis=(2, 4))

described(
    layers.feature_maps(
        image,
        [
            ("Convolution with two filters (blue is positive)", convolved),
            ("After ReLU", rectified),
            ("After max pooling", pooled),
        ],
    ),
    "A digit and three rows of two maps. The first map is strong along the upper edges of strokes, "
    "the second along their left edges. ReLU removes the opposite edges; pooling halves the maps.",
)

# %% [markdown]
# The first filter answers to the upper edges of strokes, the second to their left edges. In the
# network nobody chooses the weights: it starts with random ones, and training finds the patterns
# that help.
#
# **Try it.** Write `-top_edge` in place of `left_edge` in the list. You should see the second map
# light up along the lower edges, exactly where the first one was negative.

# %% [markdown]
# ### The whole network
#
# Two rounds of convolution, ReLU and pooling, with 32 and 64 filters. Then the small maps are
# *flattened* into one long row of numbers, and *linear* layers follow (Keras says *dense*): every
# number that comes out is a weighted sum of all that go in. The last layer has ten outputs. In
# PyTorch a network is a `Module`, which has layers and a method `forward` that uses them:


# %%
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 32, kernel_size=3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, kernel_size=3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64 * 5 * 5, 64),
            nn.ReLU(),
            nn.Linear(64, 10),
        )

    def forward(self, images):
        return self.layers(images)


torch.manual_seed(0)
net = Net()
print(net(some).shape)

# %% [markdown]
# It works already, though it knows nothing. Let us send one image through it, layer by layer, and
# look at the shape of what comes out of each. A *parameter* is one number that training will
# adjust: a weight, or a *bias*, which is added at the end of each sum.

# %%
passing = some[:1]

print("layer        parameters  output shape")
print(f"{'the image':12} {0:10,}  {tuple(passing.shape)}")
for layer in net.layers:
    passing = layer(passing)
    count = sum(parameter.numel() for parameter in layer.parameters())
    print(f"{type(layer).__name__:12} {count:10,}  {tuple(passing.shape)}")
print(f"{'together':12} {sum(parameter.numel() for parameter in net.parameters()):10,}")

# %% [markdown]
# Why 26? A window of 3 fits into 28 pixels at 26 places. Why 320? Each of 32 filters has nine
# weights and one bias. And why 1,600? There are 64 maps of 5 by 5.
#
# **Try it.** Write `kernel_size=5` in the first convolution, and run both cells. You should see 24,
# 12, 10 and 5 in place of 26, 13, 11 and 5, and 832 parameters in the first layer: 25 weights and
# one bias, 32 times. With 5 in both convolutions you should see an error: 1,600 no longer fits.

# %% [markdown]
# ### From ten numbers to an answer, and how wrong it is
#
# The ten numbers are called *logits*. They may be anything, also negative; the largest one is the
# answer. To read them as probabilities we apply *softmax*: raise *e* to the power of each, then
# divide by their sum. Everything becomes positive, the order stays, and together they make 1.
#
# Learning needs a number that says how wrong an answer is. We take the probability given to the
# *true* digit, and of that the negative logarithm: this is *cross-entropy*, our *loss*. Sure and
# right costs nothing, sure and wrong costs a lot. (It is called *sparse* when labels are whole
# numbers, like ours.) Of the first image, and of somebody who only guesses:

# %%
with torch.inference_mode():
    logits = net(some[:1])
probabilities = torch.softmax(logits, dim=1)

print("digit        ", "".join(f"{digit:7d}" for digit in range(10)))
print("logits       ", "".join(f"{logit:7.2f}" for logit in logits[0]))
print("probabilities", "".join(f"{share:7.1%}" for share in probabilities[0]))
print(f"loss, as the label is {label}: {-torch.log(probabilities[0, label]):.3f}")
print(f"loss of guessing:       {-np.log(1 / 10):.3f}")

# %% [markdown]
# An untrained network guesses, too. Many tutorials make softmax the last layer of the network; ours
# ends with the logits, because softmax can spoil learning. A computer rounds very small
# probabilities to 0, and the logarithm of 0 is infinite. Computed straight from the logits, the
# same loss comes out right. Take two logits, 0 and 200, where the first one is true:

# %%
pair = torch.tensor([[0.0, 200.0]])
probability = torch.softmax(pair, dim=1)[0, 0]

print("loss by way of the probability:   ", -torch.log(probability).item())
print("loss straight from the two logits:", F.cross_entropy(pair, torch.tensor([0])).item())

# %% [markdown]
# ## 4. Training
#
# Training repeats one small step. Take a *batch* of images, compute the loss, find out for every
# parameter whether the loss would fall if it were a little larger or a little smaller
# (`backward()` does that for all of them at once), and move each a little in the direction that
# helps (`step()`). Once through all the images is an *epoch*. This is all of it:

# %%
images, labels = to_float(torch.from_numpy(data.train_images)), torch.from_numpy(data.train_labels)
optimizer = torch.optim.Adam(net.parameters(), lr=0.001)

order = train[torch.randperm(len(train))]  # another order in every epoch
for start in range(0, len(order), 64):
    batch = order[start : start + 64]
    logits = net(images[batch])  # forward
    loss = F.cross_entropy(logits, labels[batch])
    optimizer.zero_grad()  # forget the directions of the step before
    loss.backward()  # for every parameter: which way is down?
    optimizer.step()  # a little that way
    if start % (64 * 100) == 0:
        print(f"step {start // 64:4}  loss {loss:.3f}")

with torch.inference_mode():  # validation: no learning here
    own_right = (net(images[val]).argmax(dim=1) == labels[val]).double().mean().item()
print(f"after one epoch: {own_right:.2%} of the validation images right")

# %% [markdown]
# From guessing to far beyond the averages in one epoch, with two dozen lines.
#
# **Try it.** Make a new network, `net = Net()`, and run the cell with `lr=1.0`. You should see the
# loss stay near 2.3: steps that large lead nowhere, and the network guesses. With `lr=0.00001` you
# should see it fall without haste, to about 70 % right: going the right way is not enough.
#
# ### The same, grown up
#
# That loop forgets everything when the computer is switched off. digitnet does the same, line by
# line, and what a long training needs besides:
#
# | here | in digitnet | besides |
# |---|---|---|
# | `Net` | `network/cnn.py`: `CNN` | layers follow from settings |
# | `randperm` | `training/loop.py`: `Training.order` | follows from a seed: can be repeated |
# | `images[batch]` | `training/batches.py`: `Batches.batch` | distorts each image a little |
# | the loop | `training/loop.py`: `fit` | falling rate; goes on after a crash |
# | validation | `training/loop.py`: `Training.validate` | the loss, too, of every epoch |
# | all of it | `digitnet.train` | loads data, keeps everything in a folder |
#
# A *recipe* is a set of settings under a name. Ours is called `reference`:

# %%
shown = [
    *("epochs", "batch_size", "optimizer", "learning_rate", "schedule", "val_fraction"),
    *("channels", "kernel_size", "dense", "activation", "dropout"),
    *("shift", "rotate", "scale", "shear", "seed"),
]
values, meanings = config.flat(), setting_meanings()
rows = [f"| `{name}` | `{values[name]}` | {meanings[name]} |" for name in shown]

Markdown("\n".join(["| setting | value | meaning |", "|---|---|---|", *rows]))

# %% [markdown]
# Now it learns. At full length you have time to make a tea: the more cores your computer has,
# the smaller the cup. The line says where it stands; the *learning curves* below it grow with every
# epoch. The loss is what training works on; the accuracy is what we care about.

# %%
run = digitnet.train(config, progress=False, on_progress=LiveCurves())

# %% [markdown]
# How to read them:
#
# - **Both losses fall:** the network is learning. If the validation loss is still falling at the
#   end, more epochs may help.
# - **Training goes on improving, validation gets worse:** the network has begun to learn its
#   images by heart. This is *overfitting*, and a reason to stop.
# - **Validation is better than training:** this is no mistake. While it learns, the network has
#   to work under harder conditions: its images are distorted a little and a part of it is
#   switched off at random (more about both in section 7). Also, the training figure is an
#   average over the whole epoch, and validation comes after it.
#
# All of it has been written down. A training is a folder, called a *run*; every training gets a
# new one, under `runs/` beside this notebook. `history.csv` in it opens in any spreadsheet,
# `config.json` holds the settings, and `model.safetensors` the trained network.

# %%
print("files:", ", ".join(sorted(f.name for f in run.path.iterdir() if f.name[0] != ".")))
print(f"after epoch {len(run.history)}: {run.history[-1].val_accuracy:.2%} of validation right")
print(f"our own network, one epoch: {own_right:.2%}")

# %% [markdown]
# ## 5. Evaluation
#
# The end has come and we may ask the one question. How many of the test images, which had no part
# in anything so far, does the network read correctly? And the two readers before it?

# %%
metrics = digitnet.evaluate(run)
low, high = metrics.interval
pixels = data.test_images.reshape(-1, 784) / 255
distances = np.stack([((pixels - mean.ravel() / 255) ** 2).sum(axis=1) for mean in means], axis=1)
with torch.inference_mode():
    own = net(to_float(torch.from_numpy(data.test_images))).argmax(dim=1).numpy()

print(f"nearest average  {(distances.argmin(axis=1) == data.test_labels).mean():.2%}")
print(f"our own network  {(own == data.test_labels).mean():.2%}")
print(f"the trained run  {metrics.accuracy:.2%}   (95 % interval: {low:.2%} to {high:.2%})")
print(f"its misses       {metrics.misses:,} of {metrics.images:,}")

# %% [markdown]
# The *interval* is there because other test images would have given a slightly different number.
# Two networks whose intervals overlap widely may well be equally good.
#
# ### Digit by digit
#
# One accuracy for everything hides a lot. For each digit there are two questions. Of the answers
# "8", how many were truly an 8? That is *precision*. Of the true 8s, how many were found? That is
# *recall*. *F1* is their mean (the harmonic one, which is only high when both are).

# %%
print("digit  precision   recall       F1   images")
for each in metrics.per_class:
    shares = f"{each.precision:9.2%} {each.recall:8.2%} {each.f1:8.2%}"
    print(f"{each.name:>5}  {shares} {each.support:8,}")

# %% [markdown]
# And which digits are taken for which? Each row of this table is a true digit, each column an
# answer. On the grey diagonal both agree. The colours are mistakes.

# %%
mistaken = metrics.confusion_matrix * (1 - np.eye(10, dtype=int))
true, taken = np.unravel_index(mistaken.argmax(), mistaken.shape)

described(
    charts.confusion_matrix(metrics.confusion_matrix, data.class_names),
    "A table of ten rows and ten columns. Nearly all images are on its diagonal; the most frequent "
    f"mistake is {true} read as {taken}, {mistaken.max()} times.",
)

# %% [markdown]
# Look for the strongest colours. Would you confuse these two digits yourself, when they are
# written in a hurry?
#
# ### The mistakes
#
# Numbers tell how often; pictures tell why. These are the misses, the worst first: the ones where
# the network was most sure of a wrong answer.

# %%
disputed = metrics.undisputed.removed if metrics.undisputed else ()
worst = run.predictions.probability_predicted[
    run.predictions.predicted != run.predictions.label
].max(initial=0)

described(
    galleries.misses_gallery(data.test_images, run.predictions, 24, disputed=disputed),
    "Misread digits in rows, each with its number, its label and the wrong answer. The worst of "
    f"them was given with a probability of {worst:.1%}.",
)

# %% [markdown]
# Some of these are hard for people too. And sometimes it is the label that is wrong. Researchers
# asked five people about suspicious test images of MNIST; where fewer than three agreed with the
# label, we call it *disputed* (Northcutt, Athalye and Mueller, 2021). Misses among them carry a ◆.

# %%
print(f"all test images:       {metrics.misses} misses, {metrics.accuracy:.2%} right")
if rest := metrics.undisputed:
    print(f"{len(rest.removed)} labels are disputed")
    print(f"without the disputed:  {rest.misses} misses, {rest.accuracy:.2%} right")

# %% [markdown]
# With and without them: both results are worth knowing. The usual one counts all labels, because
# leaving out what one got wrong is a slippery habit. But beware of a network that gets *every* test
# image "right": it has learned to repeat the errors, too.
#
# ### Does it know when it does not know?
#
# The largest probability is the network's *confidence*. Can it be taken at its word? Then of all
# answers given with 90 % confidence, nine in ten should be right. The upper chart compares the two:
# each point is a group of answers with similar confidence, the bar on it says how much chance
# there is in it, and on the dashed line claim and truth agree. Below you see how many answers are
# in each group.

# %%
described(
    charts.reliability_diagram(metrics.reliability, metrics.expected_calibration_error),
    "Accuracy against confidence, in groups. Most answers are in the group of highest confidence, "
    "where claim and truth agree; groups further left are small and their bars are long.",
)

# %% [markdown]
# Confidence is useful. A post office might let a person look at every digit of which the network
# is not sure. How much would be left to the machine, and how often would it be wrong? The limit is
# a choice, so we look at the validation images:

# %%
model = digitnet.load_model(run.model_file)
shares = softmax(predict_logits(model, torch.from_numpy(data.train_images[val])).numpy())
right = shares.argmax(axis=1) == data.train_labels[val]

print("at least this sure   answers   misses among them")
for least in (0.0, 0.5, 0.9, 0.99, 0.999):
    chosen = shares.max(axis=1) >= least
    print(f"{least:18.1%} {chosen.mean():9.1%} {(chosen & ~right).sum():19}")

# %% [markdown]
# **Try it.** Choose a limit from this table, then count the same for the test images, once:
# `run.predictions` has `probability_predicted`, `predicted` and `label`. You should see nearly the
# same shares. Had you chosen the limit there, you could not be surprised.

# %% [markdown]
# ## 6. Visualisation
#
# What has the network learned to look for? The filters of its first layer can be drawn, because
# each is just 3 by 3 weights. Blue weights want ink, orange ones want none.

# %%
described(
    layers.filters(first_kernels(model)),
    "The 32 filters of the first layer as squares of nine weights. Several are blue on one side "
    "and orange on the other, as edge filters are.",
)

# %% [markdown]
# Some resemble our handmade edge filters, blue on one side and orange on the other, and nobody told
# the network about edges. For others we have no word.
#
# Next, watch a digit on its way. Each small picture is what one filter finds. The first layers
# still show the digit; further on the maps get small and abstract, until ten numbers are left.

# %%
number = 0
image, label = data.test_images[number], data.test_labels[number]

described(
    layers.feature_maps(image, layer_outputs(model, image)),
    f"A {label} at the top, below it the maps of each layer: outlines of the digit in the first, "
    "coarse patches in the second, then numbers, and last ten numbers of which one is large.",
)

# %% [markdown]
# **Try it.** Set `number` to a miss: the gallery above tells their numbers. You should see the
# probability shared by two digits, or all of it on a wrong one.
#
# These figures and more, with everything about the run explained, make one page that you can keep
# or send to somebody. Open it in a browser; `print(report)` tells you where it is.

# %%
report = digitnet.write_report(run)

print(report.name, f"{report.stat().st_size:,} bytes, {len(list(run.figures.iterdir()))} figures")
# %% [markdown]
# ## 7. Extensions
#
# ### Another network
#
# Every setting can be changed by its name: `digitnet.train("reference", dropout=0.5)`. To try many
# at once, the next cell trains on the small sample and for fewer epochs. That makes the results
# worse, and the differences easier to see.
#
# - **Another seed:** nothing changed at all but the dice. Keep an eye on this one.
# - **Deeper:** a third block of layers. (`padding=True` adds a border of zeros, so that the image
#   does not shrink too fast.)
# - **Wider:** half as many filters again in each layer.
# - **More dropout:** in each training step, half of the numbers before each dense layer are set to
#   0 at random. The network cannot rely on any single one of them, which makes it harder to learn
#   by heart.
# - **Another activation:** a smooth bend (tanh) in place of ReLU.
# - **No augmentation:** images as they are, without the distortions described below.
#
# The judge is validation, of course; the test images take no part in this. The last column is the
# 95 % interval of the validation accuracy.

# %%
variants = {
    "reference": {},
    "another seed": {"seed": 1},
    "deeper": {"channels": (32, 64, 64), "padding": True},
    "wider": {"channels": (48, 96)},
    "more dropout": {"dropout": 0.5},
    "tanh": {"activation": "tanh"},
    "no augmentation": dataclasses.asdict(digitnet.AugmentationConfig()),  # all zero
}
trial = {
    "full": {"epochs": 6},
    "short": {"epochs": 1, "val_fraction": 0.6},
}[LENGTH]
sample = digitnet.load_dataset("sample")

print(f"{len(variants)} variants, {len(sample.train_labels):,} images, {trial}")

# %%
print("variant          parameters  training  validation  interval")
for name, changes in variants.items():
    with tempfile.TemporaryDirectory() as folder:  # these runs are not kept
        other = digitnet.train(
            "reference",
            out=folder,
            data="sample",
            threads=1,
            progress=False,
            **trial,
            **changes,
        )
        size = digitnet.load_model(other.model_file).num_parameters
        end = other.history[-1]
        judges = round(len(sample.train_labels) * other.config.val_fraction)
    low, high = wilson_interval(round(end.val_accuracy * judges), judges)
    shares = f"{end.train_accuracy:8.1%} {end.val_accuracy:11.1%}"
    print(f"{name:16} {size:10,}  {shares}  {low:.1%} to {high:.1%}")

# %% [markdown]
# Before you name a winner, compare the first two rows: the same network, trained the same way, with
# other dice. And look at the intervals. A difference that is small beside either of them may be
# chance. To be sure of small differences, you need more images or several seeds, and usually both.
#
# Without augmentation the training images are easier, so the network does better on them; what
# counts is whether validation follows. And the deeper network has fewer parameters than the
# reference. Where have they gone? (Think of what is left to flatten after a third pooling.)
#
# **Try it.** Add rows: `{"batch_norm": True}`, `{"learning_rate": 0.1}`, `{"channels": (4, 8)}`.
# You should see the first do as well as the reference, the second no better than guessing, and the
# third read more than nine in ten with a ninth of the parameters.

# %% [markdown]
# ### More images from the same images: augmentation
#
# Shift a 4 by two pixels, or tilt it a little, and it is still a 4. To the network it is a new
# image. So every time an image is shown in training it is distorted anew. Here are four digits as
# our recipe distorts them:

# %%
places = [int((data.train_labels == digit).argmax()) for digit in (2, 4, 6, 9)]
originals = data.train_images[places]
repeated = to_float(torch.from_numpy(originals.repeat(7, axis=0)))

copies = augment(repeated, run.config.augmentation, torch.Generator().manual_seed(0))
described(
    galleries.augmentation_preview(originals, copies.numpy().reshape(4, 7, 28, 28)),
    "A 2, a 4, a 6 and a 9, each with seven copies that are shifted, turned, slanted and scaled a "
    "little. Every copy is still the same digit.",
)

# %% [markdown]
# More is not always better. Turn digits as far as you like, and something goes wrong that no
# network can put right. Look at the last two rows:

# %%
too_far = digitnet.AugmentationConfig(rotate=180)

copies = augment(repeated, too_far, torch.Generator().manual_seed(0))
described(
    galleries.augmentation_preview(originals, copies.numpy().reshape(4, 7, 28, 28)),
    "The same digits, turned by any angle: upside down, the 6 looks like a 9 and the 9 like a 6.",
)

# %% [markdown]
# A distortion is a claim: *this changes nothing about what it is*. It has to be true.
#
# **Try it.** Put `AugmentationConfig(elastic=2)` in its place. You should see digits on rubber:
# some trembling, and some bent so far that nobody would read them. With
# `AugmentationConfig(stroke=1)` you should see other pens, so broad that the loops of 6 and 9 fill,
# or so fine that they vanish.

# %% [markdown]
# ### Transfer learning
#
# Suppose you have just a few images of another kind: letters, clothes, or digits of another origin.
# That is too few to learn from nothing. But the edges and curves that our first layers look for
# are useful there too. *Transfer learning* starts from a trained network and goes on training it,
# gently, on the new images; where the classes are others, with a new last layer.
#
# Here are other digits: written in Turkey, scanned, and kept as 8 by 8 pixels only. They come with
# scikit-learn, brought to our 28 by 28.

# %%
others = digitnet.load_dataset("digits8x8")
logits = predict_logits(model, torch.from_numpy(others.test_images)).numpy()
before = measure(logits, others.test_labels, others.class_names)

print(f"our network, which never saw such digits: {before.accuracy:.1%}")
described(
    galleries.examples(others.train_images, others.train_labels),
    "Rows of digits from 0 to 9 that are blurred, because they were enlarged from 8 by 8 pixels.",
)

# %% [markdown]
# Now it may learn from ten of each digit: a hundred images. It is also shown images of MNIST in
# between, because what learns something new forgets.

# %%
with tempfile.TemporaryDirectory() as folder:
    tuned = digitnet.fine_tune(
        "digits8x8", run.path, labels=10, threads=1, progress=False, out=f"{folder}/tuned"
    )
    after, kept = tuned.metrics["test_accuracy"], tuned.transfer["old_accuracy_after"]

print(f"after a hundred images of them: {after:.1%}")
print(f"and on the digits that it learned first: {kept:.1%} (before: {metrics.accuracy:.1%})")

# %% [markdown]
# **Try it.** With `labels=1`, one image of each digit, you should see little gain or even a loss:
# ten images show ten hands and not what digits are. With `method="scratch"` and `labels=10`, the
# same network from nothing, you should see less than 90 %, and MNIST's digits read badly.
#
# From a terminal, `digitnet transfer --to digits8x8` compares all of this and draws it.

# %% [markdown]
# ## 8. Your own handwriting
#
# Every image so far was made for us: 28 by 28 pixels, bright on black, the digit in the middle. A
# digit on your desk is none of that. Here is a test digit once more, as a phone might see it on a
# page. (It is simulated, so that this notebook can show it to everybody. Your own photograph does
# as well: write `photo = "my_digit.jpg"` in its place.)

# %%
place = (data.test_labels == 4).argmax()
photo = simulate(data.test_images[place], "photo", seed=0)

described(photo, f"A photograph of a sheet of paper with a small {data.test_labels[place]} on it.")

# %% [markdown]
# What do most programs do with it? Invert it, shrink it to 28 by 28 pixels, and ask the network
# that did so well above:

# %%
shrunk = invert_and_resize(decode(photo))
probabilities = softmax(predict_logits(model, torch.from_numpy(shrunk[None])).numpy())[0]

print(f"It is a {data.test_labels[place]}.")
print(f"Read as {probabilities.argmax()}: {probabilities.max():.1%}")
described(shrunk, "The photograph in 28 by 28 pixels: a small, pale 4 in a corner of grey paper.")

# %% [markdown]
# The network never saw paper. It cannot say so either: it has ten outputs, and one of them is
# always the largest.
#
# So digitnet's own recogniser looks for the *ink* first: another network, the finder, says of each
# pixel whether it belongs to a sign, and to which. The ink of each sign is then brought to the size
# and place that the reading network knows, which has also seen many pens, and drawings that are no
# digit at all.

# %%
recognizer = digitnet.Recognizer()
answer = recognizer.predict(photo)

print(answer)

# %% [markdown]
# The next picture shows the way: where the ink was found, what the network saw, its ten
# probabilities, which parts mattered (covering them makes the answer less sure), and the training
# digits that it finds most alike.

# %%
with tempfile.TemporaryDirectory() as folder:
    explain(recognizer, photo, f"{folder}/page.png", name="the photograph")
    page = Path(f"{folder}/page.png").read_bytes()

described(
    page,
    f"Six panels: the photograph with a box round the {answer.digit}, its ink, the 28 by 28 pixels "
    f"that the network saw, ten bars of which that of {answer.digit} is by far the longest, and "
    "maps of what mattered. Below, the training digits most alike.",
)

# %% [markdown]
# And if there is no digit? These are drawings of the kind that the network learned to refuse, drawn
# anew with another seed, and behind them four digits of the test set:

# %%
drawings, _ = draw_non_digits(6, 1234, data.test_images[:100])
inks = [*drawings, *data.test_images[:4]]

answers = recognizer.predict_inks(inks)
for name, one in zip("abcdefghij", answers, strict=True):
    said = f"{one.digit} ({one.confidence:.1%})" if one.is_digit else "no digit"
    print(f"{name}  {said:14} strangeness {one.ood_score:6.1f}")

described(
    np.stack([one.image for one in answers]),
    "Ten small drawings in a row: six scrawls and shapes that are no digit, then four digits.",
)

# %% [markdown]
# **Try it.** `simulate` knows other conditions: `"shadow"`, `"squared"`, `"thin"`, `"tiny"`. You
# should see the plain network fail at most of them, and the recogniser find the 4 in all of them.
# Then write a digit, photograph it, and give `recognizer.predict` the file's name.
#
# How programs read with digitnet, whole numbers too, is in the notebook
# [Reading numbers](read_numbers.ipynb).

# %% [markdown]
# ## 9. Dictionary
#
# If you know this task from Keras, these are its words and what does the same here.
#
# | in Keras | in digitnet |
# |---|---|
# | `Sequential([...])` | `digitnet.CNN(ModelConfig(...))`; the layers follow from the settings |
# | `Conv2D(32, (3, 3))`, then `Conv2D(64, (3, 3))` | `channels=(32, 64)`, `kernel_size=3` |
# | `activation="relu"` | `activation="relu"`, for the whole network |
# | `MaxPooling2D((2, 2))`, `Flatten()` | always there: pooling ends each block, flatten follows |
# | `Dense(64)`, `Dropout(0.25)` | `dense=(64,)`, `dropout=0.25` |
# | `Dense(10, activation="softmax")` | ten logits; `evaluation.softmax` comes after |
# | `x / 255.0`, shape `(28, 28, 1)` | `to_float`, shape `(1, 28, 28)` |
# | `compile(optimizer="adam")` | `optimizer="adam"`, `learning_rate`, `schedule` |
# | `loss="sparse_categorical_crossentropy"` | always: cross-entropy on whole-number labels |
# | `metrics=["accuracy"]` | always measured, with much more in `Metrics` |
# | `fit(epochs=10, batch_size=64)` | `run = digitnet.train(epochs=10, batch_size=64)` |
# | `validation_split=0.1` | `val_fraction=0.1`; shuffled, and the same share of each digit |
# | `history.history["val_accuracy"]` | `[row.val_accuracy for row in run.history]` |
# | `evaluate(x_test, y_test)` | `digitnet.evaluate(run)` |
# | `predict(x)` | `softmax(predict_logits(model, torch.from_numpy(images)).numpy())` |
# | `model.save(...)`, `load_model(...)` | saved in the run; `digitnet.load_model(run.model_file)` |
#
# The same from a terminal, without any Python: `digitnet train`, `digitnet evaluate`,
# `digitnet report`, `digitnet predict`, each with `--help`.
#
# ## Where to go from here
#
# - Look at the misses again. What would you tell the network, if you could?
# - Write ten digits, photograph them, and let `digitnet predict` read them. You should see most of
#   them read; which one is hard, and what does its page of `--explain` say?
# - `digitnet study dropout` compares settings with several seeds each, and draws its verdict.
