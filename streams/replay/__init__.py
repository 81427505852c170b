"""What was: any past state, computed from the log alone.

past        facts up to a place in the log ► the items' states then
settled     states ► queue, agreement and skill, as if the stack had been settled at that moment
compare     two such answers ► what differs: what another policy would have changed
story       one item's facts ► who did what, why, and what came of it
reading     the log ► facts; the only one that knows Kafka
"""
