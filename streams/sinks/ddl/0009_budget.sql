-- The budget of reviews that a project's policy sets.

ALTER TABLE review_state ADD COLUMN IF NOT EXISTS budget_per_day Int32
    COMMENT 'Items that are reviewed in a UTC day at most, by the project\'s policy; 0: without limit.' AFTER doubts;

ALTER TABLE review_tasks ADD COLUMN IF NOT EXISTS budget_per_day Int32
    COMMENT 'Items that are reviewed in a UTC day at most, by the project\'s policy; 0: without limit.' AFTER doubts;
