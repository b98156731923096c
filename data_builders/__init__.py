"""Builders of data sets: ArrayRecord shards with TFDS metadata, made without TensorFlow."""
