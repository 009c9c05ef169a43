"""Files that hold many images: arrays, HDF5, LMDB, TFRecords, and data sets of torchvision."""
