"""What a view sees: a dictionary, flash messages, a CSRF token, and a session's life.

The manager of these tests is real, and its store keeps the rows in memory.
"""
