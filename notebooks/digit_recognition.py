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
# You need a little Python and no machine learning. The steps:
#
# 1. **Data**: what a picture of a digit is to a computer
# 2. **Preprocessing**: getting pictures and answers ready
# 3. **Architecture**: the network, layer by layer
# 4. **Training**: how it learns
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
# then takes up to ten minutes on an ordinary processor with two cores. With `"short"` in its place
# it takes about a minute, on a small sample that comes with digitnet; the results are much worse,
# and the story is the same.

# %%
# %matplotlib inline
import os

LENGTH = os.environ.get("DIGITNET_NOTEBOOK", "full")  # or write "short" here

settings = {
    "full": {"data": "mnist"},
    "short": {"data": "sample", "epochs": 2, "threads": 1},
}[LENGTH]

print(f"{LENGTH} length: learning from the data set {settings['data']!r}")

# %% [markdown]
# The work is done by the package `digitnet`; this notebook only calls it and looks at the
# results. `numpy` handles tables of numbers, and `torch` is the engine that the network runs on.

# %%
import dataclasses
import tempfile

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Image, Markdown

import digitnet
from digitnet.data.dataset import split_train_val
from digitnet.experiments.robustness_readers import invert_and_resize
from digitnet.network.cnn import layer_table, predict_logits, to_float
from digitnet.network.config import setting_meanings
from digitnet.reading.pictures import decode
from digitnet.showing import charts, galleries, layers
from digitnet.showing.explanation_page import explain
from digitnet.showing.report_figures import first_kernels, layer_outputs
from digitnet.synthesis.nondigits import draw_non_digits
from digitnet.synthesis.photographs import simulate
from digitnet.training.batches import augment
from digitnet.training.evaluation import DISPUTED_MNIST_TEST, measure, softmax
from digitnet.training.statistics import wilson_interval

print("digitnet", digitnet.__version__)

# %% [markdown]
# ## 1. Data
#
# MNIST is a famous collection of digits, written by office workers and school pupils, scanned,
# and each labelled with the digit it is meant to be. It comes in two parts: digits to *train* on,
# and digits to *test* on, which we shall not look at until the end.

# %%
data = digitnet.load_dataset(settings["data"], progress=print)

for name in ("train_images", "train_labels", "test_images", "test_labels"):
    array = getattr(data, name)
    print(f"{name:13} {array.dtype!s:6} {array.shape!s:16} from {array.min()} to {array.max()}")

# %% [markdown]
# Read the shapes like this: so many images, each 28 rows high and 28 columns wide. A pixel is a
# whole number from 0 (no ink) to 255 (full ink); `uint8` is the type that holds exactly these
# values, in one byte. For each image there is one label, the digit itself, stored as an ordinary
# whole number (`int64`).
#
# Enough of shapes. Here is what the first images of each digit look like, and how differently
# people write:

# %%
galleries.examples(data.train_images, data.train_labels)

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
# Is every digit there equally often? It matters: if nine images in ten were a 1, a program that
# always answers "1" would be right nine times in ten and know nothing.

# %%
counts = np.bincount(data.train_labels)

for digit, count in enumerate(counts):
    share = count / counts.sum()
    print(f"{digit}  {count:6,}  {share:5.1%}  {'█' * round(200 * share)}")

# %% [markdown]
# Roughly even. So a program that only guesses is right about one time in ten, and that is the bar
# to clear.
#
# **Try it.** Print the numbers of another image: replace the two `0` in `train_images[0]` and
# `train_labels[0]`. Can you find one that you would read wrongly yourself?

# %% [markdown]
# ## 2. Preprocessing
#
# Networks learn best from small numbers, so pixels are divided by 255. They also expect a fixed
# order of dimensions: how many images, how many colour channels (one, because the images are
# grey), height, width. `to_float` does both.

# %%
some = to_float(torch.from_numpy(data.train_images[:3]))

print("before:", data.train_images[:3].dtype, data.train_images[:3].shape)
print("after: ", some.dtype, tuple(some.shape), f"from {some.min():.1f} to {some.max():.1f}")

# %% [markdown]
# One more step, shifting the numbers so that their average is near 0, is built into the network
# itself. Then nobody who uses it can forget it.
#
# The labels need nothing at all. You may have seen them turned into rows with a single 1, which
# is called one-hot encoding. A whole number says the same in less space, and the loss that we
# shall use takes it as it is:

# %%
print("labels as they are:  ", data.train_labels[:3])
print("the same as one-hot:")
print(np.eye(10, dtype=int)[data.train_labels[:3]])

# %% [markdown]
# ### Why some training images are set aside
#
# Somebody who learns past exams by heart will shine at past exams. To find out what a network has
# *understood*, we must ask about images that it has not learned from.
#
# So the training images are divided once more. From most of them the network learns. The others,
# the *validation* images, are used to watch it: after each round we look at how well it reads
# them. Whenever we choose between two settings, validation decides.
#
# And the *test* images? They decide nothing. Every time you pick the better of two networks, you
# also pick a little luck. Do that on the test images and their result is no longer the result on
# *new* digits, which is the only one that anybody wants to know. So they are kept for one
# question, asked at the end.

# %%
config = digitnet.recipe("reference").override(**settings)
train, val = split_train_val(
    data.train_labels, val_fraction=config.val_fraction, seed=config.split_seed
)

print(f"{len(train):6,} images to learn from")
print(f"{len(val):6,} images to validate on")
print(f"{len(data.test_labels):6,} images for the one question at the end")

# %% [markdown]
# The split is drawn by chance, but from a fixed *seed*, so it is the same every time. Each digit
# keeps its share on both sides. `digitnet.train` makes this very split by itself; here we only
# looked at it.

# %% [markdown]
# ## 3. Architecture
#
# A network turns 784 pixels into ten numbers, one for each digit, in several simple steps called
# layers. Three of them deserve to be seen at work before we let a machine use them.
#
# **Convolution.** Lay a small window, 3 by 3 pixels, over the image. Multiply each pixel with a
# weight, add up the nine products, write the sum down. Move the window by one pixel and repeat.
# The nine weights are a *filter*, and the sums make a new picture: large where the filter's
# pattern is.
#
# **ReLU.** Replace every negative number by 0. It looks like nothing, but without such a bend
# between them any number of layers could do no more than a single one.
#
# **Max pooling.** Of each 2 by 2 numbers keep the largest. The picture halves in each direction,
# and it no longer matters whether a stroke is one pixel further left.
#
# Here they are with two filters made by hand. Where is each of them strong?

# %%
windows = np.lib.stride_tricks.sliding_window_view(image / 255, (3, 3))
top_edge = np.array([[-1, -1, -1], [0, 0, 0], [1, 1, 1]])
left_edge = top_edge.T

convolved = np.stack([(windows * edge).sum(axis=(2, 3)) for edge in (top_edge, left_edge)])
rectified = np.maximum(convolved, 0)
pooled = rectified.reshape(2, 13, 2, 13, 2).max(axis=(2, 4))

layers.feature_maps(
    image,
    [
        ("Convolution with two filters (blue is positive)", convolved),
        ("After ReLU", rectified),
        ("After max pooling", pooled),
    ],
)

# %% [markdown]
# The first filter answers to the upper edges of strokes, the second to their left edges. In the
# network nobody chooses the weights: it starts with random ones, and training finds the patterns
# that help.
#
# **Try it.** Make a filter for lower edges, or for dots (`8` in the middle and `-1` around it).
#
# Now the whole network. After two rounds of convolution, ReLU and pooling, the small maps are
# *flattened* into one long row of numbers. *Dense* layers follow: every number that comes out is
# a weighted sum of all that go in. The last layer has ten outputs.

# %%
table = [(each.name, each.output_shape, each.parameters) for each in layer_table(config.model)]

layers.network_diagram([("image", (1, 28, 28), 0), *table])

# %% [markdown]
# A *parameter* is one number that training adjusts: a weight, or a *bias*, which is added at the
# end of each sum. The counts in the diagram are no mystery. Each convolution filter has one 3 by 3
# window for every map that comes in, and one bias; each dense output has a weight for every number
# that comes in, and one bias.

# %%
first = 32 * (3 * 3 * 1 + 1)
second = 64 * (3 * 3 * 32 + 1)
dense = 64 * (64 * 5 * 5 + 1)
last = 10 * (64 + 1)

print(f"{first:,} + {second:,} + {dense:,} + {last:,} = {first + second + dense + last:,}")
print(f"digitnet counts {digitnet.CNN().num_parameters:,}")

# %% [markdown]
# ### From ten numbers to an answer
#
# The ten numbers that come out are called *logits*. They may be anything, also negative. The
# largest one is the answer. To read them as probabilities we apply *softmax*: raise *e* to the
# power of each, then divide by their sum. Everything becomes positive, the order stays, and
# together they make 1.
#
# A network that has learned nothing should spread its probabilities about evenly. Let us see what
# ours says of the first image, with the random weights it starts from:

# %%
torch.manual_seed(0)
untrained = digitnet.CNN(config.model)
logits = predict_logits(untrained, torch.from_numpy(data.train_images[:1])).numpy()

print("digit        ", "".join(f"{digit:7d}" for digit in range(10)))
print("logits       ", "".join(f"{logit:7.2f}" for logit in logits[0]))
print("probabilities", "".join(f"{share:7.1%}" for share in softmax(logits)[0]))

# %% [markdown]
# ### How wrong is wrong? The loss
#
# Learning needs a number that says how wrong an answer is. We take the probability that the
# network gave to the *true* digit, and of that the negative logarithm: this is *cross-entropy*.
# Sure and right costs nothing, sure and wrong costs a lot. (It is called *sparse* when the labels
# are whole numbers, like ours, instead of one-hot rows.)
#
# How does the untrained network do on the validation images, and what would somebody pay who gives
# every digit the same probability?

# %%
logits = predict_logits(untrained, torch.from_numpy(data.train_images[val])).numpy()
before = measure(logits, data.train_labels[val], data.class_names)

print(f"untrained: {before.accuracy:.1%} of the validation images right, loss {before.loss:.3f}")
print(f"guessing:  {1 / 10:.1%} right, loss {-np.log(1 / 10):.3f}")

# %% [markdown]
# Not far from guessing, as it should be.
#
# ### Why softmax is not part of the network
#
# Many tutorials make softmax the last layer. Here the network ends with the logits, for two
# reasons. It is not needed for the answer: the largest logit is also the largest probability. And
# it can spoil learning: a computer rounds very small probabilities to 0, and the logarithm of 0
# is infinite. Computed straight from the logits, the same loss comes out right. Take two logits,
# 0 and 200, where the first one is true:

# %%
pair = torch.tensor([0.0, 200.0])
probability = torch.softmax(pair, dim=0)[0]

print("probability of the first:           ", probability.item())
print("loss by way of the probability:     ", -torch.log(probability).item())
print("loss straight from the two logits:  ", torch.logsumexp(pair, dim=0).item() - pair[0].item())

# %% [markdown]
# ## 4. Training
#
# Training repeats one small step. Take a *batch* of images, compute the loss, find out for every
# parameter whether the loss would fall if it were a little larger or a little smaller, and move
# all of them a little in the direction that helps. Once through all the training images is an
# *epoch*.
#
# These are the settings that decide how. A *recipe* is a set of them under a name; ours is called
# `reference`.

# %%
shown = [
    *("epochs", "batch_size", "optimizer", "learning_rate", "schedule", "val_fraction"),
    *("channels", "kernel_size", "dense", "activation", "dropout"),
    *("shift", "rotate", "scale", "shear", "seed"),
]
values, meanings = config.flat(), setting_meanings()
rows = [f"| `{name}` | `{values[name]}` | {meanings[name]} |" for name in shown]

print(f"{-(-len(train) // config.batch_size):,} steps make an epoch")
Markdown("\n".join(["| setting | value | meaning |", "|---|---|---|", *rows]))

# %% [markdown]
# Now it learns. At full length you have time to make a tea: the more cores your computer has,
# the smaller the cup. After every epoch you see how well the validation images are read.

# %%
run = digitnet.train(
    config,
    progress=False,  # no bar: one line an epoch
    on_progress=lambda now: (
        now.finished and print(f"epoch {now.epoch:2}: {now.finished.val_accuracy:.2%} right")
    ),
)

# %% [markdown]
# Before this cell, the parameters were random numbers. Now look at the *learning curves*. The
# loss is what training works on; the accuracy is what we care about.

# %%
charts.learning_curves(run.history)

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
# new one, under `runs/` beside this notebook (`print(run.path)` tells you which). It holds:

# %%
for file in sorted(run.path.iterdir()):
    if not file.name.startswith("."):
        print(f"{file.name:24} {file.stat().st_size:10,} bytes")

# %% [markdown]
# `history.csv` opens in any spreadsheet, `config.json` holds the settings, and
# `model.safetensors` the trained network.
#
# **Try it.** With a constant learning rate, do the curves look different? Train with
# `config.override(schedule="constant")` in place of `config`.

# %% [markdown]
# ## 5. Evaluation
#
# The end has come and we may ask the one question. How many of the test images, which had no part
# in anything so far, does the network read correctly?

# %%
metrics = digitnet.evaluate(run)
low, high = metrics.interval

print(f"test accuracy  {metrics.accuracy:.2%}   (95 % interval: {low:.2%} to {high:.2%})")
print(f"misses         {metrics.misses:,} of {metrics.images:,}")
print(f"loss           {metrics.loss:.4f}")

# %% [markdown]
# The *interval* is there because other test images would have given a slightly different number.
# Two networks whose intervals overlap widely may well be equally good.
#
# ### One image, step by step
#
# How does an answer come about? Let us follow the first test image all the way. First it is made
# ready; then it passes through the network; softmax turns logits into probabilities; the largest
# one wins.

# %%
number = 0
image, label = data.test_images[number], data.test_labels[number]
model = digitnet.load_model(run.model_file)

batch = to_float(torch.from_numpy(image[None]))
with torch.inference_mode():
    logits = model(batch).numpy()
probabilities = softmax(logits)
answer = probabilities[0].argmax()

print("1  the image           ", image.dtype, image.shape)
print("2  to_float            ", batch.dtype, tuple(batch.shape))
print("3  network: logits     ", np.array2string(logits[0], precision=1, suppress_small=True))
print("4  softmax: sum        ", probabilities.sum().round(6))
print("5  argmax: the answer  ", answer, f"with a probability of {probabilities[0, answer]:.4%}")
print("   the label           ", label)

# %%
layers.feature_maps(
    image,
    [
        ("Logits, one for each digit", logits[0, :, None, None]),
        ("Probabilities, one for each digit", probabilities[0, :, None, None]),
    ],
)

# %% [markdown]
# **Try it.** Set `number` to another test image, and choose a difficult one: the gallery of misses
# below tells you their numbers.
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
charts.confusion_matrix(metrics.confusion_matrix, data.class_names)

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

galleries.misses_gallery(data.test_images, run.predictions, 24, disputed=disputed)

# %% [markdown]
# Some of these are hard for people too. And sometimes it is the label that is wrong. Researchers
# asked five people about suspicious test images of MNIST; where fewer than three agreed with the
# label, we call it *disputed* (Northcutt, Athalye and Mueller, 2021). Misses among them carry a ◆
# above. Here are all of them, in rows by the digit that the label claims:

# %%
places = list(disputed)

print(f"labels known to be disputed in MNIST's test images: {len(DISPUTED_MNIST_TEST)}")
if metrics.undisputed:
    rest = metrics.undisputed
    print(f"all test images:       {metrics.misses} misses, {metrics.accuracy:.2%} right")
    print(f"without the disputed:  {rest.misses} misses, {rest.accuracy:.2%} right")

galleries.examples(data.test_images[places], data.test_labels[places]) if places else (
    "They are known by their place in the whole of MNIST, and this is the sample."
)

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
charts.reliability_diagram(metrics.reliability, metrics.expected_calibration_error)

# %% [markdown]
# Most answers are given with high confidence. Further left there are few, so the bars are long: do
# not read much into a single point.
#
# Confidence is useful all the same. A post office might let a person look at every digit of which
# the network is not sure. How much would be left to the machine, and how often would it be wrong?

# %%
confidence = run.predictions.probability_predicted
right = run.predictions.predicted == run.predictions.label

print("at least this sure   answers   misses among them")
for least in (0.0, 0.5, 0.9, 0.99, 0.999):
    chosen = confidence >= least
    print(f"{least:18.1%} {chosen.mean():9.1%} {(chosen & ~right).sum():19}")

# %% [markdown]
# (Looking is allowed. *Choosing* the limit from this table would not be: that is a decision, and
# decisions belong to the validation images.)

# %% [markdown]
# ## 6. Visualisation
#
# What has the network learned to look for? The filters of its first layer can be drawn, because
# each is just 3 by 3 weights. Blue weights want ink, orange ones want none.

# %%
layers.filters(first_kernels(model))

# %% [markdown]
# Some resemble our handmade edge filters, blue on one side and orange on the other, and nobody told
# the network about edges. For others we have no word.
#
# Next, watch a digit on its way. Each small picture is what one filter finds. The first layers
# still show the digit; further on the maps get small and abstract, until ten numbers are left.

# %%
layers.feature_maps(image, layer_outputs(model, image))

# %% [markdown]
# And what does an easy digit look like, what a hard one? In each column the network was right
# every time; at the top it was surest, at the bottom least sure.

# %%
galleries.correct_gallery(data.test_images, run.predictions)

# %% [markdown]
# These figures and more, with everything about the run explained, make one page that you can keep
# or send to somebody:

# %%
report = digitnet.write_report(run)

print(report.name, f"{report.stat().st_size:,} bytes")
for file in sorted(run.figures.iterdir()):
    print(f"{run.figures.name}/{file.name}")

# %% [markdown]
# Open it in a browser; `print(report)` tells you where it is.

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
# Two more things to look at. Without augmentation the training images are easier, so the network
# does better on them; what counts is whether validation follows. And the deeper network has fewer
# parameters than the reference. Where have they gone? (Think of what is left to flatten after a
# third pooling.)
#
# **Try it.** `batch_norm=True`, `convs_per_block=2`, `kernel_size=5`, `optimizer="sgd"`,
# `learning_rate=0.01`: which of them learns faster? Which learns nothing?

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
galleries.augmentation_preview(originals, copies.numpy().reshape(4, 7, 28, 28))

# %% [markdown]
# More is not always better. Turn digits as far as you like, and something goes wrong that no
# network can put right. Look at the last two rows:

# %%
too_far = digitnet.AugmentationConfig(rotate=180)

copies = augment(repeated, too_far, torch.Generator().manual_seed(0))
galleries.augmentation_preview(originals, copies.numpy().reshape(4, 7, 28, 28))

# %% [markdown]
# A distortion is a claim: *this changes nothing about what it is*. It has to be true.
#
# **Try it.** `AugmentationConfig(elastic=2)` bends strokes like a trembling hand, and
# `AugmentationConfig(stroke=1)` changes the pen. Which of the two leaves a digit what it is?

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
galleries.examples(others.train_images, others.train_labels)

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
# **Try it.** How far does `labels=1` get? And `method="scratch"`, the same network from nothing?
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

Image(photo, width=320)

# %% [markdown]
# What do most programs do with it? Invert it, shrink it to 28 by 28 pixels, and ask the network
# that did so well above:

# %%
shrunk = invert_and_resize(decode(photo))
probabilities = softmax(predict_logits(model, torch.from_numpy(shrunk[None])).numpy())[0]

print(f"It is a {data.test_labels[place]}.")
print(f"Read as {probabilities.argmax()}: {probabilities.max():.1%}")
plt.imshow(shrunk, cmap="gray")
plt.axis("off")
plt.show()

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
    page = Image(f"{folder}/page.png", embed=True)

page

# %% [markdown]
# And if there is no digit? These are drawings of the kind that the network learned to refuse, drawn
# anew with another seed, and behind them four digits of the test set:

# %%
drawings, _ = draw_non_digits(6, 1234, data.test_images[:100])
inks = [*drawings, *data.test_images[:4]]

for name, one in zip("abcdefghij", recognizer.predict_inks(inks), strict=True):
    said = f"{one.digit} ({one.confidence:.1%})" if one.is_digit else "no digit"
    print(f"{name}  {said:14} strangeness {one.ood_score:6.1f}")
seen = [answer.image for answer in recognizer.predict_inks(inks)]

plt.figure(figsize=(10, 1.2))
plt.imshow(np.hstack(seen), cmap="gray_r")
plt.xticks(range(14, 280, 28), "abcdefghij")
plt.yticks([])
plt.show()

# %% [markdown]
# **Try it.** `simulate` knows other conditions: `"shadow"`, `"squared"`, `"thin"`, `"tiny"`. Then
# write a digit, photograph it, and give `recognizer.predict` the file's name.

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
# - Train with three seeds. How far apart are the three validation accuracies?
# - How small can the network be and still read nineteen in twenty? Try `channels=(4, 8)`.
# - Write ten digits, photograph them, and let `digitnet predict` read them. Which one is hard, and
#   what does its page of `--explain` say?
