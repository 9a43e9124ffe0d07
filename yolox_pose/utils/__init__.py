"""Progress, background work, JSON files, optional dependencies: helpers that know nothing about poses."""
