"""What operators look at: the local span store and its waterfall."""
