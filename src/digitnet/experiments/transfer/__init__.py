"""Transfer: a network that has learned one task learns another, from few pictures.

    run = fine_tune("my_digits/")                  # a folder with a subfolder of pictures a class
    comparison = compare_transfer("usps")          # every method, label budget and seed

Guarantees:

- Nothing is chosen on test images: the settings of each method are fixed (``comparison``), and test
  images are read to report.
- Every way that takes steps gets the same images, the same distortions and as many steps.
- The result is an ordinary run folder, trained by the loop that trains every network;
  ``transfer.json`` in it says what the network started from.

    comparison     the ways to learn a task, their settings, and what was measured
    transfer_task  the network to start from, the task that it knows, and the one it learns
    tuning         what tuning adds to the loop: layer rates, replay, averaged weights; the probe
    transfer_run   the public functions
    rows           digits as they look when cut out of a row of writing
    transfer_page  the report and its figure
"""
