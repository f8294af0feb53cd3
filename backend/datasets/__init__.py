"""Datasets: uploads, imports, items, snapshots and exports."""
