"""Transfer: a network that has learnt one task learns another, from few pictures.

    run = fine_tune("my_digits/")                  # a folder with a subfolder of pictures a class
    comparison = compare_transfer("usps")          # every method, label budget and seed

Guarantees:

- Nothing is chosen on test images: the settings of each method are fixed (``methods``), and test
  images are read to report.
- Every way that takes steps gets the same images, the same distortions and as many steps.
- What comes out is an ordinary run folder; ``transfer.json`` in it says where the network is from.

    methods    the ways to learn a task, and their settings
    source     the network to start from, and the task that it knows
    stream     what one step sees: pictures of the new task, and of the old one
    budgets    how many labels
    rows       digits as they look when cut out of a row of writing
    tuning     the steps themselves
    probing    a new last layer on features that stay as they are
    comparing  methods, label budgets and seeds, each measured
    results    what was measured, as JSON and CSV
    figure     accuracy against labels
    page       the report
    final      the network to keep, in a run folder
    workflow   the public functions

Importing this loads neither torch nor any other heavy library.
"""
