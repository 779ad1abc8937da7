"""Reading the log: queries and explanations, shared by the command line and the console."""
