"""Paired sets: import, download, check, split by place, pre-decoded cache, sampling."""
