"""Columns of tables: types, schema, frames to rows and back; no TensorFlow."""
