"""From the name of a data set to its arrays: ``catalogue.load_dataset``.

From the top down:

    catalogue       load_dataset, the list of all data sets, and how each one is read
    picture_folder  a folder of your own pictures as a Dataset
    dataset         Dataset, its splits, and images brought to 28 × 28
    fetching        files from the named folder, the cache or the network; import and verify
    sources         copies on this machine, HTTPS mirrors, the npm client
    pins            the files of every data set with their SHA-256
    idx             the IDX format and the archives it comes in
"""
