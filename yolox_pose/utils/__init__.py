"""Progress bars, background work, JSON files and optional dependencies: helpers that know nothing about poses."""
