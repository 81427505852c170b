"""Truth inference, agreement and annotator skill: pure functions of a project's labels."""
