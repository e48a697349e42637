"""Evaluation: benchmarks, label efficiency, perplexity, context and few-shot learning."""
