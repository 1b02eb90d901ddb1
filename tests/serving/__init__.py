"""The application among several processes: web servers that fork, sweepers that meet in one table.

Every process here is a real one, started by a test and ended with it.
"""
