"""How well pictures that are not MNIST's test file are read, beside a plain CNN.

    sets        what a set is
    placing     MNIST's images as files of other sizes, polarities and places
    built_in    the sets that digitnet makes
    own         the user's sets
    readers     digitnet, and the plain CNN
    measure     reading and counting
    results     the figures, as values
    words       what groups and sets are called
    table, drawing, misses   showing them

Guarantees:

- Everything drawn comes from the seed: the same arguments give the same figures.
- Nothing is chosen by what is found here.
"""
