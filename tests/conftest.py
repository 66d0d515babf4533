"""Quiet threads and no telemetry, before anything heavy is imported."""

from __future__ import annotations

import os

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # two threads fighting for two shared cores are slower than one

import torch

torch.set_num_threads(1)
