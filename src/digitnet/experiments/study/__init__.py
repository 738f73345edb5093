"""Studies: a question, some variants of a recipe, several seeds, and an answer one can trust.

    study = load_study("study.toml")
    results = run_study(study, "studies/mine")

Guarantees:

- Every trial is an ordinary run folder, trained exactly as ``digitnet train`` would train it.
- A study can be stopped at any instant and continued: finished runs are never repeated, damaged
  ones are, and the results are those of a study that was never stopped.
- Both engines give the same metrics, bit for bit, on the same machine.
"""
