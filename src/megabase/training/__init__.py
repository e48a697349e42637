"""Pretraining and fine-tuning of models."""
