"""Many processors: the trials of a study, and recognition of millions of pictures, on Ray.

    run_trials(trials, processes=4)                  # what `digitnet study --engine ray` calls
    predict_all("scans/", "answers", processes=4)    # what `digitnet predict --engine ray` calls

Guarantees:

- Without an address, Ray is started on this machine, reachable from nowhere else, and ended again.
- A node that is lost costs time and nothing else: what it had under way is done elsewhere, once.
- Stopped at any instant, the same call goes on; what is finished is never done again.
- Importing this loads neither Ray nor any other heavy library.

    session    starting or joining Ray
    flow       tasks on Ray, so many at a time
    trials     the trials of a study
    bulk       recognition: what is left to do, and writing it down
    listing    what there is to recognise, in order
    tables     pictures in the rows of Parquet files
    shard      recognising one part of it
"""

from digitnet.experiments.cluster.bulk import Summary, predict_all

__all__ = ["Summary", "predict_all"]
