"""The analysts' views over many labels: how fast each answers, and by what plan."""
