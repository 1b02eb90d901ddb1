"""Real database servers for the tests, each in a folder of its own.

Nothing here may touch a server that it did not start.
"""
