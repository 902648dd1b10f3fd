"""One module per verb of the command line: the place where configuration, folders, seeds and devices meet."""
