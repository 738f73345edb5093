"""The words that a report uses, each explained in a sentence or two."""

from __future__ import annotations

GLOSSARY: dict[str, str] = {
    "activation": (
        "A simple curve that every number passes between two layers. ReLU, the commonest, turns "
        "negative numbers into 0. Without a bend like this, many layers could do no more than one."
    ),
    "augmentation": (
        "Training images are shifted, turned or stretched a little, differently each time they are "
        "shown, so that the network learns what does not matter. Validation and test images are "
        "left as they are."
    ),
    "batch": (
        "The images that are looked at together before the weights are changed once; one such "
        "change is a step."
    ),
    "calibration": (
        "Whether confidence can be taken at its word: of all answers given with 90 % confidence, "
        "nine in ten should be right."
    ),
    "class": (
        "One of the answers that the network can give: for digits, one of ten; for other data what "
        "their labels name, such as a letter or a piece of clothing."
    ),
    "confidence": "The probability of the answer given, the largest of all.",
    "confusion matrix": (
        "A table that counts, for each true class, what it was read as. What is right lies on the "
        "diagonal, every mistake beside it."
    ),
    "convolution": (
        "A layer that moves small filters over an image and notes at each place how well each one "
        "matches. The same filter is used everywhere, so a stroke is found wherever it is."
    ),
    "cross-entropy": (
        "The loss used here: minus the logarithm of the probability given to the true class. Sure "
        "and right costs nothing, sure and wrong costs much; guessing among ten costs 2.30."
    ),
    "dense layer": (
        "A layer in which every number that comes out is a weighted sum of all that go in."
    ),
    "dropout": (
        "In training, randomly chosen numbers inside the network are set to 0, so that it cannot "
        "rely on any single one. When the network is used, nothing is dropped."
    ),
    "early stopping": (
        "Training ends when the validation loss has not fallen for a number of epochs, and the "
        "best network so far is kept."
    ),
    "epoch": "One pass through all training images.",
    "expected calibration error": (
        "How far confidence and accuracy lie apart: images are sorted by confidence into 15 "
        "equally wide bins, and the differences in the bins averaged, each weighted by its images. "
        "0 is perfect."
    ),
    "F1": "The harmonic mean of precision and recall: high only when both are.",
    "feature map": "What one filter finds in an image: bright where its pattern is.",
    "filter": "The small square of weights, also called kernel, that a convolution looks for.",
    "learning rate": "How far the weights move in one step.",
    "logits": (
        "The numbers that come out of the last layer, one for each class: ten for digits. The "
        "largest is the answer; softmax turns them into probabilities."
    ),
    "loss": (
        "A number that says how wrong the network is, averaged over images. Training does nothing "
        "but lower it."
    ),
    "max pooling": (
        "A layer that keeps the largest of each two by two numbers: it halves the image and "
        "forgives small shifts."
    ),
    "optimizer": "The rule that turns the slope of the loss into new weights, such as Adam.",
    "overfitting": (
        "Learning the training images by heart: the training loss goes on falling while the "
        "validation loss rises."
    ),
    "parameter": (
        "One number that training adjusts: a weight or a bias. A network is its parameters."
    ),
    "precision": "Of the images read as a certain class, the share that truly are.",
    "recall": "Of the images of a certain class, the share that was read as it.",
    "seed": (
        "The number that all chance follows from: first weights, order of images, distortions. The "
        "same seed gives the same network on the same machine."
    ),
    "softmax": (
        "The function that turns logits into probabilities: positive, in the same order, and 1 "
        "together."
    ),
    "support": "How many images of a class there are.",
    "test images": (
        "Images that neither training nor any choice was allowed to see. They show what the "
        "network is worth on new ones."
    ),
    "validation": (
        "Watching the network on images set aside from the training images. It shows during "
        "training what is learned for good, without touching the test images."
    ),
    "95 % interval": (
        "Where the accuracy on all images of this kind may lie, as far as these test images can "
        "tell (Wilson's score interval): 19 of 20 intervals made this way hold the true value."
    ),
}
