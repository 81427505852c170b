-- A scoring says of which items it has no prediction, and why.

ALTER TABLE models COMMENT COLUMN reason 'Why, for people: of a failure, a refusal, a promotion by hand, or of items that have no prediction.';
