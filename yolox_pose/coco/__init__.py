"""COCO-format files, read once for training, evaluation, comparison and the data commands."""
