"""Builds topics, tables and views again from the facts, compares them with the live ones, and puts right what differs.

targets     what can be built again, by name
compare     what the facts give, and what a topic holds ► what differs, and the records that put it right
topics      the log ► what the topics must hold ► what differs, written in one transaction
refold      the processor "items" begins anew with the first fact
moving      records of so many partitions ► of so many others
move        the log ► a copy in files ► the log with another partition count
tables      the log ► a table beside the live one ► what differs, and the exchange of the two; and views
"""
