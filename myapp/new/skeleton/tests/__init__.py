"""The tests of the application."""
