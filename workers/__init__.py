"""The retraining worker."""
