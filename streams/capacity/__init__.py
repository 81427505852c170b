"""How much of everything so many labels need: a model of straight lines, its measured constants beside it."""
