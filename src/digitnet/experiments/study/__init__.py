"""Studies: a question, some variants of a recipe, several seeds, and an answer one can trust.

    study = load_study("study.toml")
    results = run_study(study, "studies/mine")

Guarantees:

- Every trial is an ordinary run folder, trained exactly as ``digitnet train`` would.
- A study can be stopped at any instant and continued: finished runs are never repeated, broken ones
  are, and what comes out is what an undisturbed study would have given.
- Each engine gives the same metrics, bit for bit, on the same machine.
- Importing this loads neither torch nor any other heavy library.
"""
