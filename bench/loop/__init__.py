"""The loop: what reviews, retraining and the queue make of each other, beside the cleanlab loop."""
