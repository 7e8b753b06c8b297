"""Evaluation: figures of EVALUATION.md, the trivial baselines beside them, and reports that lead with pictures."""
