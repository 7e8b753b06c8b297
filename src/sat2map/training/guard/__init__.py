"""The guard: watches a training run for the known ways to fail, and says so, stops it, or takes it back to its best.

`settings` is the recipe's part, `glance` reduces pictures to a few numbers, `means` remembers them, `signs` judges
them, `watch` holds all of it together for a run, and `rollback` takes a run folder back.
"""
