"""The review page: a person looks through what the funnel left, and every decision is on disk before the next one."""
