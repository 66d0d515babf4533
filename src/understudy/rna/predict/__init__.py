"""From a trained model to files: sequences in, reactivities out, in order and in constant memory."""

OPTIONS = frozenset(
    {"out", "shape", "structure", "kaggle", "pairing", "tta", "memory", "coverage", "with_trees"}
)  # of the command line
