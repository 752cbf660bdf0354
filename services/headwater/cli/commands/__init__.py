"""One module per command, imported when it is called; each has an `app`. Translate and print; decide nothing."""
