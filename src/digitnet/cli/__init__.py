"""The command line: parse, call, print. The command itself is ``app.main``."""
