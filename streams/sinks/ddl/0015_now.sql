-- What reads all labels of a project is named after what it tells: this moment. The next file puts tables in the place.
RENAME TABLE IF EXISTS accuracy_weekly TO accuracy_weekly_now;
RENAME TABLE IF EXISTS agreement_by_kind TO agreement_by_kind_now;
RENAME TABLE IF EXISTS queue_history TO queue_history_now;
RENAME TABLE IF EXISTS p_wrong_reliability TO p_wrong_reliability_now;
RENAME TABLE IF EXISTS model_accuracy TO model_accuracy_now;
RENAME TABLE IF EXISTS same_mistakes TO same_mistakes_now;
