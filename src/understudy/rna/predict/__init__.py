"""From a trained model to files: sequences in, reactivities out, in order and in constant memory."""
