"""The pure folds and, beside them, the thin Faust shells (`*_app.py`)."""
